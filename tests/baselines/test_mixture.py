"""The mixture of adapters in a block: sparse against dense, freezing, hooks, and how many parameters it has."""

import copy
import io
import itertools
import math
from types import SimpleNamespace

import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.transformer import Transformer
from support.moe import pictures, shaken, tiny
from torch.utils._python_dispatch import TorchDispatchMode

from baselines.moe_adapter.mixture import Mixture, Mixtures
from vlcl_bench.backbones import load_backbone
from vlcl_bench.backbones.blocks import towers

N, LENGTH, WIDTH = 7, 5, 12
SETTINGS = {"experts": 6, "hidden": 4, "top": 2, "scale": 0.3, "dropout": 0.0}
TEXTS = ["a cat", "a drawing of a rather long red boat", "two hills!"]
PARTS = ("down", "down_bias", "up", "up_bias")


def mixture(routers=3, seed=0, **changes):
    """One block's mixture, with other values than zeros everywhere."""
    return shaken(Mixture(WIDTH, **SETTINGS | changes), routers, seed)


def states(count=N, seed=1, length=LENGTH, alike=False):
    drawn = torch.randn(count, length, WIDTH, generator=torch.Generator().manual_seed(seed))
    if alike:
        drawn[:, 0] = drawn[0, 0].clone()
    return drawn


def dense(own, u, tasks, noise=None):
    """Every expert evaluated on every sequence as two linear layers; the gates of those not picked are zero."""
    answers = []
    for row in range(len(u)):
        task = tasks if isinstance(tasks, int) else int(tasks[row])
        if task == 0:
            answers.append(torch.zeros_like(u[row]))
            continue
        logits = u[row, 0] @ own.routers[task - 1]
        if noise is not None:
            logits = logits + noise[row] * (torch.log1p(torch.exp(u[row, 0] @ own.noises[task - 1])) + 0.01)
        ranked = sorted(range(len(logits)), key=lambda e: -logits[e].item())
        powers = {e: torch.exp(logits[e] - logits[ranked[0]]) for e in ranked[: own.top]}
        total, answer = sum(powers.values()), torch.zeros_like(u[row])
        for e in range(len(logits)):
            gate = powers[e] / total if e in powers else torch.zeros_like(total)
            inside = F.linear(u[row], own.down[e], own.down_bias[e]).clamp(min=0)
            answer = answer + gate * own.scale * F.linear(inside, own.up[e].T, own.up_bias[e])
        answers.append(answer)
    return torch.stack(answers)


def gradients(own, answer):
    """Gradients of all parameters for a weighted sum of the answer."""
    weight = torch.randn(answer.shape, generator=torch.Generator().manual_seed(9))
    given = list(own.parameters())
    found = torch.autograd.grad((answer * weight).sum(), given, retain_graph=True, allow_unused=True)
    return {
        name: torch.zeros_like(value) if gradient is None else gradient
        for (name, value), gradient in zip(own.named_parameters(), found, strict=True)
    }


def assert_same_gradients(own, found, expected):
    one, two = gradients(own, found), gradients(own, expected)
    for name, gradient in two.items():
        torch.testing.assert_close(one[name], gradient, rtol=1e-5, atol=1e-5)
    assert two["up_bias"].any()


# Sparse against dense


@pytest.mark.parametrize("top", [1, 2, 3, 6, 9])
@pytest.mark.parametrize("task", [1, 3])
def test_one_tasks_router_gives_what_all_experts_with_zero_gates_give(top, task):
    own, u = mixture(top=top), states()
    found, expected = own(u, task), dense(own, u, task)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert_same_gradients(own, found, expected)


@pytest.mark.parametrize("tasks", [[1, 2, 3, 0, 2, 1, 0], [3] * N, [0, 0, 0, 0, 0, 0, 1]])
def test_a_router_for_each_sequence_gives_what_all_experts_with_zero_gates_give(tasks):
    own, u, which = mixture(), states(), torch.tensor(tasks)
    found, expected = own(u, which), dense(own, u, which)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert_same_gradients(own, found, expected)


@pytest.mark.parametrize("count", [1, 2, N])
def test_one_choice_for_all_gives_what_a_choice_for_each_gives_where_they_are_alike(count):
    own, u = mixture(), states(count, alike=True)
    found, expected = own(u, 2, alike=True), dense(own, u, 2)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert_same_gradients(own, found, expected)
    torch.testing.assert_close(found, own(u, 2), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_with_noise_on_the_choice_too(seed, monkeypatch):
    own, u = mixture(seed=seed), states()
    noise = torch.randn(N, 6, generator=torch.Generator().manual_seed(seed))
    monkeypatch.setattr(torch, "randn_like", lambda like: noise)
    found, expected = own(u, 3, learning=True), dense(own, u, 3, noise)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert_same_gradients(own, found, expected)
    assert not torch.allclose(found, dense(own, u, 3))
    assert gradients(own, found)["noises.2"].any()


def test_the_gradient_that_passes_through_equals_the_dense_one():
    own = mixture().double()
    for tasks in (2, torch.tensor([1, 2, 0, 3, 1, 2, 3])):
        u = states().double().requires_grad_()
        one, two = (torch.autograd.grad(x.square().sum(), u)[0] for x in (own(u, tasks), dense(own, u, tasks)))
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5)


def test_sequences_of_task_0_get_exactly_nothing():
    own, tasks = mixture(), torch.tensor([0, 1, 0, 2, 0, 3, 0])
    found = own(states(), tasks)
    assert not found[tasks == 0].any()
    assert found[tasks > 0].abs().amin(dim=(1, 2)).gt(0).all()


def test_experts_answer_nothing_before_they_learn_and_their_inward_weights_are_kaiming_uniform():
    torch.manual_seed(0)
    own = Mixture(WIDTH, **SETTINGS | {"hidden": 500})
    own.add_router()
    assert not own(states(), 1).any()
    bound = math.sqrt(6 / ((1 + 5) * WIDTH))  # gain sqrt(2 / (1 + a^2)) with a^2 = 5, times sqrt(3 / fan-in)
    assert own.down.abs().max() <= bound
    assert own.down.abs().max().item() == pytest.approx(bound, rel=1e-3)
    assert own.down.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert not any(part.any() for part in (own.down_bias, own.up, own.up_bias, own.routers[0], own.noises[0]))


def test_dropout_is_on_the_hidden_units_and_only_while_learning(monkeypatch):
    calls = []
    monkeypatch.setattr(F, "dropout", lambda x, p, training: calls.append((x, p, training)) or x)
    own = mixture(dropout=0.4)
    for learning in (True, False):
        own(states(), 1, learning=learning)
        own(states(), 1, learning=learning, alike=True)
    assert [(p, training) for _, p, training in calls] == [(0.4, True)] * 2 + [(0.4, False)] * 2
    assert all(x.shape[-1] == 2 * 4 and bool((x >= 0).all()) for x, _, _ in calls)


def test_dropout_leaves_the_mean_as_it_is(monkeypatch):
    own, u = mixture(dropout=0.5), states(2)
    torch.manual_seed(0)
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)
    drawn = torch.stack([own(u, 1, learning=True) for _ in range(3000)])
    expected = own(u, 1)
    assert not torch.allclose(drawn[0], expected)
    assert ((drawn.mean(dim=0) - expected).abs() <= 5 * drawn.std(dim=0) / math.sqrt(3000) + 1e-5).all()


# How it computes


class Operations(TorchDispatchMode):
    """Names of the operations that run."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(str(func))
        return func(*args, **kwargs or {})


def operations(experts, tasks, learning=False, alike=False):
    own = mixture(experts=experts)
    with Operations() as seen:
        own(states(), tasks, learning, alike).sum().backward()
    return seen.names


@pytest.mark.parametrize(
    "given", [(1,), (1, True), (1, False, True), (torch.tensor([0, 1, 2, 3, 1, 2, 3]),)],
    ids=["task", "learning", "alike", "tasks"],
)  # fmt: skip
def test_there_is_no_loop_over_experts_and_nothing_waits_for_the_device(given):
    few, many = operations(3, *given), operations(22, *given)
    assert few == many
    waiting = ("_local_scalar_dense", "nonzero", "aten.item", "masked_select", "unique", "_to_copy")
    assert not [name for name in many if any(word in name for word in waiting)]


def test_only_the_chosen_experts_are_computed():
    own, u = mixture(), states()
    chosen, _ = own.route(u[:, 0], 1, learning=False)
    expected = own(u, 1)
    idle = [e for e in range(6) if e not in chosen]
    assert idle, "all experts are used: take another seed"
    with torch.no_grad():
        for part in own.experts().values():
            part[idle] = torch.nan
    assert torch.equal(own(u, 1), expected)


# Learning, counting, freezing


def steps(own, task, count=3, learning_rate=0.1, seed=0):
    """Train the mixture as the recipe does."""
    torch.manual_seed(seed)
    given = [*own.experts().values(), own.routers[-1], own.noises[-1]]
    optimizer = torch.optim.AdamW(given, lr=learning_rate, weight_decay=0.0)
    for step in range(count):
        u = states(seed=100 * task + step)
        loss = (own(u, task, learning=True) - u.flip(2)).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def copies(own):
    return {name: value.detach().clone() for name, value in own.state_dict().items()}


def test_what_was_picked_is_counted():
    own, picked = mixture(routers=0), []
    own.begin_task()
    original = own.route
    own.route = lambda *given: picked.append(original(*given)) or picked[-1]
    steps(own, 1)
    expected = torch.zeros(6, dtype=torch.int64)
    for expert in itertools.chain(*(chosen.flatten().tolist() for chosen, _ in picked)):
        expected[expert] += 1
    assert torch.equal(own.used, expected)
    assert own.used.sum() == 3 * N * 2
    own(states(), 1)
    assert torch.equal(own.used, expected)
    own.end_task(2)
    own.begin_task()
    assert not own.used.any()


@pytest.mark.parametrize(
    ("used", "frozen", "expected"),
    [([3, 9, 1, 9, 0, 2], [], {1, 3}), ([5, 5, 5, 5, 5, 5], [], {0, 1}), ([0, 1, 7, 1, 1, 0], [2, 4], {1, 2, 4}),
     ([9, 1, 8, 0, 0, 0], [0, 2], {0, 2})],
)  # fmt: skip
def test_the_most_used_experts_are_frozen_beside_those_that_were(used, frozen, expected):
    own = mixture(routers=0)
    own.begin_task()
    own.frozen[frozen] = True
    own.used.copy_(torch.tensor(used))
    own.end_task(2)
    assert set(own.frozen.nonzero()[:, 0].tolist()) == expected


def test_frozen_experts_and_past_routers_do_not_move_by_a_bit():
    own = mixture(routers=0)
    before = None
    for task in (1, 2, 3, 4):
        own.begin_task()
        frozen = own.frozen.clone()
        begun = copies(own)
        steps(own, task)
        for name in PARTS:
            now = own.experts()[name]
            assert torch.equal(now[frozen], begun[name][frozen])
            assert (now != begun[name])[~frozen].flatten(1).any(dim=1).all()
        own.end_task(2)
        assert own.frozen[frozen].all()
        assert int(own.frozen.sum() - frozen.sum()) <= 2
        if before is not None:
            assert all(torch.equal(own.state_dict()[n], v) for n, v in before.items() if n.startswith(("r", "n")))
        before = copies(own)
    assert len(own.routers) == len(own.noises) == 4
    assert not any(router.requires_grad for router in (*own.routers, *own.noises))


def test_frozen_experts_get_no_gradient_and_pass_one_on():
    own = mixture(routers=0)
    own.begin_task()
    own.frozen[:] = True
    with torch.no_grad():
        own.routers[0].normal_()
    u = states().requires_grad_()
    own(u, 1, learning=True).square().sum().backward()
    assert not any(part.grad.any() for part in own.experts().values())
    assert u.grad.any()
    assert own.routers[0].grad.any()


def test_what_is_learned_without_freezing_freezes_nothing():
    own = mixture(routers=0)
    own.begin_task()
    steps(own, 1)
    own.end_task(0)
    assert not own.frozen.any()


def test_after_a_task_gradients_are_whole_again():
    own = mixture(routers=0)
    own.begin_task()
    steps(own, 1)
    own.end_task(6)
    expected = mixture(routers=0)
    expected.add_router()
    expected.load_state_dict(own.state_dict())
    for each in (own, expected):
        each.zero_grad(set_to_none=True)
        each(states(), 1).sum().backward()
    assert all(torch.equal(own.experts()[name].grad, expected.experts()[name].grad) for name in PARTS)
    assert own.up_bias.grad.any()


# In the encoders


@pytest.fixture(scope="module")
def mini():
    return load_backbone("vlcl-mini/v1")


def mixtures_of(backbone, seed=3, **changes):
    return shaken(Mixtures(towers(backbone), **SETTINGS | changes), seed=seed)


def both(backbone):
    """Features of pictures and texts."""
    with torch.no_grad():
        return backbone.encode_image(pictures(backbone)), backbone.encode_text(backbone.tokenize(TEXTS))


def equal(one, two):
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def routed(mixtures, backbone, task=1):
    with mixtures.routed(image=task, text=task):
        return both(backbone)


def hooks_of(backbone):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in backbone.modules())


def by_hand(backbone, mixtures, task):
    """Features of pictures and texts with what :func:`dense` gives added in every block, open_clip's layout."""
    model, visual = backbone.model, backbone.model.visual

    def through(blocks, group, x, mask=None):
        for block, own in zip(blocks, group, strict=True):
            normed = block.ln_1(x)
            u = x + block.attn(normed, normed, normed, attn_mask=mask, need_weights=False)[0]
            x = u + block.mlp(block.ln_2(u)) + dense(own, u, task)
        return x

    with torch.no_grad():
        patches = visual.conv1(pictures(backbone)).flatten(2).transpose(1, 2)
        first = visual.class_embedding.expand(len(patches), 1, -1)
        x = visual.ln_pre(torch.cat([first, patches], dim=1) + visual.positional_embedding)
        x = through(visual.transformer.resblocks, mixtures.image, x)
        image = visual.ln_post(x[:, 0]) @ visual.proj
        tokens = backbone.tokenize(TEXTS)
        t = model.token_embedding(tokens) + model.positional_embedding[: tokens.shape[1]]
        mask = torch.full((tokens.shape[1],) * 2, -torch.inf).triu(1)
        t = through(model.transformer.resblocks, mixtures.text, t, mask)
        ends = t[torch.arange(len(t)), tokens.argmax(dim=1)]
        return image, model.ln_final(ends) @ model.text_projection


@pytest.mark.parametrize("task", [1, 2])
def test_the_encoders_with_a_router_equal_a_model_written_out(task):
    backbone = tiny()
    mixtures = mixtures_of(backbone)
    for found, expected in zip(routed(mixtures, backbone, task), by_hand(backbone, mixtures, task), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_blocks_that_take_the_sequence_first_get_the_same():
    plain = tiny()
    turned = copy.deepcopy(plain)
    for owner in (turned.model.visual, turned.model):
        old = owner.transformer
        owner.transformer = Transformer(
            old.width, old.layers, old.resblocks[0].attn.num_heads, batch_first=False
        ).eval()
        owner.transformer.load_state_dict(old.state_dict())
    found, expected = routed(mixtures_of(turned), turned), routed(mixtures_of(plain), plain)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("which", ["tiny", "mini"])
def test_outside_of_a_route_the_encoders_are_untouched_to_the_bit(which, mini):
    backbone = tiny() if which == "tiny" else copy.deepcopy(mini)
    before = both(backbone)
    mixtures = mixtures_of(backbone)
    assert equal(both(backbone), before)
    changed = routed(mixtures, backbone)
    assert not torch.equal(changed[0], before[0])
    assert not torch.equal(changed[1], before[1])
    assert equal(both(backbone), before)
    with mixtures.routed(image=0, text=0):
        assert equal(both(backbone), before)
    with mixtures.routed(image=torch.zeros(6, dtype=torch.int64)):
        assert equal(both(backbone), before)
    mixtures.remove()
    assert hooks_of(backbone) == 0
    with mixtures.routed(image=1, text=1):
        assert equal(both(backbone), before)


def test_one_encoder_can_be_routed_alone():
    backbone = tiny()
    before, mixtures = both(backbone), mixtures_of(backbone)
    everything = routed(mixtures, backbone)
    with mixtures.routed(image=1):
        assert equal(both(backbone), (everything[0], before[1]))
    with mixtures.routed(text=1):
        assert equal(both(backbone), (before[0], everything[1]))


def test_routes_nest_and_end_also_when_something_fails():
    backbone = tiny()
    before, mixtures = both(backbone), mixtures_of(backbone)
    with mixtures.routed(image=1, text=1):
        with pytest.raises(ValueError, match="halt"), mixtures.routed(image=2, text=2, learning=True):
            raise ValueError("halt")
        assert not mixtures.learning
        inside = both(backbone)
    assert equal(inside, routed(mixtures, backbone))
    assert equal(both(backbone), before)


def test_a_pass_that_fails_leaves_nothing_for_the_next():
    backbone = tiny()
    mixtures = mixtures_of(backbone)
    expected = routed(mixtures, backbone)
    block = backbone.model.visual.transformer.resblocks[1]
    handle = block.mlp.register_forward_pre_hook(lambda module, given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        routed(mixtures, backbone)
    handle.remove()
    assert equal(routed(mixtures, backbone), expected)


def test_pictures_of_several_tasks_in_one_batch_get_what_each_gets_alone():
    backbone, tasks = tiny(), torch.tensor([2, 0, 1, 1, 0, 2])
    mixtures, images = mixtures_of(backbone), pictures(backbone)
    with torch.no_grad():
        with mixtures.routed(image=tasks):
            found = backbone.encode_image(images)
        for row, task in enumerate(tasks.tolist()):
            with mixtures.routed(image=task):
                alone = backbone.encode_image(images[row : row + 1])
            torch.testing.assert_close(found[row : row + 1], alone, rtol=1e-4, atol=1e-4)


# Two in one process


def test_two_on_two_backbones_do_not_touch_each_other():
    one, two = tiny(0), tiny(1)
    before = both(two)
    first, second = mixtures_of(one, seed=1), mixtures_of(two, seed=2)
    alone = routed(first, one)
    with second.routed(image=1, text=1, learning=True):
        assert equal(routed(first, one), alone)
    with first.routed(image=1, text=1):
        assert equal(both(two), before)
    second.remove()
    assert equal(routed(first, one), alone)


def test_two_on_copies_of_one_backbone_do_not_touch_each_other():
    one = tiny()
    two = copy.deepcopy(one)
    before = both(one)
    first, second = mixtures_of(one, seed=1), mixtures_of(two, seed=2)
    assert not equal(routed(first, one), routed(second, two))
    with first.routed(image=1, text=1):
        assert equal(both(two), before)
    first.remove()
    assert hooks_of(one) == 0
    assert not equal(routed(second, two), before)


def test_two_on_the_same_backbone_act_only_in_their_own_routes():
    backbone = tiny()
    first = mixtures_of(backbone, seed=1)
    alone = routed(first, backbone)
    second = mixtures_of(backbone, seed=2)
    assert equal(routed(first, backbone), alone)
    assert not equal(routed(second, backbone), alone)
    second.remove()
    assert equal(routed(first, backbone), alone)


def test_a_copy_of_backbone_and_mixtures_is_hooked_to_the_copies():
    whole = torch.nn.ModuleDict({"backbone": tiny()})
    whole["mixtures"] = mixtures_of(whole["backbone"])
    before, expected = both(whole["backbone"]), routed(whole["mixtures"], whole["backbone"])
    other = copy.deepcopy(whole)
    assert equal(routed(other["mixtures"], other["backbone"]), expected)
    with torch.no_grad():
        for value in whole["mixtures"].parameters():
            value.zero_()
    assert equal(routed(other["mixtures"], other["backbone"]), expected)
    with whole["mixtures"].routed(image=1, text=1):
        assert equal(both(other["backbone"]), before)
    other["mixtures"].remove()
    assert hooks_of(other["backbone"]) == 0
    assert hooks_of(whole["backbone"]) == 4 * 2


def test_mixtures_can_be_saved_and_loaded():
    backbone = tiny()
    mixtures, file = mixtures_of(backbone), io.BytesIO()
    torch.save(mixtures.state_dict(), file)
    file.seek(0)
    expected = routed(mixtures, backbone)
    mixtures.remove()
    fresh = shaken(Mixtures(towers(backbone), **SETTINGS), seed=8)
    fresh.load_state_dict(torch.load(file))
    assert equal(routed(fresh, backbone), expected)


# Texts


def choices(backbone, mixtures, texts, task=1, learning=False):
    """Experts and weights that each text gets in each block, chosen for itself."""
    found, originals = [], {}
    for own in mixtures.text:
        originals[own] = own.forward

        def forward(u, tasks, learning, alike, own=own):
            found.append(own.route(u[:, 0], tasks, learning))
            return originals[own](u, tasks, learning, alike)

        own.forward = forward
    with torch.no_grad(), mixtures.routed(text=task, learning=learning):
        backbone.encode_text(backbone.tokenize(texts))
    for own, forward in originals.items():
        own.forward = forward
    return found


@pytest.mark.parametrize("which", ["tiny", "mini"])
def test_under_a_causal_mask_all_texts_are_routed_alike(which, mini):
    backbone = tiny() if which == "tiny" else copy.deepcopy(mini)
    mixtures = mixtures_of(backbone)
    assert mixtures.causal
    for chosen, weights in choices(backbone, mixtures, TEXTS):
        assert len(chosen) == len(TEXTS)
        assert (chosen == chosen[0]).all()
        torch.testing.assert_close(weights, weights[:1].expand_as(weights), rtol=1e-5, atol=1e-5)
    alike = routed(mixtures, backbone)[1]
    mixtures.causal = False
    torch.testing.assert_close(alike, routed(mixtures, backbone)[1], rtol=1e-4, atol=1e-4)


def test_a_texts_feature_does_not_depend_on_the_texts_beside_it():
    backbone = tiny()
    mixtures = mixtures_of(backbone)
    with torch.no_grad(), mixtures.routed(text=2):
        together = backbone.encode_text(backbone.tokenize(TEXTS))
        alone = torch.cat([backbone.encode_text(backbone.tokenize([text])) for text in TEXTS])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_without_a_causal_mask_each_text_is_routed_for_itself():
    backbone = tiny(text={"no_causal_mask": True, "pool_type": "first"})
    with torch.no_grad():  # random weights hardly look at other tokens
        for block in backbone.model.transformer.resblocks:
            block.attn.in_proj_weight.mul_(20)
            block.attn.out_proj.weight.mul_(20)
        backbone.model.token_embedding.weight.mul_(50)
    mixtures = mixtures_of(backbone)
    assert not mixtures.causal
    assert any((chosen != chosen[0]).any() for chosen, _ in choices(backbone, mixtures, TEXTS))
    with torch.no_grad(), mixtures.routed(text=2):
        together = backbone.encode_text(backbone.tokenize(TEXTS))
        alone = torch.cat([backbone.encode_text(backbone.tokenize([text])) for text in TEXTS])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_while_learning_each_text_has_noise_of_its_own():
    backbone = tiny()
    mixtures = mixtures_of(backbone)
    torch.manual_seed(0)
    found = choices(backbone, mixtures, TEXTS * 4, learning=True)
    assert any((chosen != chosen[0]).any() for chosen, _ in found)


# Who still meets an expert that learns


@pytest.mark.parametrize("kind", ["image", "text"])
def test_sequences_that_meet_an_expert_that_learns_are_found(kind):
    backbone, images = tiny(), None
    mixtures = mixtures_of(backbone)
    images, tokens = pictures(backbone, 30), backbone.tokenize(TEXTS)
    own = mixtures.image if kind == "image" else mixtures.text
    chosen = []
    for each in own:
        each.register_forward_hook(lambda m, given, out: chosen.append(m.route(given[0][:, 0], 2, False)[0]))

    def encode():
        return backbone.encode_image(images) if kind == "image" else backbone.encode_text(tokens)

    assert mixtures.unfrozen(kind, 2, encode).all()
    for each, picked in zip(own, list(chosen), strict=True):
        each.frozen[picked[0]] = True
    expected = torch.zeros(30 if kind == "image" else len(TEXTS), dtype=torch.bool)
    for each, picked in zip(own, chosen[: len(own)], strict=True):
        for row, experts in enumerate(picked.tolist()):
            expected[row] |= any(not each.frozen[e] for e in experts)
    assert torch.equal(mixtures.unfrozen(kind, 2, encode), expected)
    assert not expected[0]
    assert (kind == "image") == bool(expected.any())
    assert not torch.equal(routed(mixtures, backbone)[0], both(backbone)[0])


# Parameters


def test_eleven_tasks_on_vit_b_16_have_the_published_number_of_parameters():
    config = open_clip.get_model_config("ViT-B-16")
    with torch.device("meta"):
        model = open_clip.CLIP(**{key: config[key] for key in ("embed_dim", "vision_cfg", "text_cfg")})
        found = towers(SimpleNamespace(name="ViT-B-16", model=model))
        mixtures = Mixtures(found, experts=22, hidden=64, top=2, scale=0.1, dropout=0.1)
        for _ in range(11):
            for _, own in mixtures.all():
                own.add_router()
    assert (len(found.image), len(found.text)) == (12, 12)
    experts = 12 * 22 * sum(d * 64 + 64 + 64 * d + d for d in (768, 512))
    routers = 12 * 11 * 2 * sum(d * 22 for d in (768, 512))
    counted = sum(value.numel() for value in mixtures.parameters())
    assert counted == experts + routers == 51_059_712
