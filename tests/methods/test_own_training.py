"""What a method trains beside the common loop is counted, and what it does not look at is said."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support.fakes import FakeBackbone, make_budget, make_context, make_task
from torch import nn

from vlcl_bench.engine.accounting import run_usage
from vlcl_bench.errors import MethodError
from vlcl_bench.methods import with_every_class
from vlcl_bench.scoring.columns import COLUMNS

# Which pictures are looked at

DRAWS = {
    "all": ([0, 1, 2, 0, 1, 2], 6, [0, 1, 2, 3, 4, 5]),
    "more than there are": ([0, 1, 2], 9, [0, 1, 2]),
    "none missing": ([0, 1, 2, 0, 1, 2], 3, [0, 1, 2]),
    "one missing": ([0, 0, 0, 1, 2, 2], 4, [0, 1, 3, 4]),
    "two missing": ([0, 0, 0, 0, 1, 2], 3, [0, 4, 5]),
    "the class with most gives its last": ([0, 1, 1, 1, 0, 2], 5, [0, 1, 2, 4, 5]),
    "no room for all": ([0, 0, 1, 1, 2, 3], 2, [0, 2]),
    "room for one": ([3, 3, 1], 1, [0]),
    "one class": ([5, 5, 5, 5], 2, [0, 1]),
    "captions, which have no class": ([-1, -1, -1], 2, [0, 1]),
}


@pytest.mark.parametrize("case", DRAWS)
def test_no_class_is_missing_where_there_is_room(case: str) -> None:
    labels, count, expected = DRAWS[case]
    assert with_every_class(np.arange(len(labels)), np.array(labels), count).tolist() == expected


@pytest.mark.parametrize("seed", range(5))
def test_rare_classes_are_there_in_any_order_and_the_others_stay(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(20), [200, 100, 50, *[2] * 17])
    order = rng.permutation(len(labels))
    rows = with_every_class(order, labels, 40)
    assert len(rows) == len(set(rows)) == 40
    assert set(labels[rows]) == set(range(20))
    places = [order.tolist().index(row) for row in rows]
    assert places == sorted(places)
    plain = set(order[:40].tolist())
    missing = 20 - len(set(labels[order[:40]]))
    assert len(set(rows.tolist()) - plain) == missing > 0


NOTES = {
    "all": (range(20), None),
    "some of every class": (range(9), "looked at 9 of 20 pictures of task-1, .*; every class is among them"),
    "a class missing": ([0, 1, 3, 4], "looked at 4 of 20 pictures of task-1, .*; only 2 of 3 classes are"),
    "one": ([2], "looked at 1 of 20 .* only 1 of 3"),
}


@pytest.mark.parametrize("case", NOTES)
def test_what_was_not_looked_at_is_noted(case: str) -> None:
    rows, note = NOTES[case]
    ctx = make_context(FakeBackbone())
    ctx.looked_at(make_task(1), np.array(rows))
    if note is None:
        assert ctx.logged == []
    else:
        (line,) = ctx.logged
        assert re.search(note, str(line["note"]))
        assert (line["pictures"], line["of_pictures"]) == (len(rows), 20)


def test_of_a_captioned_task_the_note_speaks_of_no_class() -> None:
    ctx = make_context(FakeBackbone())
    task: Any = SimpleNamespace(labels=np.full(5, -1), captions=(("a",),) * 5, name="stories")
    ctx.looked_at(task, np.arange(2))
    assert "class" not in str(ctx.logged[0])


# Steps of a method's own


def own_steps(train: Any) -> tuple[int, int]:
    """Steps and samples that are counted of what ``train`` does with a context, a layer and its loss."""
    backbone = FakeBackbone()
    ctx, layer = make_context(backbone), nn.Linear(2, 1)

    def loss(*_: object) -> torch.Tensor:
        return layer(torch.ones(3, 2)).square().mean()

    with ctx.counting_steps():
        train(ctx, layer, loss)
    return ctx.usage.own_steps, ctx.usage.own_samples


def stepped(make: Any, times: int = 3) -> Any:
    def train(ctx: Any, layer: nn.Module, loss: Any) -> None:
        optimizer = make(layer.parameters())
        for _ in range(times):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step(loss) if isinstance(optimizer, torch.optim.LBFGS) else optimizer.step()

    return train


class Third(torch.optim.Optimizer):
    """Somebody's own optimiser."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {"lr": 0.1})

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weights in group["params"]:
                weights.data.sub_(0.1 * weights.grad)


def within_the_recipe(ctx: Any, layer: nn.Module, loss: Any) -> None:
    """The common loop, and in its loss an optimiser of the method's own."""
    inner = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(inner.parameters(), lr=0.1)

    def step_loss(batch: Any) -> torch.Tensor:
        optimizer.zero_grad()
        inner(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        return loss()

    ctx.fit(dict(layer.named_parameters()), make_task(1), step_loss)


STEPS = make_budget().steps
OWN = {
    "nothing": (lambda ctx, layer, loss: None, (0, 0)),
    "the common loop": (lambda ctx, layer, loss: ctx.fit(dict(layer.named_parameters()), make_task(1), loss), (0, 0)),
    "Adam": (stepped(torch.optim.Adam), (3, 0)),
    "fused AdamW": (stepped(lambda given: torch.optim.AdamW(given, fused=True)), (3, 0)),
    "SGD": (stepped(lambda given: torch.optim.SGD(given, lr=0.1)), (3, 0)),
    "LBFGS": (stepped(lambda given: torch.optim.LBFGS(given), 2), (2, 0)),
    "an optimiser of somebody's own": (stepped(Third, 4), (4, 0)),
    "one within the common loop": (within_the_recipe, (STEPS, 0)),
    "samples": (lambda ctx, layer, loss: [ctx.spent(5), ctx.spent(7)], (0, 12)),
    "steps by hand": (lambda ctx, layer, loss: ctx.spent(8, steps=2), (2, 8)),
}


@pytest.mark.parametrize("case", OWN)
def test_steps_beside_the_common_loop_are_counted(case: str) -> None:
    train, expected = OWN[case]
    assert own_steps(train) == expected


def test_the_recipe_is_not_counted_as_own_after_it_either() -> None:
    def both(ctx: Any, layer: nn.Module, loss: Any) -> None:
        ctx.fit(dict(layer.named_parameters()), make_task(1), loss)
        stepped(torch.optim.Adam, 2)(ctx, layer, loss)

    assert own_steps(both) == (2, 0)


def test_nothing_is_counted_once_learning_is_over() -> None:
    ctx, layer = make_context(FakeBackbone()), nn.Linear(2, 1)
    with pytest.raises(ZeroDivisionError), ctx.counting_steps():
        raise ZeroDivisionError
    stepped(torch.optim.Adam)(ctx, layer, lambda: layer(torch.ones(1, 2)).sum())
    assert ctx.usage.own_steps == 0


@pytest.mark.parametrize("given", [(-1, 0), (0, -1)])
def test_nothing_is_taken_back(given: tuple[int, int]) -> None:
    with pytest.raises(MethodError, match="counted from 0 up"):
        make_context(FakeBackbone()).spent(*given)


# In the record, and in tables


def learned(**counts: int) -> dict[str, Any]:
    return {"counts": {"task_pictures": 8, "made_pictures": 0, **counts}}


def test_a_record_adds_up_what_was_spent_and_says_nothing_where_a_stage_did_not() -> None:
    first = {"counts": {}}
    known = run_usage([first, learned(own_steps=3, own_samples=9), learned(own_steps=0, own_samples=0)], make_budget())
    assert (known.own_steps, known.own_samples) == (3, 9)
    older = run_usage([first, learned(own_steps=3, own_samples=9), learned()], make_budget())
    assert (older.own_steps, older.own_samples) == (None, None)


def test_tables_have_a_column_of_it_and_a_dash_for_older_records() -> None:
    column = next(column for column in COLUMNS if column.id == "own_steps")
    for steps, text in ((None, "–"), (0, "0"), (2500, "2,500")):
        run: Any = SimpleNamespace(usage=SimpleNamespace(own_steps=steps))
        assert column.text(column.of(run)) == text
