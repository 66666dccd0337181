"""GIFT on a dual encoder of a few linear layers: every term by hand, teachers, consolidation, switches, states."""

import copy
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.fakes import make_task
from support.gift import OFF, SMALL, Moment, gift
from support.playing import (
    build,
    check_gradient,
    same,
    weights,
)
from support.synthetic import FakeGenerator, context, make_synthesis, play

from vlcl_bench.data.world import world_of
from vlcl_bench.errors import UsageError
from vlcl_bench.methods.card import make_settings
from vlcl_bench.methods.losses import l2_to_anchor
from vlcl_bench.methods.registry import load_method
from vlcl_bench.synthesis.prompts import base_prompts

# The loss


def test_the_loss_is_the_sum_of_its_four_terms():
    moment = Moment()
    expected = moment.plain() + moment.beside() + moment.pull(moment.gradients(moment.beside()))
    assert moment.loss().item() == pytest.approx(expected.item(), rel=1e-9)


def test_the_weights_of_the_terms_are_settings():
    moment = Moment(distill_weight=0.5, alignment_weight=2.0, consolidation_weight=0.1, temperature=1.5)
    parts = moment.parts(temperature=1.5)
    beside = 0.5 * (parts["image"] + parts["text"]) + 2 * parts["ita"]
    expected = moment.plain() + beside + 0.1 * moment.pull(moment.gradients(beside))
    assert moment.loss().item() == pytest.approx(expected.item(), rel=1e-9)


def test_the_gradient_is_that_of_two_backward_passes_as_published():
    # The released code: first distillation and alignment go backward; their squared gradients weigh the pull; then
    # the gradients of cross-entropy and pull are added to those that are there.
    moment = Moment()
    for parameter in moment.moving.values():
        parameter.grad = None
    moment.beside().backward()
    first = {name: parameter.grad.clone() for name, parameter in moment.moving.items()}
    (moment.plain() + moment.pull(first)).backward()
    expected = {name: parameter.grad.clone() for name, parameter in moment.moving.items()}
    for parameter in moment.moving.values():
        parameter.grad = None
    moment.loss().backward()
    for name, parameter in moment.moving.items():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-10, atol=1e-12)


def test_the_gradient_is_that_of_the_summed_loss_with_constant_weights():
    moment = Moment()
    found = moment.gradients(moment.loss())
    constant = moment.gradients(moment.beside())
    expected = moment.gradients(moment.plain() + moment.beside() + moment.pull(constant))
    for name in moment.moving:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "settings", [{"consolidation": "none"}, {"consolidation": "plain"}, {"consolidation": "none", "distill": "feature"}]
)
def test_without_adaptive_weights_the_gradient_equals_finite_differences(settings):
    moment = Moment(**settings)
    names = ("towers.visual.1.weight", "towers.visual.3.bias", "towers.words.weight", "towers.textual.weight")
    check_gradient(moment.method, moment.loss, names)


@pytest.mark.parametrize(
    ("distill", "terms"),
    [
        ("contrastive", ("image", "text")),
        ("image", ("image",)),
        ("text", ("text",)),
        ("feature", ("feature",)),
        ("none", ()),
    ],
)
def test_the_kinds_of_distillation_are_rows_columns_both_features_or_nothing(distill, terms):
    moment = Moment(distill=distill, consolidation="none", distill_weight=3.0)
    parts = moment.parts()
    expected = moment.plain() + 3 * sum(parts[term] for term in terms) + 0.25 * parts["ita"]
    assert moment.loss().item() == pytest.approx(expected.item(), rel=1e-9)


def test_the_students_prompts_are_trained_and_the_teacher_is_not():
    moment = Moment(consolidation="none")
    logits = torch.zeros(len(moment.batch.labels), 3)
    moment.method.loss(moment.batch, logits, moment.ctx).backward()
    reached = {name.split(".")[1] for name, p in moment.method.backbone.named_parameters() if p.grad is not None}
    assert reached == {"visual", "words", "textual"}
    assert not moment.method._teacher_images.requires_grad
    assert not moment.method._teacher_texts.requires_grad


# Consolidation


def test_plain_consolidation_is_the_l2_baselines_pull():
    moment = Moment(consolidation="plain", consolidation_weight=0.3)
    pull = l2_to_anchor(moment.moving, {name: moment.start[name] for name in moment.moving})
    expected = moment.plain() + moment.beside() + 0.3 * pull
    assert pull.item() == pytest.approx(moment.parts()["l2"].item(), rel=1e-12)
    assert moment.loss().item() == pytest.approx(expected.item(), rel=1e-9)


def test_adaptive_consolidation_with_weights_of_one_is_plain(monkeypatch):
    adaptive, plain = Moment(), Moment(consolidation="plain")
    ones = lambda gradients: {name: torch.ones_like(value) for name, value in gradients.items()}  # noqa: E731
    monkeypatch.setitem(type(adaptive.method).loss.__globals__, "fisher_weights", ones)
    found, expected = adaptive.gradients(adaptive.loss()), plain.gradients(plain.loss())
    assert adaptive.loss().item() == pytest.approx(plain.loss().item(), rel=1e-12)
    for name in found:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-10, atol=1e-12)


def test_with_the_plain_pull_alone_gift_learns_what_the_l2_baseline_learns():
    alone = gift(distill="none", alignment_weight=0.0, consolidation="plain", consolidation_weight=1.0)
    found = weights(play(alone, make_synthesis(), 1, 2).method)
    expected = weights(play(build("l2", weight=1.0), None, 1, 2).method)
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-6)


def fishers(**settings):
    """The weights of the pull in each step of two tasks, and how often they were computed."""
    method, seen = gift(**settings), []
    original = method.loss
    method.loss = lambda *given: (original(*given), seen.append(method._fisher))[0]
    play(method, make_synthesis(), 1, 2, steps=4)
    return seen


def test_the_weights_of_the_pull_have_mean_one_in_every_tensor():
    for found in fishers():
        assert all(value.mean().item() == pytest.approx(1, rel=1e-5) for value in found.values())
        assert all((value >= 0).all() for value in found.values())
        assert not any(name.endswith("logit_scale") for name in found)


def test_adaptive_weights_are_new_in_every_step():
    seen = fishers()
    assert not any(same(one, two) for one, two in itertools.pairwise(seen))


def test_static_weights_are_those_of_each_tasks_first_step():
    static, adaptive = fishers(consolidation="static"), fishers()
    assert all(same(found, static[0]) for found in static[:4])
    assert all(same(found, static[4]) for found in static[4:])
    assert not same(static[0], static[4])
    assert same(static[0], adaptive[0])


@pytest.mark.parametrize("consolidation", ["plain", "none"])
def test_no_weights_are_computed_where_none_are_needed(consolidation):
    assert set(fishers(consolidation=consolidation)) == {None}


def test_in_the_first_step_of_a_task_nothing_pulls():
    moment = Moment()
    moment.method.backbone.load_state_dict(moment.start)
    expected = moment.plain() + moment.beside()
    assert moment.loss().item() == pytest.approx(expected.item(), rel=1e-9)


# The teacher


@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({}, 0.0),
        ({"teacher": "initial"}, 1.0),
        ({"teacher": "wise"}, 0.2),
        ({"teacher": "wise", "wise_alpha": 0.5}, 0.5),
    ],
    ids=["last", "initial", "wise 0.2", "wise 0.5"],
)
def test_the_teacher_is_a_mixture_of_the_previous_and_the_initial_model(settings, share):
    moment = Moment(consolidation="none", alignment_weight=0.0, **settings)
    first = weights(type("Held", (), {"backbone": moment.untouched}))
    teacher = copy.deepcopy(moment.previous)
    with torch.no_grad():
        for name, value in teacher.state_dict().items():
            value.copy_((1 - share) * moment.start[name] + share * first[name])
    parts = moment.parts(teacher)
    expected = moment.plain() + parts["image"] + parts["text"]
    assert moment.loss().item() == pytest.approx(expected.item(), rel=1e-9)


def test_the_teacher_of_the_first_task_is_the_untouched_model_whatever_is_chosen():
    found = [gift(teacher=teacher, consolidation="none") for teacher in ("last", "initial")]
    assert same(*(dict(play(method, make_synthesis(), 1).method.backbone.state_dict()) for method in found))


def test_the_initial_model_stays_untouched_and_is_kept():
    method = gift(teacher="initial")
    before = weights(method)
    play(method, make_synthesis(), 1, 2)
    assert same(dict(method.initial.state_dict()), before)
    assert not same(weights(method), before)


@pytest.mark.parametrize(("teacher", "models"), [("last", 0), ("initial", 1), ("wise", 1)])
def test_what_is_kept_between_tasks_is_the_generator_and_the_initial_model_where_it_is_needed(teacher, models):
    learner = play(gift(teacher=teacher), make_synthesis(generator=FakeGenerator(size=1000)), 1)
    model = sum(value.numel() * value.element_size() for value in weights(learner.method).values())
    assert learner.footprint().bytes_between_tasks == 1000 + models * model


def test_the_teacher_sees_every_picture_and_prompt_once_a_task(monkeypatch):
    method, seen = gift(), []
    make = method._make_teacher

    def watched():
        teacher = make()
        for kind in ("encode_image", "encode_text"):
            original = getattr(teacher, kind)
            setattr(teacher, kind, lambda x, o=original, k=kind: seen.append((k, len(x))) or o(x))
        return teacher

    method._make_teacher = watched
    play(method, make_synthesis(), 1, 2)
    assert seen == [("encode_image", 12), ("encode_text", 12)] * 2


def learned(prepare_method=lambda method: None, **settings):
    """Losses of all steps of three tasks, and the weights that they end with."""
    method, losses = gift(**settings), []
    prepare_method(method)
    original = method.loss
    method.loss = lambda *given: losses.append(original(*given)) or losses[-1]
    play(method, make_synthesis(), 1, 2, 3, steps=8)
    return torch.stack([loss.detach() for loss in losses]), weights(method)


@pytest.mark.parametrize("settings", [{}, {"distill": "feature"}, {"teacher": "wise"}])
def test_features_computed_once_equal_those_computed_in_every_step(settings):
    def anew(method):
        make, start, beside = method._make_teacher, method.start, method._beside
        held = {}

        def started(task, ctx):
            method._make_teacher = lambda: held.setdefault(task.index, make())
            start(task, ctx)

        def stepped(ctx):
            teacher = held[max(held)]
            once = method._teacher_images.clone(), method._teacher_texts.clone()
            with torch.no_grad():
                for row, picture in enumerate(method._set.images):
                    one = teacher.encode_image(ctx.preprocessed(picture[None]))
                    text = teacher.encode_text(method._prompts[row : row + 1])
                    method._teacher_images[row] = F.normalize(one, dim=-1)[0]
                    method._teacher_texts[row] = F.normalize(text, dim=-1)[0]
            torch.testing.assert_close(method._teacher_images, once[0], rtol=0, atol=1e-6)
            torch.testing.assert_close(method._teacher_texts, once[1], rtol=0, atol=1e-6)
            return beside(ctx)

        method.start, method._beside = started, stepped

    once, always = learned(**settings), learned(anew, **settings)
    torch.testing.assert_close(once[0], always[0], rtol=1e-5, atol=1e-6)
    for name, value in once[1].items():
        torch.testing.assert_close(value, always[1][name], rtol=0, atol=1e-5)


def test_portions_of_the_teachers_work_change_nothing(monkeypatch):
    whole = learned()
    monkeypatch.setitem(load_method("gift").start.__globals__, "CHUNK", 5)
    torch.testing.assert_close(learned()[0], whole[0], rtol=1e-5, atol=1e-6)


# Switches


@pytest.mark.parametrize(
    "off", [OFF, {"distill": "none", "alignment_weight": 0.0, "consolidation": "none"}], ids=["weights", "switches"]
)
def test_with_everything_switched_off_gift_is_fine_tuning_to_the_bit(off):
    found = play(gift(**off), make_synthesis(), 1, 2).method
    assert same(weights(found), weights(play(build("finetune"), None, 1, 2).method))


SWITCHES = [
    {"distill": "image"},
    {"distill": "text"},
    {"distill": "feature"},
    {"distill": "none"},
    {"distill_weight": 2.0},
    {"temperature": 1.0},
    {"teacher": "initial"},
    {"teacher": "wise"},
    {"alignment_weight": 0.0},
    {"consolidation": "static"},
    {"consolidation": "plain"},
    {"consolidation": "none"},
    {"consolidation_weight": 0.1},
]


def drawn(**settings):
    """Rows of the task's batches, prompts of the sets, and rows of the synthetic batches of two tasks; the end."""
    method, rows, prompts, places = gift(**settings), [], [], []
    loss, start = method.loss, method.start

    def started(task, ctx):
        start(task, ctx)
        prompts.append(method._set.prompts)
        method._rows = (places.append(found.tolist()) or found for found in method._rows)

    method.start = started
    method.loss = lambda batch, logits, ctx: rows.append(batch.indices.tolist()) or loss(batch, logits, ctx)
    play(method, make_synthesis(), 1, 2)
    return (rows, prompts, places), weights(method)


@pytest.mark.parametrize("settings", SWITCHES, ids=str)
def test_every_switch_changes_the_result_and_leaves_all_drawing_alone(settings):
    plain, other = drawn(), drawn(**settings)
    assert other[0] == plain[0]
    assert not same(other[1], plain[1])


def test_without_task_prompts_only_the_drawing_of_prompts_changes():
    plain, other = drawn(), drawn(task_prompts=False)
    assert (other[0][0], other[0][2]) == (plain[0][0], plain[0][2])
    assert other[0][1][0] == plain[0][1][0]  # before the first task there are none
    assert not same(other[1], plain[1])


def test_more_pictures_leave_the_tasks_batches_alone():
    plain, other = drawn(), drawn(pictures=30)
    assert other[0][0] == plain[0][0]
    assert [few == many[:12] for few, many in zip(plain[0][1], other[0][1], strict=True)] == [True, True]
    assert not same(other[1], plain[1])


@pytest.mark.parametrize("settings", [{"distill": "feature"}, {"distill": "none"}])
def test_the_temperature_is_of_the_similarities_alone(settings):
    found = [weights(play(gift(temperature=t, **settings), make_synthesis(), 1, 2).method) for t in (1.0, 3.0)]
    assert same(*found)


@pytest.mark.parametrize("teacher", ["last", "initial"])
def test_the_share_of_the_initial_model_matters_to_the_mixture_alone(teacher):
    found = [weights(play(gift(teacher=teacher, wise_alpha=a), make_synthesis(), 1, 2).method) for a in (0.2, 0.7)]
    assert same(*found)


def test_the_seed_changes_the_pictures():
    found = [play(gift(), make_synthesis(generator=generator), 1, seed=seed) for seed, generator in
             ((0, FakeGenerator()), (1, FakeGenerator()))]  # fmt: skip
    seeds = [{order.seed for order in learner.loans.synthesis.store.generator.asked} for learner in found]
    assert not seeds[0] & seeds[1]


def test_the_published_values_are_the_defaults():
    config = make_settings(load_method("gift"), {}, "full")
    assert (config.pictures, config.denoising_steps, config.task_prompts) == (1000, 50, True)
    assert (config.distill, config.distill_weight, config.temperature, config.teacher) == ("contrastive", 1, 2, "last")
    assert (config.alignment_weight, config.consolidation, config.consolidation_weight) == (0.25, "adaptive", 1)
    assert (config.label_smoothing, config.generator, config.guidance) == (0.2, None, None)


@pytest.mark.parametrize(
    "settings",
    [
        {"distill": "both"},
        {"teacher": "next"},
        {"consolidation": "ewc"},
        {"pictures": 0},
        {"denoising_steps": 0},
        {"wise_alpha": 1.5},
        {"temperature": 0.0},
    ],
    ids=str,
)
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(UsageError, match=next(iter(settings))):
        build("gift", **settings)


# States, tasks with captions


def test_nothing_of_a_task_is_left_when_it_is_done():
    fresh = set(vars(gift()))
    method = play(gift(), make_synthesis(), 1).method
    assert set(vars(method)) == fresh
    assert all(name.startswith("backbone.") for name in method.state_dict())


def test_the_logit_scale_stays_and_both_encoders_are_trained():
    method = gift()
    before = weights(method)["towers.logit_scale"]
    learner = play(method, make_synthesis(), 1, 2)
    assert torch.equal(weights(method)["towers.logit_scale"], before)
    expected = {f"backbone.{name}" for name, _ in method.backbone.trainable_parameters()}
    assert set(learner.reports[1].trained) == expected


@pytest.mark.parametrize(
    "settings", [{}, {"teacher": "initial"}, {"teacher": "wise"}, {"consolidation": "static"}, {"distill": "feature"}]
)
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(settings, tmp_path):
    whole = play(gift(**settings), make_synthesis(), 1, 2, 3)
    play(gift(**settings), make_synthesis(), 1).save(tmp_path / "state")
    other = play(build("gift", seed=9, **SMALL | settings), make_synthesis())
    other.load(tmp_path / "state")
    for index in (2, 3):
        other.learn(make_task(index), lambda done, total, word: None)
    assert same(other.method.state_dict(), whole.method.state_dict())


def captioned(index=1):
    plain = make_task(index)
    captions = tuple((f"picture {row}", f"number {row}") for row in range(len(plain.labels)))
    return type(plain)(index, "stories", (), (), plain.images, np.full(len(plain.labels), -1), "stories", captions)


@pytest.mark.parametrize("name", ["gift", "generative_replay"])
def test_a_captioned_task_is_learned_with_prompts_of_the_base(name):
    method = build(name, **SMALL)
    before, synthesis = weights(method), make_synthesis()
    method.learn(captioned(), context(method, synthesis))
    assert not same(weights(method), before)
    assert {order.prompt for order in synthesis.store.generator.asked} <= set(
        base_prompts(world_of("mini").prompt_names())
    )
