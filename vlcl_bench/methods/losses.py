"""Losses and weight arithmetic that several methods share, each checked against an independent computation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Named = Mapping[str, Tensor]


def distillation(teacher_logits: Tensor, student_logits: Tensor, temperature: float = 2.0) -> Tensor:
    """Temperature-scaled distillation, mean over rows of ``(n, c)`` logits (ZSCL, `helpers.py`; Hinton et al., 2015).

    ``T**2 * CE(softmax(teacher / T), student / T)``: cross-entropy and not KL, as in the published code; the
    gradient is the same, the value larger by ``T**2`` times the teacher's entropy.
    """
    target = F.softmax(teacher_logits / temperature, dim=-1)
    return temperature**2 * F.cross_entropy(student_logits / temperature, target)


def distillation_both_ways(
    teacher_logits: Tensor,
    student_logits: Tensor,
    temperature: float = 2.0,
    image_weight: float = 1.0,
    text_weight: float = 1.0,
) -> Tensor:
    """Distillation of logits ``(pictures, texts)`` over the texts of each picture and the pictures of each text.

    ``image_weight`` times the former, mean over pictures, plus ``text_weight`` times the latter, mean over texts
    (ZSCL, `finetune.py`, where the two are called image and text loss). A term of weight 0 is not computed.
    """
    total = student_logits.new_zeros(())
    if image_weight:
        total = total + image_weight * distillation(teacher_logits, student_logits, temperature)
    if text_weight:
        total = total + text_weight * distillation(teacher_logits.T, student_logits.T, temperature)
    return total


def symmetric(logits: Tensor) -> Tensor:
    """CLIP's loss on pairs (Radford et al., 2021, figure 3): ``(n, n)`` logits with the diagonal, mean of both ways."""
    pairs = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2


def l2_to_anchor(parameters: Mapping[str, nn.Parameter], anchor: Named) -> Tensor:
    """Sum over all parameters of ``(theta - anchor)**2``: no half, no mean (ZSCL, `helpers.py`).

    The gradient is ``2 (theta - anchor)``.
    """
    differences = torch._foreach_sub(list(parameters.values()), [anchor[name] for name in parameters])
    return torch.stack([norm.square() for norm in torch._foreach_norm(differences)]).sum()


def alignment(logits: Tensor, groups: Tensor, smoothing: float = 0.0, both_ways: bool = True) -> Tensor:
    """Cross-entropy of pictures with their own prompts, logits ``(n, n)`` (GIFT, Wu et al., CVPR 2025, equation 5).

    Row i is picture i against the prompts of all, column j prompt j against all pictures. ``groups`` ``(n,)`` says
    which prompts are equal: they share a row's mass evenly. Mean over rows plus mean over columns; only rows without
    ``both_ways``.
    """
    target = (groups[:, None] == groups[None, :]).to(logits.dtype)
    target = target / target.sum(dim=1, keepdim=True)
    rows = F.cross_entropy(logits, target, label_smoothing=smoothing)
    return rows + F.cross_entropy(logits.T, target, label_smoothing=smoothing) if both_ways else rows


def fisher_weights(gradients: Named) -> dict[str, Tensor]:
    """Squared gradients, in each tensor divided by their mean (GIFT's released code, `finetune_gift.py`).

    So each tensor's weights have mean 1, unless its gradient is zero throughout: then they are zero.
    """
    squares = {name: gradient.detach().square() for name, gradient in gradients.items()}
    tiny = torch.finfo(torch.float32).tiny
    return {name: square / square.mean().clamp_min(tiny) for name, square in squares.items()}


def consolidation(parameters: Mapping[str, nn.Parameter], anchor: Named, weights: Named) -> Tensor:
    """Sum over all parameters of ``F * (theta - anchor)**2``: no half, no mean (GIFT, equation 9).

    ``weights`` are F, constant, of each parameter's shape or one number for all of it; with 1 it is
    :func:`l2_to_anchor`.
    """
    terms = [(weights[name] * (parameter - anchor[name]).square()).sum() for name, parameter in parameters.items()]
    return torch.stack([term if term.dim() == 0 else term.sum() for term in terms]).sum()


def snapshot(parameters: Iterable[tuple[str, nn.Parameter]]) -> dict[str, Tensor]:
    """A detached copy of named parameters."""
    return {name: parameter.detach().clone() for name, parameter in parameters}


@torch.no_grad()
def interpolate_(parameters: Mapping[str, nn.Parameter], anchor: Named, alpha: float) -> None:
    """In place: ``theta = (1 - alpha) * theta + alpha * anchor`` (Wortsman et al., WiSE-FT, 2022)."""
    for name, parameter in parameters.items():
        parameter.lerp_(anchor[name], alpha)


class WeightEnsemble:
    """A running mean of weights along training (ZSCL, `finetune.py`; the idea is stochastic weight averaging).

    It starts at the given weights; the k-th snapshot absorbed makes it the plain mean of k + 1 models.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self.parameters = parameters
        self.mean = snapshot(parameters.items())
        self.count = 1

    @torch.no_grad()
    def absorb(self) -> None:
        """Take in the current weights: ``mean = (mean * n + theta) / (n + 1)``."""
        self.count += 1
        torch._foreach_lerp_(
            [self.mean[name] for name in self.parameters], list(self.parameters.values()), 1.0 / self.count
        )

    @torch.no_grad()
    def apply_(self) -> None:
        """Put the mean in place of the current weights."""
        for name, parameter in self.parameters.items():
            parameter.copy_(self.mean[name])
