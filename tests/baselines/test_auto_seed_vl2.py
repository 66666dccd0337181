"""Auto-Seed VL2 on a dual encoder of a few linear layers: what it keeps, what its switches do, its losses by hand."""

import copy
import math
from dataclasses import replace
from types import MethodType

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.fakes import SIDE, make_task
from support.harness import vlcl
from support.playing import PlayedProtocol, WordyBackbone, same, weights
from torch import nn

from baselines.parts.seeds import gradient_codes
from vlcl_bench.engine.footprint import backbone_sizes
from vlcl_bench.engine.learner import InProcessLearner
from vlcl_bench.errors import UsageError
from vlcl_bench.methods.card import make_settings
from vlcl_bench.methods.registry import load_method
from vlcl_bench.tasks import LabelSet, Task, task_query

NAME, WIDTH = "auto_seed_vl2", 24
SMALL = {"generator_steps": 4, "stabilise_steps": 2, "pseudo_classes": 4, "rank": 6, "learning_rate": 1e-3}
SAMPLES = 27  # nine of each class, one of which is held out: three batches of eight


class WideBackbone(WordyBackbone):
    """The fake backbone with features so wide that pictures of a class differ."""

    def __init__(self, seed=0, precise=False):
        super().__init__(seed)
        generator = torch.Generator().manual_seed(100 + seed)
        self.towers.visual = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, WIDTH), nn.Tanh())
        self.towers.textual = nn.Linear(8, WIDTH)
        with torch.no_grad():
            for part in (self.towers.visual, self.towers.textual):
                for parameter in part.parameters():
                    parameter.normal_(0, 0.3, generator=generator)
        if precise:
            self.double()


def auto(seed=0, precise=False, **settings):
    cls = load_method(NAME)
    method = cls(WideBackbone(seed, precise), make_settings(cls, SMALL | settings, "full"))
    return method.double() if precise else method


def captioned(index, samples=SAMPLES):
    plain = make_task(index, samples)
    words = ("dark", "grey", "bright")
    captions = tuple(
        tuple(f"{words[row % 3]} picture {k} of {index} {'long ' * (row % 4)}" for k in range(2 + row % 2))
        for row in range(samples)
    )
    empty = np.full(samples, -1)
    return Task(index, f"stories-{index}", (), (), plain.images, empty, f"stories-{index}", captions)


def plain_stream(count, samples=SAMPLES):
    return [make_task(index, samples) for index in range(1, count + 1)]


def class_stream():
    """Two data sets, the first of them in two parts before and one after the second; labels count names so far."""
    tasks, known = [], {"a": 0, "b": 0}
    for index, dataset in enumerate(("a", "a", "b", "a"), 1):
        plain, first = make_task(index, SAMPLES), known[dataset]
        known[dataset] += 3
        names = tuple(f"{dataset} thing {i}" for i in range(known[dataset]))
        tasks.append(replace(plain, class_names=names, labels=plain.labels + first, dataset=dataset))
    return tasks


def label_sets(earlier):
    """What the tasks have told: the last label space of each data set."""
    found = {task.dataset or task.name: task for task in earlier if task.captions is None}
    return tuple(LabelSet(name, task.class_names, task.templates[0]) for name, task in found.items())


class StreamProtocol(PlayedProtocol):
    """A protocol of these tasks."""

    def __init__(self, stream, **budget):
        super().__init__(**budget)
        self.stream = stream

    def label_sets_before(self, task):
        return label_sets(self.stream[: task - 1])


def player_of(method, stream, seed=0, **budget):
    return InProcessLearner(
        method, StreamProtocol(stream, **budget), seed, torch.device("cpu"), backbone_sizes(method.backbone)
    )


def play(method, stream, upto=None, seed=0, **budget):
    """A learner that has learned the stream, with its reports; ``states`` are those after each task."""
    learner = player_of(method, stream, seed, **budget)
    learner.reports, learner.states = [], []
    for task in stream[:upto]:
        learner.reports.append(learner.learn(task, lambda done, total, word: None))
        learner.states.append({name: value.clone() for name, value in method.state_dict().items()})
    return learner


def moved(learner, stage, part):
    """The tensors of a part after a stage that are not what they were after the stage before."""
    now, before = learner.states[stage - 1], learner.states[stage - 2]
    return {name for name in now if name.startswith(part) and not torch.equal(now[name], before[name])}


def learned(stream, upto=None, **settings):
    """Adapters and memory after the stream."""
    state = play(auto(**settings), stream, upto).method.state_dict()
    return {name: value for name, value in state.items() if name.startswith(("adapters.", "memory."))}


def features(method, task):
    """Unit features of a task's pictures."""
    return method.frozen_images(method.backbone.preprocess(torch.from_numpy(task.images)))


def at_finish(method, check, index):
    """Call ``check(task)`` when the adapters have learned task ``index``, before the seeds are made."""
    plain = method.finish

    def finish(task, ctx):
        if task.index == index:
            check(task)
        plain(task, ctx)

    method.finish = finish


# What is kept


@pytest.mark.parametrize("stream", [plain_stream(3), class_stream(), [captioned(1), captioned(2)]], ids=len)
def test_no_row_of_what_is_kept_is_a_pictures_feature(stream):
    learner = play(auto(generator_steps=25), stream, steps=10)
    for task in stream:
        real = features(learner.method, task)
        if task.captions is None:  # else a class could hide the sameness of its pictures
            for label in np.unique(task.labels):
                own = real[torch.from_numpy(task.labels == label)]
                assert (own @ F.normalize(own.mean(dim=0), dim=0)).max() < 1 - 1e-3
        for name, kept in learner.method.state_dict().items():
            if not name.startswith("backbone.") and kept.dim() and kept.shape[-1] == WIDTH:
                rows = F.normalize(kept.float().reshape(-1, WIDTH), dim=1)
                assert (rows @ real.T).max() < 1 - 1e-4, name


@pytest.mark.parametrize("stream", [plain_stream(2), [captioned(1), captioned(2)]], ids=["classes", "captions"])
def test_nothing_kept_holds_pixels_or_texts(stream):
    method = play(auto(), stream).method
    kept = {name: value for name, value in method.state_dict().items() if not name.startswith("backbone.")}
    assert {name.split(".")[0] for name in kept} == {"adapters", "generator", "memory", "spreads"}
    for name, value in kept.items():
        assert value.dtype != torch.uint8 or name == "memory.ranks"
        if value.shape[-1] == 3 * SIDE * SIDE:  # the correction's input is as wide as a picture here
            rows = value.float().reshape(-1, 3 * SIDE * SIDE)
            for task in stream:
                pixels = torch.from_numpy(task.images).float().flatten(1)
                assert torch.corrcoef(torch.cat([rows, pixels]))[: len(rows), len(rows) :].max() < 0.8
    columns = {name.removeprefix("memory."): value for name, value in kept.items() if name.startswith("memory.")}
    assert set(columns) == {"v", "w", "labels", "datasets", "tasks", "ranks"}
    assert columns["ranks"].max() < 4
    assert all(columns[name].max() < 50 for name in ("labels", "datasets", "tasks"))


def test_nothing_of_a_task_is_left_when_it_is_done():
    assert set(vars(play(auto(), plain_stream(2)).method)) == set(vars(auto()))
    assert set(vars(play(auto(), [captioned(1)]).method)) == set(vars(auto()))


@pytest.mark.parametrize("size", [1, 2, 5, 7, 12, 100])
def test_the_memory_never_exceeds_its_size(size):
    learner = play(auto(memory=size), plain_stream(4), steps=2)
    sizes = [len(state["memory.v"]) for state in learner.states]
    assert min(sizes) > 0
    assert max(sizes) <= size
    if size == 100:
        assert sizes == [6, 12, 18, 24]


def test_without_pruning_all_candidates_are_kept_and_the_size_is_none():
    learner = play(auto(memory=5, pruning=False, quota=3, candidates=3), plain_stream(2), steps=2)
    assert [len(state["memory.v"]) for state in learner.states] == [9, 18]
    pruned = play(auto(memory=100, quota=3, candidates=3), plain_stream(1), steps=2).method.memory
    found = learner.states[0]["memory.v"]
    rows = {tuple(row) for row in found.tolist()}
    assert {tuple(row) for row in pruned.v.tolist()} == rows


def test_seeds_stand_for_the_classes_of_their_task():
    stream = class_stream()
    memory = play(auto(quota=1), stream, steps=2).method.memory
    rows = list(zip(memory.tasks.tolist(), memory.datasets.tolist(), memory.labels.tolist(), strict=True))
    expected = [(1, 0, i) for i in range(3)] + [(2, 0, i) for i in range(3, 6)]
    assert rows == expected + [(3, 1, i) for i in range(3)] + [(4, 0, i) for i in range(6, 9)]
    assert memory.v.dtype == torch.float16
    torch.testing.assert_close(memory.v.float().norm(dim=1), torch.ones(12), atol=1e-3, rtol=0)


def test_the_towers_never_change():
    method = auto()
    before = weights(method)
    learner = play(method, plain_stream(2))
    assert same(weights(method), before)
    assert {name.split(".")[0] for report in learner.reports for name in report.trained} == {"adapters", "generator"}


# The validation set


def test_a_twentieth_of_each_class_is_held_out_and_never_trained_on():
    stream = [make_task(1, 130)]
    method, found = auto(), {}

    def look(task):
        support, held = method.support.rows, method.validation.rows
        assert not set(support) & set(held)
        assert set(support) | set(held) == set(range(130))
        assert np.array_equal(method.seen.rows, support)  # what batches are drawn from
        found.update(zip(*np.unique(task.labels[held], return_counts=True), strict=True))

    at_finish(method, look, 1)
    play(method, stream, steps=2, reference_batch=100)
    assert found == {0: 2, 1: 2, 2: 2}  # of 44, 43 and 43


@pytest.mark.parametrize(("share", "held"), [(0.05, [1, 1, 0]), (0.9, [9, 1, 0]), (0.0, [0, 0, 0])])
def test_at_least_one_is_held_out_and_at_least_one_stays(share, held):
    labels = np.array([0] * 10 + [1] * 2 + [2])
    task = replace(make_task(1, 13), labels=labels)
    method, found = auto(validation=share), []

    def look(task):
        found.extend(
            np.bincount(labels[part.rows], minlength=3).tolist() for part in (method.validation, method.support)
        )

    at_finish(method, look, 1)
    play(method, [task], steps=2)
    assert found == [held, [total - out for total, out in zip((10, 2, 1), held, strict=True)]]


def test_a_class_of_many_keeps_some_for_training_whatever_the_share():
    method, kept = auto(validation=0.99), []
    at_finish(method, lambda task: kept.append(method.support.labels.unique().tolist()), 1)
    play(method, [make_task(1, 9)], steps=2)
    assert kept == [[0, 1, 2]]


# Switches


def codes_of(stream, **settings):
    """Codes that the generator is given, call by call."""
    method, seen = auto(**settings), []
    method.generator.register_forward_pre_hook(lambda module, given: seen.append(given[0].clone()))
    play(method, stream, steps=2)
    return seen


def test_gradient_codes_stay_and_noise_codes_are_fresh_with_equal_norms():
    stream = plain_stream(1)
    plain, noise = codes_of(stream), codes_of(stream, conditioning="noise")
    assert len(plain) == len(noise) == 5  # four steps of training, and the candidates
    assert all(torch.equal(codes, plain[0]) for codes in plain)
    for i, codes in enumerate(noise):
        torch.testing.assert_close(codes.norm(dim=1), plain[0].norm(dim=1))
        assert not any(torch.allclose(codes, other, atol=1e-3) for other in [*noise[:i], plain[0]])


def test_codes_are_those_of_the_supports_frozen_features():
    method, expected = auto(), []

    def look(task):
        own = method.support
        expected.append(
            gradient_codes(features(method, task)[own.rows], torch.tensor(task.labels[own.rows]), own.texts)
        )

    at_finish(method, look, 2)
    seen = []
    method.generator.register_forward_pre_hook(lambda module, given: seen.append(given[0].clone()))
    play(method, plain_stream(2), steps=2)
    torch.testing.assert_close(seen[-1], expected[0])


def test_random_vectors_need_no_generator():
    method = auto(conditioning="random_vectors")
    method.generator.register_forward_pre_hook(lambda module, given: pytest.fail("the generator was asked"))
    learner = play(method, plain_stream(2))
    assert not moved(learner, 2, "generator.")
    v, w = learner.method.memory.v.float(), learner.method.memory.w.float()
    assert len(v.unique(dim=0)) == len(v) == 12
    for rows in (v, w):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(12), atol=1e-3, rtol=0)
    reports = [line for report in learner.reports for line in report.log if line["report"] == "seeds"]
    assert all(abs(line["fidelity_image"]) < 0.6 for line in reports)


@pytest.mark.parametrize(("meta_update", "stages"), [("full", [1, 2, 3]), ("first_task", [1]), ("none", [])])
def test_the_generator_is_trained_in_the_tasks_that_the_switch_names(meta_update, stages):
    method = auto(meta_update=meta_update)
    start = {name: value.clone() for name, value in method.state_dict().items()}
    learner = play(method, plain_stream(3), steps=2)
    learner.states.insert(0, start)
    found = [stage for stage in (1, 2, 3) if moved(learner, stage + 1, "generator.")]
    assert found == stages


def differ(one, two):
    return not same(learned(plain_stream(2), **one), learned(plain_stream(2), **two))


@pytest.mark.parametrize(
    ("off", "weight", "other"),
    [
        ({"consistency": False}, "fidelity_weight", 1.0),
        ({"consistency": False}, "contrast_weight", 3.0),
        ({"consistency": False}, "consistency_weight", 2.0),
        ({"lwf": False}, "lwf_weight", 3.0),
        ({"stabilise": False}, "stabilise_steps", 5),
    ],
    ids=str,
)
def test_a_term_that_is_off_has_no_effect_whatever_its_weight(off, weight, other):
    assert not differ(off, off | {weight: other})
    assert differ({}, {weight: other})
    assert differ({}, off)


def test_without_jitter_the_spread_of_real_features_does_not_matter():
    found = {}
    for jitter in ("covariance", "isotropic", "none"):
        for spread in (0.0, 5.0):
            method, stream = auto(jitter=jitter), plain_stream(2)
            learner = play(method, stream, upto=1)
            method.spreads.covariance[:, 0, 0] += spread
            learner.learn(stream[1], lambda done, total, word: None)
            found[jitter, spread] = {name: p.clone() for name, p in method.adapters.named_parameters()}
    assert same(found["none", 0.0], found["none", 5.0])
    for one, other in (("covariance", "isotropic"), ("isotropic", "none")):
        assert not same(found[one, 0.0], found[one, 5.0])
        assert not same(found[one, 0.0], found[other, 0.0])


def test_the_first_task_has_nothing_to_replay():
    base = learned(plain_stream(1))
    for settings in ({"jitter": "none"}, {"lwf": False}, {"stabilise": False}, {"distill_weight": 9.0}):
        assert same(learned(plain_stream(1), **settings), base)


@pytest.mark.parametrize("settings", [{"memory": 0}, {"conditioning": "magic"}, {"validation": 1.0}], ids=str)
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(UsageError, match=next(iter(settings))):
        auto(**settings)


# The losses by hand


def adapted(adapter, rows):
    """One adapter's formula."""
    hidden = rows @ adapter.down.weight.T
    active = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
    found = rows + adapter.scale * active @ adapter.up.weight.T
    return found / found.norm(dim=-1, keepdim=True)


def cosines(method, adapters, images, texts):
    return method.backbone.logit_scale * adapted(adapters.image, images) @ adapted(adapters.text, texts).T


def chances(logits, temperature=1.0):
    powers = torch.exp(logits / temperature - (logits / temperature).max(dim=-1, keepdim=True).values)
    return powers / powers.sum(dim=-1, keepdim=True)


def cross_entropy(logits, labels):
    return -torch.stack([chances(row)[int(label)].log() for row, label in zip(logits, labels, strict=True)]).mean()


def soft(before, now, temperature=2.0):
    return -(temperature**2) * (chances(before, temperature) * chances(now, temperature).log()).sum(dim=-1).mean()


def pairs_loss(logits):
    own = range(len(logits))
    return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2


def last_losses(method, stream, index, expected, **budget):
    """The loss of each step of task ``index`` and what ``expected(places)`` says of it."""
    plain, found = method.loss, []

    def loss(self, places, ctx):
        value = plain(places, ctx)
        if task_of[0] == index:
            found.append((value.detach(), expected(places).detach()))
        return value

    task_of = [0]
    start = method.start

    def started(task, ctx):
        task_of[0] = task.index
        start(task, ctx)

    method.start, method.loss = started, MethodType(loss, method)
    play(method, stream, upto=index, **budget)
    return found


@pytest.mark.parametrize("index", [2, 3, 4])
def test_the_loss_on_classes_is_that_of_the_parts_by_hand(index):
    stream = class_stream()
    settings = {"replay_weight": 0.7, "distill_weight": 1.3, "lwf_weight": 0.4, "consistency_weight": 0.6}
    method = auto(quota=1, jitter="none", **settings)
    known = label_sets(stream[: index - 1])
    task = stream[index - 1]
    after = {one.dataset: one.prompts for one in known} | {task.dataset: task.prompts}

    def expected(places):
        now, before, memory = method.adapters, method.before, method.memory
        rows = method.seen.rows[places]
        images, labels = features(method, task)[rows], task.labels[rows]
        texts = {name: method.frozen_texts(list(prompts)) for name, prompts in after.items()}
        total = cross_entropy(cosines(method, now, images, texts[task.dataset]), labels)
        v, w = (F.normalize(rows.float(), dim=1) for rows in (memory.v, memory.w))
        replayed, kept = [], []
        for row, dataset, label in zip(v, memory.datasets.tolist(), memory.labels.tolist(), strict=True):
            name = "ab"[dataset]
            replayed.append(cross_entropy(cosines(method, now, row[None], texts[name]), [label]))
            then = texts[name][: len({one.dataset: one.prompts for one in known}[name])]
            kept.append(soft(cosines(method, before, row[None], then), cosines(method, now, row[None], then)))
        total = total + 0.7 * torch.stack(replayed).mean() + 1.3 * torch.stack(kept).mean()
        lwf = []
        for one in known:
            then = texts[one.dataset][: len(one.prompts)]
            lwf.append(soft(cosines(method, before, images, then), cosines(method, now, images, then)))
        nce = adapted(now.image, v) @ adapted(now.text, w).T / 0.07
        return total + 0.4 * torch.stack(lwf).mean() + 0.6 * cross_entropy(nce, range(len(v)))

    found = last_losses(method, stream, index, expected, steps=4, batch_size=9)
    assert len(found) == 4
    for value, wanted in found:
        torch.testing.assert_close(value, wanted, rtol=1e-4, atol=1e-4)


def test_the_loss_on_captions_is_that_of_the_parts_by_hand(monkeypatch):
    stream = [captioned(1), captioned(2)]
    settings = {"replay_weight": 0.7, "distill_weight": 1.3, "consistency_weight": 0.6}
    method, drawn = auto(quota=1, jitter="none", **settings), []
    from baselines.parts.adapters import Features

    plain = Features.drawn_texts

    def remembered(self, places, draws):
        drawn.append(plain(self, places, draws))
        return drawn[-1]

    monkeypatch.setattr(Features, "drawn_texts", remembered)

    def expected(places):
        now, before, memory = method.adapters, method.before, method.memory
        rows = method.seen.rows[places]
        images, texts = features(method, stream[1])[rows], drawn[-1]
        for text, row in zip(texts, rows, strict=True):
            own = method.frozen_texts(list(stream[1].captions[row]))
            assert (own @ text).max() > 1 - 1e-5
        total = pairs_loss(cosines(method, now, images, texts))
        v, w = (F.normalize(rows.float(), dim=1) for rows in (memory.v, memory.w))
        own = range(len(v))
        to_texts = cosines(method, now, v, torch.cat([w, texts]))
        to_images = cosines(method, now, torch.cat([v, images]), w).T
        total = total + 0.7 * (cross_entropy(to_texts, own) + cross_entropy(to_images, own)) / 2
        then, found = cosines(method, before, v, w), cosines(method, now, v, w)
        total = total + 1.3 * (soft(then, found) + soft(then.T, found.T)) / 2
        nce = adapted(now.image, v) @ adapted(now.text, w).T / 0.07
        return total + 0.6 * cross_entropy(nce, own)

    found = last_losses(method, stream, 2, expected, steps=4, batch_size=9)
    for value, wanted in found:
        torch.testing.assert_close(value, wanted, rtol=1e-4, atol=1e-4)


# The meta-objective


def by_hand(method, task, known, v, w, rate, weight):
    """The bilevel loss: a step on the seeds by hand, on copies of both adapters."""
    total = 0.0
    for origin in (method.before, method.adapters):
        adapters = copy.deepcopy(origin).requires_grad_()
        inner = torch.stack(
            [cross_entropy(cosines(method, adapters, rows, method.support.texts), range(3)) for rows in v]
        )
        pairs = [pairs_loss(cosines(method, adapters, *rows)) for rows in zip(v, w, strict=True)]
        value = inner.mean() + weight * torch.stack(pairs).mean()
        names, parameters = zip(*adapters.named_parameters(), strict=True)
        slopes = torch.autograd.grad(value, parameters, create_graph=True)
        for name, parameter, slope in zip(names, parameters, slopes, strict=True):
            side, layer, _ = name.split(".")
            part = getattr(getattr(adapters, side), layer)
            del part.weight
            part.weight = parameter.detach() - rate * slope
        held = method.validation
        real = features(method, task)[held.rows]
        first = min(task.labels)
        total = total + cross_entropy(cosines(method, adapters, real, held.texts), task.labels[held.rows] - first)
        old = []
        for row, dataset, label in zip(
            method.memory.v, method.memory.datasets.tolist(), method.memory.labels.tolist(), strict=True
        ):
            prompts = known["ab"[dataset]]
            texts = method.frozen_texts(list(prompts))
            old.append(cross_entropy(cosines(method, adapters, F.normalize(row.float(), dim=0)[None], texts), [label]))
        total = total + (torch.stack(old).mean() if old else 0.0)
    return total / 2


@pytest.mark.parametrize("index", [1, 2, 4])
def test_the_meta_loss_and_its_gradient_are_those_of_a_step_by_hand(index):
    stream = class_stream()
    method, found = auto(inner_rate=0.3, consistency_weight=0.6), []

    def look(task):
        known = {(one.dataset or one.name): one.prompts for one in stream[: index - 1]} | {task.dataset: task.prompts}
        generator = torch.Generator().manual_seed(4)
        rows = torch.randn(2, 2, 3, WIDTH, generator=generator)
        v, w = (F.normalize(part, dim=-1).requires_grad_() for part in rows)
        value = method._meta(v, w)
        slopes = torch.autograd.grad(value, (v, w))
        wanted = by_hand(method, task, known, v, w, 0.3, 0.6)
        found.append((value, wanted, slopes, torch.autograd.grad(wanted, (v, w))))

    at_finish(method, look, index)
    play(method, stream, upto=index)
    ((value, wanted, slopes, wanted_slopes),) = found
    torch.testing.assert_close(value, wanted, rtol=1e-4, atol=1e-5)
    for one, two in zip(slopes, wanted_slopes, strict=True):
        assert two.abs().max() > 1e-6
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3 * float(two.abs().max()))


def test_the_meta_gradient_reaches_the_generator_as_finite_differences_say():
    method, checked = auto(precise=True, inner_rate=0.3, learning_rate=0.02), []

    def look(task):
        codes = gradient_codes(method.support.images, method.support.labels, method.support.texts)
        noise = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

        def value():
            return method._meta(*method.generator(codes, noise))

        parameters = dict(method.generator.named_parameters())
        slopes = dict(zip(parameters, torch.autograd.grad(value(), list(parameters.values())), strict=True))
        for name, parameter in parameters.items():
            for place in (0, parameter.numel() // 2, parameter.numel() - 1):
                values = []
                for sign in (1, -1):
                    with torch.no_grad():
                        parameter.view(-1)[place] += sign * 1e-5
                        # no_grad would cut the inner step off
                    values.append(value().item())
                    with torch.no_grad():
                        parameter.view(-1)[place] -= sign * 1e-5
                wanted = (values[0] - values[1]) / 2e-5
                assert slopes[name].view(-1)[place].item() == pytest.approx(wanted, rel=1e-4, abs=1e-8), name
                checked.append(abs(wanted))

    at_finish(method, look, 1)
    method._report = lambda task, ctx: None  # seeds are read in single precision
    play(method, plain_stream(1))
    assert len(checked) == 24
    assert sum(slope > 1e-5 for slope in checked) > 6


def test_training_brings_seeds_nearer_to_class_means():
    found = {}
    for steps in (0, 60):
        learner = play(auto(generator_steps=steps), plain_stream(1))
        found[steps] = learner.reports[0].log[0]
    assert found[60]["fidelity_image"] > max(0.9, found[0]["fidelity_image"])
    assert found[60]["fidelity_text"] > max(0.9, found[0]["fidelity_text"])


# The engine's side: states, logs, meters


@pytest.mark.parametrize(
    ("stream", "settings"),
    [(plain_stream(3), {}), (class_stream(), {"memory": 10}), ([captioned(1), captioned(2), captioned(3)], {})],
    ids=["data sets", "class by class", "captions"],
)
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(stream, settings, tmp_path):
    whole = play(auto(**settings), stream)
    play(auto(**settings), stream, upto=1).save(tmp_path / "state")
    other = player_of(auto(seed=9, **settings), stream)
    other.load(tmp_path / "state")
    for task in stream[1:]:
        other.learn(task, lambda done, total, word: None)
    assert same(other.method.state_dict(), whole.method.state_dict())


def test_the_seed_decides_and_nothing_else():
    stream = plain_stream(2)
    assert same(learned(stream), learned(stream))
    other = play(auto(), stream, seed=1).method.state_dict()
    assert not same({name: other[name] for name in learned(stream)}, learned(stream))


@pytest.mark.parametrize("stream", [plain_stream(2), class_stream(), [captioned(1), captioned(2)]], ids=len)
def test_each_task_logs_its_seeds_and_what_is_kept(stream):
    learner = play(auto(), stream, steps=2)
    for task, report, state in zip(stream, learner.reports, learner.states, strict=True):
        seeds, memory = report.log
        assert (seeds["report"], memory["report"]) == ("seeds", "memory")
        assert seeds["task"] == memory["task"] == task.name
        assert seeds["seeds"] == int((state["memory.tasks"] == task.index).sum())
        assert memory["items"] == len(state["memory.v"])
        kept = {name: value for name, value in state.items() if not name.startswith("backbone.")}
        assert memory["bytes"] == sum(value.numel() * value.element_size() for value in kept.values())
        assert memory["bytes"] == sum(size for name, size in memory.items() if name.startswith("bytes_"))
        assert ("probe_bleu4" in seeds) == (task.captions is not None)
    assert memory["bytes"] == learner.footprint().bytes_between_tasks


def test_pictures_and_seeds_are_metered_and_within_the_budget():
    first, second = (report.usage for report in play(auto(stabilise_steps=5), plain_stream(2), steps=6).reports)
    assert first.task_pictures == second.task_pictures == 6 * 8
    assert first.reference_pictures == second.reference_pictures == SAMPLES <= 6 * 8
    assert (first.replayed_samples, second.replayed_samples) == (0, (5 + 6) * 6)  # six seeds, fewer than a batch
    unstable = play(auto(stabilise=False), plain_stream(2), steps=6).reports[1].usage
    assert unstable.replayed_samples == 6 * 6


def test_no_more_pictures_are_looked_at_than_the_budget_has():
    learner = play(auto(), plain_stream(2), steps=2, reference_batch=5)
    assert [report.usage.reference_pictures for report in learner.reports] == [10, 10]


@pytest.mark.parametrize("stream", [class_stream(), [captioned(1), captioned(2)]], ids=["class by class", "captions"])
def test_what_has_been_learned_can_be_asked(stream):
    learner = play(auto(), stream)
    task = stream[0]
    names = ("dark", "grey", "bright") if task.captions else stream[-1].class_names
    query = task_query("a", names, ("a photo of a {c}.",))
    (logits,) = learner.score(task.images, [query])
    assert logits.shape == (SAMPLES, len(names))
    assert np.isfinite(logits).all()


def test_replay_keeps_more_of_the_first_task():
    first, second = plain_stream(2)
    stream = [first, replace(second, labels=2 - second.labels)]  # dark is bright now
    query = task_query("1", first.class_names, first.templates[:1])
    off = {"replay_weight": 0.0, "distill_weight": 0.0, "consistency_weight": 0.0, "lwf": False}
    lost = {}
    for name, settings in {"on": {"lwf": False}, "off": off}.items():
        learner = play(auto(learning_rate=0.02, **settings), stream, steps=25)
        (logits,) = learner.score(first.images, [query])
        lost[name] = float(cross_entropy(torch.as_tensor(logits), first.labels))
    assert lost["on"] < lost["off"] / 2


# A real stream

FIVE_TASKS = f"""
name = "first-half-of-mini-c2r"
version = 1
title = "five tasks"
description = "The first data set of mini-c2r with its budget: half the time of the whole stream."
source = "mini"
scale = "mini"
backbone = "vlcl-mini/v1"
tasks = ["mini-color"]
evaluation_batch = 125
ranked = false

[class_groups.mini-color]
size = 8
order = {list(range(40))}

[budget]
steps = 40
batch_size = 32
learning_rate = 6e-4
warmup = 4
ensemble_interval = 4
reference_batch = 32
auxiliary_size = 4000

[augmentation]
scale = [0.9, 1.0]
ratio = [0.75, 1.3333333333333333]
"""


@pytest.mark.slow
def test_on_real_tasks_the_full_method_is_above_its_ablations(world, tmp_path):
    last = {}
    (tmp_path / "short.toml").write_text(FIVE_TASKS)
    for name, settings in {
        "full": [],
        "no consistency": ["--set", "consistency=false"],
        "noise": ["--set", "conditioning=noise"],
        "random vectors": ["--set", "conditioning=random_vectors"],
    }.items():
        out = tmp_path / name.replace(" ", "-")
        ended = vlcl("run", "--protocol", tmp_path / "short.toml", "--method", NAME, *settings, "--out", out, "--json")
        assert ended.code == 0, ended.err
        last[name] = ended.json["metrics"]["last"]
        assert ended.json["track"] == "standard"
    assert all(last["full"] > value for name, value in last.items() if name != "full"), last
