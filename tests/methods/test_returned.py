"""What a method's hooks hand back to the recipe: slips are named, with what was expected."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from vlcl_bench.errors import MethodError
from vlcl_bench.methods.batches import loggable
from vlcl_bench.methods.returned import checked_loss, checked_parameters

LAYER = nn.Linear(2, 2)
GRADED = LAYER.weight.sum()


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "returned nothing"), ((GRADED, 1), "returned a tuple"), (0.5, "returned a float"),
     (LAYER.weight, r"4 numbers \(shape \(2, 2\)\)"), (GRADED.detach(), "without a gradient")],
)  # fmt: skip
def test_a_loss_that_is_none_is_named(value: object, words: str) -> None:
    with pytest.raises(MethodError, match=words) as refused:
        checked_loss(value)
    assert refused.value.hint


def test_a_loss_is_handed_on_as_it_is() -> None:
    assert checked_loss(GRADED) is GRADED
    assert checked_loss(one := GRADED.reshape(1)) is one
    assert torch.isnan(checked_loss(torch.tensor(float("nan"))))  # the loop says at which step


@pytest.mark.parametrize(
    ("given", "words"),
    [(LAYER.parameters, "in pairs"), (list, "nothing to train"), (lambda: None, "nothing to train"),
     (lambda: [("a", 1)], "in pairs"), (lambda: [LAYER], "in pairs")],
)  # fmt: skip
def test_parameters_must_have_names(given: Callable[[], object], words: str) -> None:
    with pytest.raises(MethodError, match=words):
        checked_parameters(given())


def test_parameters_are_taken_from_pairs_and_dictionaries() -> None:
    pairs = dict(LAYER.named_parameters())
    assert checked_parameters(LAYER.named_parameters()) == checked_parameters(pairs) == pairs


def test_what_cannot_be_logged_is_named_by_its_kind() -> None:
    with pytest.raises(MethodError, match=r"ctx.log\(layer=a Linear\)"):
        loggable("layer", LAYER)
    with pytest.raises(MethodError, match=r"ctx.log\(rate=nan\)"):
        loggable("rate", float("nan"))
