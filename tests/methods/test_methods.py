"""The method interface and the baselines, on a dual encoder of a few linear layers."""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load, save
from support import playing
from support.fakes import FakeBackbone, make_budget, make_context, make_task
from support.playing import same, weights

from vlcl_bench.engine.footprint import backbone_sizes
from vlcl_bench.engine.learner import InProcessLearner
from vlcl_bench.errors import UsageError
from vlcl_bench.methods.card import make_settings
from vlcl_bench.methods.context import Context
from vlcl_bench.methods.registry import load_method
from vlcl_bench.methods.template import write_template
from vlcl_bench.tasks import task_query

LEARNERS = ("finetune", "l2", "lwf", "wise_ft")


def build(name, seed=0, **settings):
    cls = load_method(str(name))
    return cls(FakeBackbone(seed), make_settings(cls, settings, "full"))


def learn(method, *indices, seed=0, **budget):
    for index in indices:
        ctx = make_context(method.backbone, seed, make_budget(**budget))
        method.train()
        method.learn(make_task(index), ctx)
        method.forget_cached_texts()
    return method


def distance(one, two):
    return sum(float((one[name] - two[name]).square().sum()) for name in one) ** 0.5


def pictures(index=1):
    return FakeBackbone().preprocess(torch.from_numpy(make_task(index).images))


def query(index=1):
    task = make_task(index)
    return task_query(task.name, task.class_names, task.templates)


def played(name):
    method = build(name)
    return InProcessLearner(method, playing.PlayedProtocol(), 0, torch.device("cpu"), backbone_sizes(method.backbone))


# Scoring


@torch.no_grad()
def test_the_default_score_is_the_scaled_cosine_against_the_normalised_mean_of_normalised_prompts():
    method, asked = build("zero_shot"), query()
    found = method.score(pictures(), asked)
    for column, prompts in enumerate(asked.prompts):
        texts = [method.backbone.encode_text(method.backbone.tokenize([prompt]))[0] for prompt in prompts]
        mean = sum(text / text.norm() for text in texts) / len(texts)
        for row, picture in enumerate(pictures()):
            image = method.backbone.encode_image(picture[None])[0]
            cosine = torch.dot(image, mean) / (image.norm() * mean.norm())
            assert found[row, column].item() == pytest.approx(10 * cosine.item(), abs=1e-4)


@torch.no_grad()
def test_score_all_equals_score_for_each_query():
    method = build("zero_shot").eval()
    together = method.score_all(pictures(), [query(1), query(2)])
    for found, asked in zip(together, [query(1), query(2)], strict=True):
        torch.testing.assert_close(found, build("zero_shot").eval().score(pictures(), asked))


@torch.no_grad()
def test_score_all_uses_a_score_of_the_methods_own():
    method = build("zero_shot")

    class Own(type(method)):
        def score(self, images, query):
            return super().score(images, query) + 1

    own = Own(FakeBackbone(), method.config)
    found, expected = own.score_all(pictures(), [query()])[0], method.score(pictures(), query()) + 1
    torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_texts_are_encoded_once_while_the_method_stays_as_it_is(monkeypatch):
    method, calls = build("zero_shot").eval(), []
    encode = method.backbone.encode_text
    monkeypatch.setattr(method.backbone, "encode_text", lambda tokens: calls.append(1) or encode(tokens))
    for _ in range(3):
        method.score(pictures(), query())
    assert len(calls) == 1


def test_a_learning_method_may_train_through_its_query_features_step_after_step():
    method = build("finetune").train()
    for _ in range(2):
        method.embed_query(query()).sum().backward()
    assert method.backbone.towers.words.weight.grad is not None


def test_a_learning_method_may_train_through_a_query_that_was_scored_before():
    learner = played("finetune")
    learner.score(make_task().images, [query()])
    learner.method.train()
    learner.method.embed_query(query()).sum().backward()
    assert learner.method.backbone.towers.words.weight.grad is not None


def test_after_learning_scores_come_from_the_new_weights():
    learner = played("finetune")
    learner.score(make_task().images, [query()])
    learner.learn(make_task(), lambda done, total, word: None)
    fresh = build("finetune")
    fresh.backbone.load_state_dict(learner.method.backbone.state_dict())
    expected = fresh.eval().score(pictures(), query()).detach().numpy()
    assert learner.score(make_task().images, [query()])[0] == pytest.approx(expected, abs=1e-5)


@torch.no_grad()
def test_after_loading_a_state_scores_come_from_the_loaded_weights():
    method, other = build("finetune").eval(), build("finetune", seed=9).eval()
    method.score(pictures(), query())
    method.load_state_dict(other.state_dict())
    torch.testing.assert_close(method.score(pictures(), query()), other.score(pictures(), query()))


# Zero-shot and fine-tuning


def test_zero_shot_changes_nothing():
    assert same(weights(learn(build("zero_shot"), 1, 2)), weights(build("zero_shot")))


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_change_both_encoders(name):
    before, after = weights(build(name)), weights(learn(build(name), 1))
    assert all(not torch.equal(before[key], after[key]) for key in before if "logit_scale" not in key)


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_leave_the_logit_scale_alone(name):
    key = "towers.logit_scale"
    assert torch.equal(weights(learn(build(name), 1))[key], weights(build(name))[key])


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_get_better_at_their_task(name):
    def accuracy(method):
        return (method.eval().score(pictures(), query()).argmax(1).numpy() == make_task().labels).mean()

    assert accuracy(learn(build(name), 1, steps=60)) >= accuracy(build(name)) + 0.2


@pytest.mark.parametrize("name", LEARNERS)
def test_the_same_seed_gives_the_same_weights(name):
    assert same(weights(learn(build(name), 1, 2, seed=3)), weights(learn(build(name), 1, 2, seed=3)))


@pytest.mark.parametrize("name", LEARNERS)
def test_another_seed_gives_other_weights(name):
    assert not same(weights(learn(build(name), 1, seed=3)), weights(learn(build(name), 1, seed=4)))


@pytest.mark.parametrize("name", ["zero_shot", *LEARNERS])
def test_a_second_instance_continues_from_the_state_as_the_first_does(name):
    first = learn(build(name), 1)
    second = build(name, seed=9)
    second.load_state_dict(load(save({key: value.contiguous() for key, value in first.state_dict().items()})))
    assert same(learn(first, 2).state_dict(), learn(second, 2).state_dict())


def test_the_recipes_loss_is_cross_entropy_with_a_fifth_of_the_mass_spread_over_all_classes():
    method, logits = build("finetune"), torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, 3.0]])
    batch = next(make_context(method.backbone).batches(make_task()))
    batch.labels = torch.tensor([0, 1])
    target = torch.tensor([[13 / 15, 1 / 15, 1 / 15], [1 / 15, 13 / 15, 1 / 15]])
    expected = -(target * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(method.cross_entropy(batch, logits), expected)


def test_the_recipes_logits_are_scaled_cosines_against_the_first_templates_prompts():
    method, seen = build("finetune"), []
    task, plain = make_task(), build("finetune")

    class Watching(type(method)):
        def loss(self, batch, logits, ctx):
            seen.append((batch, logits))
            return super().loss(batch, logits, ctx)

    learn(Watching(FakeBackbone(), method.config), 1, steps=1)
    batch, logits = seen[0]
    prompts = [f"a photo of a {name}." for name in task.class_names]
    texts = plain.backbone.encode_text(plain.backbone.tokenize(prompts))
    images = plain.backbone.encode_image(batch.images)
    torch.testing.assert_close(logits, 10 * F.cosine_similarity(images[:, None], texts[None], dim=-1))


# Settings


RECIPE = {"label_smoothing": 0.2}
DISTILLATION = {"image_weight": 1.0, "text_weight": 1.0, "temperature": 2.0}


@pytest.mark.parametrize(
    ("name", "published", "mini"),
    [
        ("zero_shot", {}, {}),
        ("finetune", RECIPE, {}),
        ("l2", RECIPE | {"weight": 1.0}, {"weight": 0.1}),
        ("lwf", RECIPE | DISTILLATION, {}),
        ("lwf_vr", RECIPE | DISTILLATION | {"texts": 1000, "words": 10}, {}),
        (
            "icarl",
            RECIPE | DISTILLATION
            | {"memory": 10_000, "memory_batch": None, "herding": True, "herding_pictures": 30_000},
            {"memory": 143},
        ),
        ("wise_ft", RECIPE | {"alpha": 0.2, "anchor": "previous"}, {}),
        (
            "zscl",
            RECIPE | DISTILLATION
            | {"l2_weight": 1.0, "ensemble": True, "distill": "logits", "feature_weight": 1.0, "cache": True}
            | {"reference_pictures": None, "reference_texts": None},
            {},
        ),
    ],
)  # fmt: skip
def test_the_defaults_are_the_published_values_and_on_mini_protocols_those_chosen_there(name, published, mini):
    cls = load_method(name)
    assert cls.mini_settings == mini
    assert make_settings(cls, {}, "full").model_dump() == published
    assert make_settings(cls, {}, "mini").model_dump() == published | mini


def moment(name, **settings):
    """In the middle of task 2, in double precision: method, loss as a function, cross-entropy by hand."""
    method = playing.build(name, precise=True, **settings)
    for index in (1, 2):
        task, ctx = make_task(index), playing.context(method)
        playing.shaken(method, seed=index)
        method.start(task, ctx)
        if index == 1:
            method.finish(task, ctx)
    playing.shaken(method, seed=3)
    if name == "lwf":
        method._reference = itertools.repeat(next(method._reference))
    model, batch = method.backbone, next(playing.context(method).batches(task))

    def plain(smoothing):
        logits = playing.cosines(model.encode_image(batch.images), model.encode_text(model.tokenize(task.prompts)))
        return playing.smoothed_loss(logits, batch.labels, smoothing).item()

    return method, lambda: playing.whole_loss(method, batch, ctx, task.prompts), plain


@pytest.mark.parametrize(
    ("name", "has_terms"),
    [("finetune", False), ("wise_ft", False), ("l2", True), ("lwf", True), ("lwf_vr", True), ("icarl", True),
     ("zscl", True)],
)  # fmt: skip
def test_label_smoothing_acts_on_the_cross_entropy_of_every_learner_and_on_no_other_term(name, has_terms):
    loss, plain = {}, {}
    for smoothing in (0.1, 0.2):
        _, whole, by_hand = moment(name, label_smoothing=smoothing)
        loss[smoothing], plain[smoothing] = whole().item(), by_hand(smoothing)
    assert abs(plain[0.1] - plain[0.2]) > 0.01
    assert loss[0.1] - loss[0.2] == pytest.approx(plain[0.1] - plain[0.2], abs=1e-10)
    others = loss[0.2] - plain[0.2]
    assert others > 0.1 if has_terms else others == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("name", ["l2", "lwf"])
def test_the_whole_losss_gradient_equals_finite_differences(name):
    method, loss, _ = moment(name)
    names = ("towers.visual.1.weight", "towers.visual.3.bias", "towers.words.weight", "towers.textual.weight")
    playing.check_gradient(method, loss, names)


REPLAY = {"memory": 9, "herding": False}
SETTINGS = [
    ("finetune", {}, "label_smoothing", 0.1, ()),
    ("l2", {}, "label_smoothing", 0.1, ()),
    ("l2", {}, "weight", 3.0, ()),
    ("lwf", {}, "label_smoothing", 0.1, ()),
    ("lwf", {}, "image_weight", 3.0, ()),
    ("lwf", {}, "text_weight", 3.0, ()),
    ("lwf", {}, "temperature", 5.0, ()),
    ("lwf_vr", {"texts": 30}, "label_smoothing", 0.1, ()),
    ("lwf_vr", {"texts": 30}, "image_weight", 3.0, ()),
    ("lwf_vr", {"texts": 30}, "text_weight", 3.0, ()),
    ("lwf_vr", {"texts": 30}, "temperature", 5.0, ()),
    ("lwf_vr", {"texts": 30}, "texts", 7, ()),
    ("lwf_vr", {"texts": 30}, "words", 3, ()),
    ("wise_ft", {}, "label_smoothing", 0.1, ()),
    ("wise_ft", {}, "alpha", 0.5, ()),
    ("wise_ft", {}, "anchor", "zero_shot", ()),
    ("icarl", REPLAY, "label_smoothing", 0.1, ()),
    ("icarl", REPLAY, "image_weight", 3.0, ()),
    ("icarl", REPLAY, "text_weight", 3.0, ()),
    ("icarl", REPLAY, "temperature", 5.0, ()),
    ("icarl", REPLAY, "memory", 5, ("replayed_samples",)),
    ("icarl", REPLAY, "memory_batch", 3, ("replayed_samples",)),
    ("icarl", REPLAY, "herding", True, ("reference_pictures", "replayed_samples")),
    ("icarl", {"memory": 9}, "herding_pictures", 10, ("reference_pictures", "replayed_samples")),
    ("zscl", {}, "label_smoothing", 0.1, ()),
]


@pytest.fixture
def outcome(monkeypatch):
    """Plays a method on two tasks: its weights, and by counter what was counted and which pictures it handed out."""
    handed = {}

    def watch(name, seen):
        original = getattr(Context, name)

        def watched(self, *given, **named):
            found = original(self, *given, **named)
            if name in ("batches", "reference_rows"):
                return (seen(given, named, one) or one for one in found)
            seen(given, named, found)
            return found

        monkeypatch.setattr(Context, name, watched)

    def keep(counter, *arrays):
        handed.setdefault(counter, []).extend(array.tobytes() for array in arrays)

    def batch_seen(given, named, batch):
        train = named.get("purpose", "train") == "train"
        keep("task_pictures" if train else "reference_pictures", batch.indices, batch.images.numpy())

    watch("batches", batch_seen)
    watch("reference_rows", lambda given, named, rows: keep("reference_pictures", rows))
    watch("task_images", lambda given, named, found: keep("reference_pictures", given[1]))
    watch("replayed", lambda given, named, found: keep("replayed_samples", given[0].numpy()))

    def outcome(name, **settings):
        handed.clear()
        learner = playing.play(playing.build(name, **settings), 1, 2)
        usages = [report.usage.by_name() for report in learner.reports]
        return weights(learner.method), {key: ([usage[key] for usage in usages], handed.get(key)) for key in usages[0]}

    return outcome


@pytest.mark.parametrize(
    ("name", "base", "setting", "value", "draws"), SETTINGS, ids=[f"{row[0]}-{row[2]}" for row in SETTINGS]
)
def test_a_setting_changes_the_result_and_no_draw_or_count_but_its_own(outcome, name, base, setting, value, draws):
    plain, used = outcome(name, **base)
    other, used_then = outcome(name, **{**base, setting: value})
    assert not same(plain, other)
    assert all(used["task_pictures"])
    assert tuple(key for key in used if used[key] != used_then[key]) == draws


@pytest.mark.parametrize("name", ["finetune", "l2", "lwf", "lwf_vr", "icarl", "wise_ft"])
def test_every_setting_is_looked_at(name):
    assert {row[2] for row in SETTINGS if row[0] == name} == set(load_method(name).Config.model_fields)


# l2


def test_l2_with_weight_zero_is_fine_tuning_bit_for_bit():
    assert same(weights(learn(build("l2", weight=0.0), 1, 2)), weights(learn(build("finetune"), 1, 2)))


def test_l2_with_a_huge_weight_stays_near_the_start():
    start = weights(build("l2"))
    free = distance(weights(learn(build("finetune"), 1, steps=40)), start)
    assert distance(weights(learn(build("l2", weight=1e6), 1, steps=40)), start) < 0.2 * free


def test_l2_pulls_to_where_the_task_started_and_not_to_the_first_model():
    method = learn(build("l2", weight=1e6), 1, steps=40)
    with torch.no_grad():
        for parameter in method.backbone.parameters():
            parameter.add_(0.5)
    start = weights(method)
    assert distance(weights(learn(method, 2, steps=40)), start) < 0.3 * distance(weights(build("l2")), start)


def test_l2s_loss_is_cross_entropy_plus_the_weighted_squared_distance():
    method, task = build("l2", weight=3.0), make_task()
    ctx = make_context(method.backbone)
    method.start(task, ctx)
    before = weights(method)
    with torch.no_grad():
        method.backbone.towers.words.weight.add_(0.1)
        method.backbone.towers.logit_scale.add_(1.0)
    batch = next(ctx.batches(task))
    logits = torch.zeros(len(batch.labels), 3)
    squares = float((method.backbone.towers.words.weight - before["towers.words.weight"]).square().sum().detach())
    assert method.loss(batch, logits, ctx).item() == pytest.approx(torch.tensor(3.0).log().item() + 3 * squares)


# WiSE-FT


def test_wise_ft_with_alpha_zero_is_fine_tuning_bit_for_bit():
    assert same(weights(learn(build("wise_ft", alpha=0.0), 1, 2)), weights(learn(build("finetune"), 1, 2)))


def test_wise_ft_with_alpha_one_returns_to_the_start():
    assert same(weights(learn(build("wise_ft", alpha=1.0), 1, 2)), weights(build("wise_ft")))


def test_wise_ft_keeps_four_fifths_of_the_fine_tuned_weights_and_a_fifth_of_the_previous():
    previous = weights(learn(build("wise_ft"), 1))
    tuned = build("finetune")
    tuned.backbone.load_state_dict(previous)
    learn(tuned, 2)
    found = weights(learn(build("wise_ft"), 1, 2))
    for name, value in weights(tuned).items():
        torch.testing.assert_close(found[name], 0.8 * value + 0.2 * previous[name])


def test_wise_ft_towards_zero_shot_goes_to_the_first_model_after_every_task():
    found = weights(learn(build("wise_ft", anchor="zero_shot", alpha=1.0), 1, 2))
    assert same(found, weights(build("wise_ft")))


def test_both_anchors_of_wise_ft_are_the_same_on_the_first_task():
    one, two = (weights(learn(build("wise_ft", anchor=anchor), 1)) for anchor in ("previous", "zero_shot"))
    assert same(one, two)


def test_wise_fts_zero_shot_anchor_survives_in_the_state():
    first = learn(build("wise_ft", anchor="zero_shot", alpha=0.4), 1)
    second = build("wise_ft", seed=9, anchor="zero_shot", alpha=0.4)
    second.load_state_dict(load(save({key: value.contiguous() for key, value in first.state_dict().items()})))
    assert same(learn(first, 2).state_dict(), learn(second, 2).state_dict())


def test_wise_ft_keeps_no_second_model_between_tasks_unless_its_anchor_is_zero_shot():
    state = learn(build("wise_ft"), 1).state_dict()
    assert state.keys() == build("finetune").state_dict().keys()


# LwF


def test_lwf_without_its_terms_is_fine_tuning_bit_for_bit():
    method = build("lwf", image_weight=0.0, text_weight=0.0)
    assert same(weights(learn(method, 1, 2)), weights(learn(build("finetune"), 1, 2)))


def test_lwfs_loss_equals_an_independent_computation():
    method, task = build("lwf", image_weight=2.0, text_weight=3.0, temperature=1.5), make_task()
    teacher, ctx = copy.deepcopy(method.backbone), make_context(method.backbone)
    method.start(task, ctx)
    with torch.no_grad():
        for parameter in method.backbone.parameters():
            parameter.mul_(1.3)
    batch = next(ctx.batches(task))
    logits = torch.randn(len(batch.labels), 3, generator=torch.Generator().manual_seed(0))
    found = method.loss(batch, logits, ctx).item()

    reference = next(make_context(teacher).batches(task, purpose="reference", augment=False)).images
    texts = teacher.encode_text(teacher.tokenize([f"a photo of a {name}." for name in task.class_names]))
    scale = method.backbone.logit_scale
    old, new = (
        scale * F.cosine_similarity(model.encode_image(reference)[:, None], texts[None], dim=-1)
        for model in (teacher, method.backbone)
    )

    def soft(teacher_logits, student_logits):
        p, q = (torch.softmax(x / 1.5, 1) for x in (teacher_logits, student_logits))
        return 1.5**2 * -(p * q.log()).sum(1).mean()

    expected = method.cross_entropy(batch, logits) + 2 * soft(old, new) + 3 * soft(old.T, new.T)
    assert found == pytest.approx(expected.item(), rel=1e-4)


def test_lwfs_terms_train_the_image_encoder_only():
    method, task = build("lwf"), make_task()
    ctx = make_context(method.backbone)
    method.start(task, ctx)
    batch = next(ctx.batches(task))
    method.loss(batch, torch.zeros(len(batch.labels), 3), ctx).backward()
    trained = {name.split(".")[1] for name, p in method.backbone.named_parameters() if p.grad is not None}
    assert trained == {"visual"}


def test_lwf_uses_as_many_reference_pictures_as_task_pictures():
    method = build("lwf")
    ctx = make_context(method.backbone)
    method.learn(make_task(), ctx)
    assert ctx.meter.reference_pictures == ctx.meter.task_pictures > 0


def test_lwf_keeps_no_teacher_between_tasks():
    assert learn(build("lwf"), 1).state_dict().keys() == build("finetune").state_dict().keys()


def test_lwfs_teacher_is_the_model_before_the_task():
    method = learn(build("lwf"), 1)
    before = weights(method)
    method.start(make_task(2), make_context(method.backbone))
    assert same(dict(method._teacher[0].state_dict()), before)


# Methods of a user's own


SHORT = '''"""Keep text features near those at the task's start."""
from vlcl_bench.methods import LossMethod
from vlcl_bench.methods.base import FineTuneConfig


class Anchored(LossMethod):
    """Fine-tuning plus a pull on the text features."""

    title = "Anchored texts"

    class Config(FineTuneConfig):
        """How strong the pull is."""

        strength: float = 1.0

    def start(self, task, ctx):
        """Remember the features."""
        self._old = self.embed_texts(task.prompts).detach()

    def loss(self, batch, logits, ctx):
        """The recipe's loss plus the pull."""
        pull = (batch.text_features - self._old).square().sum()
        return self.cross_entropy(batch, logits) + self.config.strength * pull
'''


@pytest.fixture
def short(tmp_path):
    path = tmp_path / "anchored.py"
    path.write_text(SHORT)
    return path


def test_a_loss_only_method_fits_in_25_lines():
    assert len(SHORT.splitlines()) <= 25


def test_a_loss_only_method_learns(short):
    assert not same(weights(learn(build(short), 1, 2)), weights(build(short)))


def test_a_loss_only_methods_term_works(short):
    def moved(strength):
        method = learn(build(short, strength=strength), 1, steps=40)
        prompts = make_task().prompts
        return float((method.embed_texts(prompts) - build(short).embed_texts(prompts)).norm().detach())

    assert moved(100.0) < 0.5 * moved(0.0)


def test_the_template_runs_as_written(tmp_path):
    path = write_template(tmp_path / "my_method.py")
    assert not same(weights(learn(build(path), 1, 2)), weights(build(path)))


def test_the_templates_setting_works(tmp_path):
    path = write_template(tmp_path / "my_method.py")
    assert same(weights(learn(build(path, strength=0.0), 1)), weights(learn(build("finetune"), 1)))


def test_the_template_names_class_and_title_after_the_file(tmp_path):
    cls = load_method(str(write_template(tmp_path / "slow-and_steady.py")))
    assert (cls.__name__, cls.title) == ("SlowAndSteady", "slow and steady")


def test_the_template_is_valid_for_a_file_name_that_is_no_identifier(tmp_path):
    path = write_template(tmp_path / "3rd.py")
    assert load_method(str(path)).__name__ == "MyMethod"


def test_the_template_does_not_overwrite(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("# precious")
    with pytest.raises(UsageError, match="exists already"):
        write_template(path)
    assert path.read_text() == "# precious"


def test_the_template_is_written_to_python_files_only(tmp_path):
    with pytest.raises(UsageError, match="not a Python file"):
        write_template(tmp_path / "mine.txt")
