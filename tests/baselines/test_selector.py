"""Which task a picture belongs to: autoencoders, their limits, the choice, the budget, and the frozen features."""

import copy
import math
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
from support.moe import build, context, learn, learner, pictures, play, reference, task, tiny
from support.playing import make_budget, same
from torch import nn

from baselines.moe_adapter.selector import ALEXNET_FILE, Autoencoder, Selector, TowerFeatures, alexnet_features
from vlcl_bench.backbones.blocks import towers
from vlcl_bench.errors import MachineError

CPU = torch.device("cpu")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def flat(images):
    """Frozen features that are the pictures' own values."""
    return images.flatten(1)


def selector(features=flat, hidden=8):
    return Selector(features, hidden)


def patterns(count, kind, size=30):
    """Values around a vector of their own for each kind."""
    centre = torch.randn(size, generator=generator(100 + kind)) * 2
    return centre + 0.3 * torch.randn(count, size, generator=generator(kind))


def reconstruction(coder, x):
    """What an autoencoder gives back, from its weights."""
    hidden = (x @ coder.inward.weight.T + coder.inward.bias).clamp(min=0)
    return 1 / (1 + torch.exp(-(hidden @ coder.outward.weight.T + coder.outward.bias)))


def errors_by_hand(own, images, features=flat):
    x = 1 / (1 + torch.exp(-features(images).flatten(1)))
    return torch.stack([((reconstruction(coder, x) - x) ** 2).sum(dim=1) / x.shape[1] for coder in own.coders], 1)


# The autoencoders


def test_an_autoencoder_of_alexnets_features_has_the_published_number_of_parameters():
    with torch.device("meta"):
        coder = Autoencoder(256 * 13 * 13, 100)
    assert sum(value.numel() for value in coder.parameters()) == 43_264 * 100 + 100 + 100 * 43_264 + 43_264 == 8_696_164


def test_the_errors_are_mean_squares_per_picture_and_autoencoder():
    own = selector()
    for _ in range(3):
        own.add(30, CPU)
    images = patterns(5, 0)
    torch.testing.assert_close(own.errors(images), errors_by_hand(own, images).detach())
    assert not own.errors(images).requires_grad


def test_the_features_go_through_a_sigmoid():
    images = patterns(4, 0)
    torch.testing.assert_close(selector().inputs(images), 1 / (1 + torch.exp(-images)))


def test_training_lowers_the_error():
    own, images = selector(), patterns(60, 1)
    found = []
    for steps in (0, 5, 100):
        own.learn(own.inputs(images), steps, 16, generator(), CPU)
        found.append(own.errors(images)[:, -1].mean().item())
    assert found[0] > found[1] > found[2]
    assert found[0] > 3 * found[2]


@pytest.mark.parametrize(("count", "batch", "steps"), [(10, 4, 7), (8, 4, 50), (5, 16, 25), (1, 4, 3)])
def test_the_optimiser_is_adam_with_the_published_rates(count, batch, steps, monkeypatch):
    seen = []

    class Watched(torch.optim.Adam):
        def __init__(self, parameters, **given):
            super().__init__(parameters, **given)
            seen.append(given)

        def step(self, closure=None):
            seen.append(self.param_groups[0]["lr"])
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "Adam", Watched)
    own = selector()
    own.learn(own.inputs(patterns(count, 0)), steps, batch, generator(), CPU)
    assert seen[0]["weight_decay"] == 1e-4
    an_epoch = math.ceil(count / batch)
    assert seen[1:] == pytest.approx([0.01 * 0.1 ** (step // (10 * an_epoch)) for step in range(steps)])


def test_learning_is_adam_on_the_mean_squared_error_of_shuffled_batches():
    own, images = selector(), patterns(10, 0)
    x = own.inputs(images)
    own.learn(x, 0, 4, generator(7), CPU)
    expected = own.coders[0]
    own.learn(x, 3, 4, generator(7), CPU)
    # The same values to begin with, then three steps written out.
    stream = generator(7)
    torch.randint(2**62, (), generator=stream)
    order = torch.randperm(10, generator=stream)
    values = [value.detach().clone() for value in expected.parameters()]
    means, squares = ([torch.zeros_like(value) for value in values] for _ in range(2))
    for step, rows in enumerate((order[:4], order[4:8], order[8:]), 1):
        with torch.no_grad():
            for parameter, value in zip(expected.parameters(), values, strict=True):
                parameter.copy_(value)
        expected.zero_grad()
        ((reconstruction(expected, x[rows]) - x[rows]) ** 2).mean().backward()
        for i, parameter in enumerate(expected.parameters()):
            gradient = parameter.grad + 1e-4 * values[i]
            means[i] = 0.9 * means[i] + 0.1 * gradient
            squares[i] = 0.999 * squares[i] + 0.001 * gradient**2
            scaled = means[i] / (1 - 0.9**step) / ((squares[i] / (1 - 0.999**step)).sqrt() + 1e-8)
            values[i] = values[i] - 0.01 * scaled
    for found, value in zip(own.coders[1].parameters(), values, strict=True):
        torch.testing.assert_close(found.detach(), value, rtol=1e-3, atol=1e-4)


def test_autoencoders_follow_from_their_generator_and_leave_the_global_one_alone():
    def learned(seed, stream):
        own = selector()
        torch.manual_seed(seed)
        own.learn(own.inputs(patterns(10, 0)), 3, 4, generator(stream), CPU)
        return own.state_dict(), torch.rand(1)

    (one, after), (two, _), (three, _) = learned(0, 0), learned(5, 0), learned(0, 1)
    assert same(one, two)
    assert not same(one, three)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(1))


def test_autoencoders_learned_before_do_not_move():
    own = selector()
    for kind in range(3):
        before = {name: value.clone() for name, value in own.coders.state_dict().items()}
        own.learn(own.inputs(patterns(10, kind)), 3, 4, generator(kind), CPU)
        assert all(torch.equal(own.coders.state_dict()[name], value) for name, value in before.items())
    assert own.limits.tolist() == [math.inf] * 3


def test_each_picture_is_sent_to_the_autoencoder_of_its_kind():
    own = selector()
    for kind in range(4):
        own.learn(own.inputs(patterns(40, kind)), 60, 16, generator(kind), CPU)
    for kind in range(4):
        fresh = patterns(60, kind)[40:]
        assert (own.choose(own.errors(fresh)) == kind).all()


# The choice


def by_brute_force(errors, limits, bound=None):
    found = []
    for row in errors.tolist():
        best = min(range(len(row)), key=lambda k: row[k])
        limit = limits[best] if bound is None else bound
        found.append(best if row[best] <= limit else 0)
    return found


@pytest.mark.parametrize("bound", [None, 0.0, 0.1, 0.3, math.inf])
@pytest.mark.parametrize("seed", range(4))
def test_a_picture_goes_to_the_least_error_within_its_limit(seed, bound):
    own = selector()
    own.limits = torch.cat([torch.tensor([math.inf]), torch.rand(4, generator=generator(seed)) * 0.4])
    errors = torch.rand(200, 5, generator=generator(seed + 10))
    assert own.choose(errors, bound).tolist() == by_brute_force(errors, own.limits.tolist(), bound)


def test_an_error_at_the_limit_is_within_it():
    own = selector()
    own.limits = torch.tensor([math.inf, 0.5, 0.25])
    errors = torch.tensor([[0.9, 0.5, 0.6], [0.9, 0.501, 0.6], [0.9, 0.7, 0.25], [0.9, 0.7, 0.26], [0.2, 0.3, 0.3]])
    assert own.choose(errors).tolist() == [1, 0, 2, 0, 0]
    assert own.choose(errors, 0.5).tolist() == [1, 0, 2, 2, 0]


def test_the_choice_of_a_picture_does_not_depend_on_the_others():
    own = selector()
    for kind in range(3):
        own.learn(own.inputs(patterns(20, kind)), 10, 8, generator(kind), CPU)
    own.limits[1:] = 0.05
    images = torch.cat([patterns(40, kind) for kind in range(5)])
    together = own.choose(own.errors(images))
    alone = torch.cat([own.choose(own.errors(image[None])) for image in images])
    assert torch.equal(together, alone)
    assert len(together.unique()) > 1


# What a task teaches it


def taught(index=2, samples=30, **settings):
    """A method after ``index`` tasks and what its selector was shown in the last: held out and own rows."""
    method = build(**settings)
    playing = play(method, *(task(before, samples) for before in range(1, index)))
    asked = []
    original = type(method)._inputs

    def watched(rows, images):
        asked.append(rows)
        return original(method, rows, images)

    method._inputs = watched
    given = task(index, samples)
    return method, learn(playing, given), given, asked


def test_the_limit_is_mean_plus_three_standard_deviations_of_errors_held_out():
    method, playing, given, (own,) = taught()
    ctx = context(method)
    order = torch.randperm(30, generator=ctx.generator("selector", 2)).numpy()
    held = sorted(set(order[:3]))
    assert not set(held) & set(own)
    features = TowerFeatures(tiny())
    found = errors_by_hand(method.selector, method.backbone.preprocess(torch.from_numpy(given.images[held])), features)
    values = found[:, 2].detach().double().numpy()
    assert float(method.selector.limits[2]) == pytest.approx(values.mean() + 3 * values.std(), rel=1e-4)
    said = next(line for line in playing.reports[-1].log if "note" not in line)
    limits = method.selector.limits.tolist()
    chosen = np.array(by_brute_force(found, limits))
    assert said["held_out"] == 3
    assert said["limit"] == pytest.approx(limits[2])
    assert said["selected"] == pytest.approx((chosen == 2).mean())
    assert said["to_zero_shot"] == pytest.approx((chosen == 0).mean())


def test_the_tolerance_moves_the_limits_and_nothing_else():
    states = [play(build(tolerance=tolerance), 1, 2).method.state_dict() for tolerance in (0.0, 3.0)]
    apart = {name for name, value in states[0].items() if not torch.equal(value, states[1][name])}
    assert apart == {"selector.limits"}
    assert (states[0]["selector.limits"][1:] < states[1]["selector.limits"][1:]).all()


def test_zero_shot_learns_once_from_reference_pictures_alone():
    method, asked = build(), []
    playing = learner(method)
    original = type(method)._inputs

    def watched(rows, images):
        asked.append((rows, images(rows[:1]), getattr(images, "__name__", "task")))
        return original(method, rows, images)

    method._inputs = watched
    for index in (1, 2, 3):
        before = {k: v.clone() for k, v in method.selector.coders.state_dict().items()}
        learn(playing, index)
        now = method.selector.coders.state_dict()
        assert all(torch.equal(now[name], value) for name, value in before.items())
    assert [kind for *_, kind in asked] == ["reference_images", "task", "task", "task"]
    rows, first, _ = asked[0]
    expected = method.backbone.preprocess(torch.from_numpy(reference().pictures[rows[:1]]))
    torch.testing.assert_close(first, expected)
    assert method.selector.limits[0] == math.inf
    assert len(method.selector.coders) == 4


def test_zero_shot_does_not_depend_on_the_first_task_but_for_its_place():
    found = [play(build(), one).method.selector for one in (task(1), task(1, samples=9))]
    assert same(found[0].coders[0].state_dict(), found[1].coders[0].state_dict())
    assert not same(found[0].coders[1].state_dict(), found[1].coders[1].state_dict())


@pytest.mark.parametrize(("steps", "batch"), [(2, 8), (3, 16), (4, 8), (6, 4), (10, 8), (25, 3)])
@pytest.mark.parametrize("samples", [1, 2, 9, 60])
def test_the_reference_budget_is_never_exceeded(steps, batch, samples):
    method = build(selector_steps=1, zero_shot_steps=1)
    playing = learner(method, steps=steps, batch_size=4, reference_batch=batch, warmup=1)
    learn(playing, *(task(index, samples) for index in (1, 2)))
    allowed = make_budget(steps=steps, reference_batch=batch).reference_presentations
    used = [report.usage.reference_pictures for report in playing.reports]
    assert all(0 < count <= allowed for count in used)
    assert used[1] <= 0.4 * allowed + 2
    assert all(report.usage.task_pictures <= 4 * steps for report in playing.reports)
    assert torch.isfinite(method.selector.limits[1:]).all()


def test_the_smallest_budget_does():
    playing = play(build(), task(1, 1), steps=1, batch_size=1, reference_batch=1, warmup=0)
    assert len(playing.method.selector.coders) == 2


def test_a_task_of_one_picture_is_its_own_limit():
    method = play(build(), task(1, 1)).method
    image = method.backbone.preprocess(torch.from_numpy(task(1, 1).images))
    assert float(method.selector.limits[1]) == pytest.approx(float(method.selector.errors(image)[0, 1]), rel=1e-5)


def test_all_pictures_that_are_looked_at_are_metered(monkeypatch):
    method = build()
    seen = []
    original = method.selector.features
    method.selector.features = lambda images: seen.append(len(images)) or original(images)
    report = play(method, 1).reports[0]
    # Beside what the selector sees, a few pictures are looked at for the share that meets experts that still learn.
    few = max(1, 6 * 8 // 20)
    assert report.usage.reference_pictures == sum(seen) + few


# A state


def test_a_state_makes_the_autoencoders_it_needs():
    own = selector()
    for kind in range(3):
        own.learn(own.inputs(patterns(10, kind)), 2, 4, generator(kind), CPU)
    own.limits[1:] = 0.3
    for fresh in (selector(), selector()):
        fresh.add(30, CPU)
        fresh.load_state_dict(own.state_dict())
        assert torch.equal(fresh.errors(patterns(4, 0)), own.errors(patterns(4, 0)))
        assert torch.equal(fresh.limits, own.limits)


# Features of the tower


def test_the_towers_features_are_the_states_after_half_its_blocks():
    backbone = tiny(vision={"layers": 5})
    images, seen = pictures(backbone), []
    handle = towers(backbone).image[1].module.register_forward_hook(lambda m, given, out: seen.append(out))
    with torch.no_grad():
        backbone.encode_image(images)
    handle.remove()
    found = TowerFeatures(backbone)(images)
    assert torch.equal(found, seen[0])
    assert selector(TowerFeatures(backbone)).inputs(images).shape == (6, found[0].numel())


def test_a_tower_of_one_block_has_features_too():
    backbone = tiny(vision={"layers": 1})
    assert TowerFeatures(backbone)(pictures(backbone)).shape == (6, 5, 32)


def test_a_copied_selector_looks_at_the_copied_tower():
    whole = nn.ModuleDict({"backbone": tiny()})
    whole["selector"] = selector(TowerFeatures(whole["backbone"]))
    images = pictures(whole["backbone"])
    expected = whole["selector"].inputs(images)
    other = copy.deepcopy(whole)
    with torch.no_grad():
        for value in whole["backbone"].parameters():
            value.add_(0.5)
    assert torch.equal(other["selector"].inputs(images), expected)
    assert not torch.equal(whole["selector"].inputs(images), expected)


# Features of AlexNet

CONVOLUTIONS = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


def alexnet_file(hub: Path):
    """A file of random weights in torch's cache; the dense layers, which are not used, are views of one zero."""
    stream, values = generator(), {}
    for place, (out, within, side) in CONVOLUTIONS.items():
        weight = torch.randn(out, within, side, side, generator=stream) / (within * side * side) ** 0.5
        values |= {f"features.{place}.weight": weight, f"features.{place}.bias": torch.randn(out, generator=stream)}
    for place, (out, within) in {1: (4096, 9216), 4: (4096, 4096), 6: (1000, 4096)}.items():
        values[f"classifier.{place}.weight"] = torch.zeros(1).expand(out, within)
        values[f"classifier.{place}.bias"] = torch.zeros(1).expand(out)
    (hub / "checkpoints").mkdir(parents=True)
    torch.save(values, hub / "checkpoints" / ALEXNET_FILE)
    return values


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty cache of torch's, and no network."""

    def unreachable(*given, **more):
        raise urllib.error.URLError("there is no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("baselines.moe_adapter.selector.ALEXNET_SHA256", "")  # the weights of these tests are made up
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    return tmp_path / "hub"


def test_alexnets_features_are_its_last_convolution_before_relu_and_pooling(hub):
    values = alexnet_file(hub)
    network, images = alexnet_features(CPU), torch.randn(2, 3, 224, 224, generator=generator(3))
    x = images
    for place, stride, padding in ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)):
        x = nn.functional.conv2d(
            x, values[f"features.{place}.weight"], values[f"features.{place}.bias"], stride, padding
        )
        if place != 10:
            x = x.clamp(min=0)
        if place in (0, 3):
            x = nn.functional.max_pool2d(x, 3, 2)
    assert x.shape == (2, 256, 13, 13)
    torch.testing.assert_close(network(images), x, rtol=1e-4, atol=1e-4)
    own = selector(network)
    assert own.inputs(images).shape == (2, 43_264)
    torch.testing.assert_close(own.inputs(images), 1 / (1 + torch.exp(-x.flatten(1))), rtol=1e-4, atol=1e-4)
    assert not any(value.requires_grad for value in network.parameters())
    assert not network.training


def test_alexnets_weights_that_cannot_be_had_say_where_to_put_them(hub):
    with pytest.raises(MachineError, match=r"AlexNet's weights cannot be had.*no network") as refused:
        alexnet_features(CPU)
    assert str(hub / "checkpoints") in refused.value.hint
    assert ALEXNET_FILE in refused.value.hint


@pytest.mark.parametrize("damage", [b"", b"no weights at all", None])
def test_alexnets_weights_that_are_damaged_say_so(hub, damage):
    alexnet_file(hub)
    path = hub / "checkpoints" / ALEXNET_FILE
    path.write_bytes(path.read_bytes()[:-2000] if damage is None else damage)
    with pytest.raises(MachineError, match="AlexNet's weights") as refused:
        alexnet_features(CPU)
    assert ALEXNET_FILE in refused.value.hint


def test_weights_with_another_hash_are_refused(hub, monkeypatch):
    alexnet_file(hub)
    monkeypatch.setattr("baselines.moe_adapter.selector.ALEXNET_SHA256", "7be5be79")
    with pytest.raises(MachineError, match=r"has the SHA-256 .*, expected 7be5be79"):
        alexnet_features(CPU)


def test_weights_of_another_network_are_refused(hub):
    (hub / "checkpoints").mkdir(parents=True)
    torch.save({"other": torch.zeros(1)}, hub / "checkpoints" / ALEXNET_FILE)
    with pytest.raises(MachineError, match="AlexNet's weights"):
        alexnet_features(CPU)


@pytest.mark.parametrize(
    ("settings", "asked"),
    [({}, True), ({"selector": "batch"}, True), ({"selector": "none"}, False), ({"selector_features": "tower"}, False)],
)
def test_alexnet_is_asked_for_only_where_it_is_used(settings, asked, hub):
    def made():
        return build(**{"selector_features": "alexnet"} | settings)

    if asked:
        with pytest.raises(MachineError, match="AlexNet"):
            made()
    else:
        assert len(made().selector.coders) == 0


def test_a_method_whose_selector_sees_with_alexnet_learns(hub):
    alexnet_file(hub)
    backbone = tiny(vision={"image_size": 64})
    method = build(backbone, selector_features="alexnet")
    playing = play(method, 1, 2, side=64)
    assert method.selector.coders[1].inward.weight.shape == (6, 256 * 3 * 3)
    assert not any("selector.features" in name for report in playing.reports for name in report.trained)
