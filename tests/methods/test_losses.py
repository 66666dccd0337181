"""Losses and weight arithmetic that methods share, against closed forms and finite differences."""

import math

import pytest
import torch
import torch.nn.functional as F

from vlcl_bench.methods.losses import (
    alignment,
    consolidation,
    distillation,
    distillation_both_ways,
    fisher_weights,
    interpolate_,
    l2_to_anchor,
    snapshot,
)


def logits(seed, *shape):
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def parameters(seed):
    values = {"a": logits(seed, 3, 2), "b": logits(seed + 1, 4), "scalar": logits(seed + 2, 1)[0]}
    return {name: torch.nn.Parameter(value) for name, value in values.items()}


def central_differences(function, point, step=1e-5):
    gradient = torch.zeros_like(point)
    for place in range(point.numel()):
        shifts = []
        for sign in (1, -1):
            moved = point.clone()
            moved.view(-1)[place] += sign * step
            shifts.append(function(moved).item())
        gradient.view(-1)[place] = (shifts[0] - shifts[1]) / (2 * step)
    return gradient


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_distillation_is_squared_temperature_times_kl_plus_teacher_entropy(temperature):
    teacher, student = logits(0, 7, 4), logits(1, 7, 4)
    p, q = (torch.exp(x / temperature) / torch.exp(x / temperature).sum(1, keepdim=True) for x in (teacher, student))
    kl = (p * (p / q).log()).sum(1).mean()
    entropy = -(p * p.log()).sum(1).mean()
    expected = temperature**2 * (kl + entropy)
    assert float(distillation(teacher, student, temperature)) == pytest.approx(float(expected), rel=1e-12)


def test_distillation_of_two_classes_has_the_logistic_closed_form():
    a, b = 1.3, -0.4
    teacher, student = torch.tensor([[a, 0.0]]), torch.tensor([[b, 0.0]])
    p, q = 1 / (1 + math.exp(-a / 2)), 1 / (1 + math.exp(-b / 2))
    expected = 4 * -(p * math.log(q) + (1 - p) * math.log(1 - q))
    assert float(distillation(teacher, student)) == pytest.approx(expected, rel=1e-6)


def test_distillation_is_the_mean_over_rows():
    teacher, student = logits(2, 5, 3), logits(3, 5, 3)
    rows = [float(distillation(teacher[i : i + 1], student[i : i + 1])) for i in range(5)]
    assert float(distillation(teacher, student)) == pytest.approx(sum(rows) / 5, rel=1e-12)


@pytest.mark.parametrize(("image_weight", "text_weight"), [(1.0, 1.0), (0.3, 2.0), (0.0, 1.0), (1.0, 0.0)])
def test_distillation_both_ways_is_the_weighted_sum_over_rows_and_columns(image_weight, text_weight):
    teacher, student, T = logits(6, 5, 3), logits(7, 5, 3), 2.0
    expected = 0.0
    for weight, dim in ((image_weight, 1), (text_weight, 0)):
        p = torch.exp(teacher / T) / torch.exp(teacher / T).sum(dim, keepdim=True)
        q = torch.exp(student / T) / torch.exp(student / T).sum(dim, keepdim=True)
        expected += weight * T**2 * -float((p * q.log()).sum(dim).mean())
    found = distillation_both_ways(teacher, student, T, image_weight, text_weight)
    assert float(found) == pytest.approx(expected, rel=1e-12)


def test_distillation_both_ways_with_no_weight_is_nothing_even_where_a_logit_is_infinite():
    teacher, student = logits(8, 2, 2), torch.full((2, 2), torch.inf, dtype=torch.float64)
    assert float(distillation_both_ways(teacher, student, 2.0, 0.0, 0.0)) == 0.0


def test_distillation_gradient_equals_finite_differences():
    teacher, student = logits(4, 3, 4), logits(5, 3, 4).requires_grad_()
    distillation(teacher, student).backward()
    expected = central_differences(lambda moved: distillation(teacher, moved), student.detach())
    torch.testing.assert_close(student.grad, expected, atol=1e-8, rtol=1e-6)


def test_distillation_gradient_is_that_of_the_kl_divergence():
    teacher, student = logits(6, 3, 4), logits(7, 3, 4).requires_grad_()
    kl = F.kl_div((student / 2).log_softmax(1), (teacher / 2).log_softmax(1), log_target=True, reduction="batchmean")
    (expected,) = torch.autograd.grad(4 * kl, student)
    (found,) = torch.autograd.grad(distillation(teacher, student, 2.0), student)
    torch.testing.assert_close(found, expected)


def test_distillation_gradient_vanishes_where_student_equals_teacher():
    student = logits(8, 3, 4).requires_grad_()
    distillation(student.detach().clone(), student).backward()
    torch.testing.assert_close(student.grad, torch.zeros_like(student), atol=1e-14, rtol=0)


def test_l2_is_the_plain_sum_of_squares_over_all_parameters():
    theta = {"a": torch.nn.Parameter(torch.tensor([1.0, 2.0])), "b": torch.nn.Parameter(torch.tensor([[3.0]]))}
    anchor = {"a": torch.tensor([0.0, 4.0]), "b": torch.tensor([[6.0]])}
    assert l2_to_anchor(theta, anchor).item() == pytest.approx(1 + 4 + 9)


def test_l2_gradient_is_twice_the_difference():
    theta, anchor = parameters(10), snapshot(parameters(20).items())
    l2_to_anchor(theta, anchor).backward()
    for name, parameter in theta.items():
        torch.testing.assert_close(parameter.grad, 2 * (parameter.detach() - anchor[name]))


def test_l2_gradient_equals_finite_differences():
    theta, anchor = parameters(11), snapshot(parameters(21).items())
    l2_to_anchor(theta, anchor).backward()
    expected = central_differences(lambda moved: l2_to_anchor(theta | {"a": moved}, anchor), theta["a"].detach())
    torch.testing.assert_close(theta["a"].grad, expected, atol=1e-8, rtol=1e-6)


def test_l2_gradient_is_zero_and_finite_at_the_anchor():
    theta = parameters(12)
    l2_to_anchor(theta, snapshot(theta.items())).backward()
    assert all(torch.equal(parameter.grad, torch.zeros_like(parameter)) for parameter in theta.values())


def test_l2_ignores_anchors_of_other_parameters():
    theta, anchor = parameters(13), snapshot(parameters(23).items())
    assert torch.equal(l2_to_anchor(theta, anchor), l2_to_anchor(theta, anchor | {"other": torch.ones(3)}))


def test_interpolation_with_alpha_zero_keeps_the_weights_bit_for_bit():
    theta = parameters(30)
    before = snapshot(theta.items())
    interpolate_(theta, snapshot(parameters(40).items()), 0.0)
    assert all(torch.equal(theta[name], before[name]) for name in theta)


def test_interpolation_with_alpha_one_is_the_anchor_bit_for_bit():
    theta, anchor = parameters(31), snapshot(parameters(41).items())
    interpolate_(theta, anchor, 1.0)
    assert all(torch.equal(theta[name], anchor[name]) for name in theta)


def test_interpolation_with_alpha_a_fifth_keeps_four_fifths_of_the_new_weights():
    theta = {"a": torch.nn.Parameter(torch.tensor([10.0, -5.0]))}
    interpolate_(theta, {"a": torch.tensor([0.0, 5.0])}, 0.2)
    torch.testing.assert_close(theta["a"].detach(), torch.tensor([8.0, -3.0]))


def test_interpolation_leaves_the_anchor_alone():
    theta, anchor = parameters(32), snapshot(parameters(42).items())
    before = {name: value.clone() for name, value in anchor.items()}
    interpolate_(theta, anchor, 0.3)
    assert all(torch.equal(anchor[name], before[name]) for name in anchor)


def test_interpolated_weights_still_train():
    theta = parameters(33)
    interpolate_(theta, snapshot(parameters(43).items()), 0.3)
    theta["a"].square().sum().backward()
    torch.testing.assert_close(theta["a"].grad, 2 * theta["a"].detach())


def test_snapshot_is_detached():
    assert not any(value.requires_grad for value in snapshot(parameters(50).items()).values())


def test_snapshot_does_not_follow_later_changes():
    theta = parameters(51)
    taken, before = snapshot(theta.items()), theta["b"].tolist()
    with torch.no_grad():
        theta["b"].add_(1)
    assert taken["b"].tolist() == before


def test_changing_a_snapshot_does_not_change_the_parameters():
    theta = parameters(52)
    before = theta["b"].tolist()
    snapshot(theta.items())["b"].zero_()
    assert theta["b"].tolist() == before


def shared_targets(groups):
    return [[1 / groups.count(own) if own == other else 0.0 for other in groups] for own in groups]


@pytest.mark.parametrize("groups", [[0, 1, 2, 3, 4], [0, 1, 0, 2, 0], [7, 7, 7, 7, 7]], ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_alignment_shares_the_mass_over_equal_prompts_both_ways(groups, smoothing):
    table, n = logits(60, 5, 5), 5
    expected = [0.0, 0.0]
    for way, scores in enumerate((table, table.T)):
        for row, target in zip(scores.tolist(), shared_targets(groups), strict=True):
            total = sum(math.exp(score) for score in row)
            masses = [(1 - smoothing) * mass + smoothing / n for mass in target]
            expected[way] -= sum(m * math.log(math.exp(s) / total) for m, s in zip(masses, row, strict=True)) / n
    found = alignment(table, torch.tensor(groups), smoothing)
    assert float(found) == pytest.approx(sum(expected), rel=1e-12)
    rows_only = alignment(table, torch.tensor(groups), smoothing, both_ways=False)
    assert float(rows_only) == pytest.approx(expected[0], rel=1e-12)


def test_alignment_of_different_prompts_is_the_contrastive_loss():
    table = logits(61, 6, 6)
    own = torch.arange(6)
    expected = F.cross_entropy(table, own) + F.cross_entropy(table.T, own)
    assert float(alignment(table, own)) == pytest.approx(float(expected), rel=1e-12)


def test_alignment_does_not_depend_on_the_order_of_the_batch():
    table, groups, order = logits(62, 5, 5), torch.tensor([3, 1, 3, 0, 1]), torch.tensor([4, 2, 0, 1, 3])
    found = alignment(table[order][:, order], groups[order], 0.2)
    assert float(found) == pytest.approx(float(alignment(table, groups, 0.2)), rel=1e-12)


def test_alignment_gradient_equals_finite_differences():
    table, groups = logits(63, 4, 4).requires_grad_(), torch.tensor([0, 1, 0, 2])
    alignment(table, groups, 0.2).backward()
    expected = central_differences(lambda moved: alignment(moved, groups, 0.2), table.detach())
    torch.testing.assert_close(table.grad, expected, atol=1e-8, rtol=1e-6)


def test_fisher_weights_are_squares_over_their_mean_in_each_tensor():
    found = fisher_weights({"a": torch.tensor([1.0, -2.0, 3.0]), "b": torch.tensor([[100.0], [0.0]])})
    torch.testing.assert_close(found["a"], torch.tensor([1.0, 4.0, 9.0]) * 3 / 14)
    torch.testing.assert_close(found["b"], torch.tensor([[2.0], [0.0]]))


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_fisher_weights_have_mean_one_whatever_the_gradients_size(scale):
    found = fisher_weights({"a": scale * logits(64, 7, 3).float()})
    assert float(found["a"].mean()) == pytest.approx(1, rel=1e-5)


def test_fisher_weights_of_no_gradient_are_zero_and_finite():
    assert torch.equal(fisher_weights({"a": torch.zeros(4)})["a"], torch.zeros(4))


def test_fisher_weights_are_constant():
    gradient = logits(65, 3).requires_grad_()
    assert not fisher_weights({"a": gradient * 2})["a"].requires_grad


def test_consolidation_is_the_weighed_sum_of_squares():
    theta = {"a": torch.nn.Parameter(torch.tensor([1.0, 2.0])), "b": torch.nn.Parameter(torch.tensor([[3.0]]))}
    anchor = {"a": torch.tensor([0.0, 4.0]), "b": torch.tensor([[6.0]])}
    weights = {"a": torch.tensor([0.5, 3.0]), "b": torch.tensor([[2.0]])}
    assert consolidation(theta, anchor, weights).item() == pytest.approx(0.5 * 1 + 3 * 4 + 2 * 9)


def test_consolidations_gradient_is_twice_the_weighed_difference():
    theta, anchor = parameters(70), snapshot(parameters(80).items())
    weights = fisher_weights(snapshot(parameters(90).items()))
    consolidation(theta, anchor, weights).backward()
    for name, parameter in theta.items():
        torch.testing.assert_close(parameter.grad, 2 * weights[name] * (parameter.detach() - anchor[name]))


@pytest.mark.parametrize("whole", [True, False], ids=["one number", "a number for each"])
def test_consolidation_with_weights_of_one_is_l2(whole):
    theta, anchor = parameters(71), snapshot(parameters(81).items())
    ones = {name: value.new_ones(()) if whole else torch.ones_like(value) for name, value in anchor.items()}
    found = consolidation(theta, anchor, ones)
    assert found.item() == pytest.approx(l2_to_anchor(theta, anchor).item(), rel=1e-14)
    gradients = [torch.autograd.grad(loss, list(theta.values())) for loss in (found, l2_to_anchor(theta, anchor))]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-14, atol=0)
