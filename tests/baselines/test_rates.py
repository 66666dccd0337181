"""Rates of parts that are new beside the towers follow from the protocol's, by each method's own factor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.fakes import FakeBackbone, make_context, make_task
from support.playing import play
from torch import nn

from baselines.moe_adapter.method import PUBLISHED_FACTORS
from vlcl_bench.methods.card import make_settings
from vlcl_bench.methods.registry import load_method
from vlcl_bench.protocols.budget import Budget
from vlcl_bench.protocols.load import load_protocol

ADAPTERS = ("proto_replay", "er_vlm", "cgil", "auto_seed_vl2")
FULL = dict.fromkeys(ADAPTERS, 1e-3) | {"coop": 2e-3, "moe_adapter": 1e-3}
MINI = dict.fromkeys(ADAPTERS, 1e-3) | {"coop": 1e-2, "moe_adapter": 1e-2}


def rate(name: str, scale: str, budget: Budget, task: str = "a task", **settings: Any) -> float:
    """The base rate at which a method trains its own part of a task."""
    cls: Any = load_method(name)
    config, given = make_settings(cls, settings, scale), replace(make_task(1), name=task, dataset=task)
    ctx = make_context(FakeBackbone(), budget=budget)
    if name != "moe_adapter":
        return float(config.rate(given, ctx))
    method = cls.__new__(cls)  # without its adapters, which want another backbone
    nn.Module.__init__(method)
    method.config = config
    return float(method.learning_rate(given, ctx))


def budget_of(protocol: str, **changes: Any) -> Budget:
    return load_protocol(protocol).budget.model_copy(update=changes)


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize(
    ("protocol", "scale", "expected"),
    [("mtil-1", "full", FULL), ("c2f", "full", FULL), ("mini-mtil-1", "mini", MINI), ("mini-c2r", "mini", MINI)],
)
def test_where_a_protocol_has_one_rate_it_is_what_it_was(name: str, protocol: str, scale: str, expected: Any) -> None:
    budget = budget_of(protocol)
    for task in load_protocol(protocol).tasks:
        if task.name not in budget.learning_rates and task.name not in PUBLISHED_FACTORS:
            assert rate(name, scale, budget, task.name) == expected[name], task.name


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("scale", ["full", "mini"])
@pytest.mark.parametrize("times", [0.1, 3, 10])
def test_a_protocol_with_another_rate_moves_it_as_much(name: str, scale: str, times: float) -> None:
    plain = budget_of("mtil-1")
    other = plain.model_copy(update={"learning_rate": times * plain.learning_rate})
    assert rate(name, scale, other) == pytest.approx(times * rate(name, scale, plain))


@pytest.mark.parametrize("name", FULL)
def test_a_tasks_own_rate_in_the_protocol_counts_for_it_too(name: str) -> None:
    budget = budget_of("mtil-1", learning_rates={"dtd": 5e-5})
    assert rate(name, "full", budget, "dtd") == pytest.approx(5 * rate(name, "full", budget, "food101"))


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("scale", ["full", "mini"])
def test_a_rate_that_is_set_holds_whatever_the_protocol_says(name: str, scale: str) -> None:
    for protocol in ("mtil-1", "mini-c2r"):
        assert rate(name, scale, budget_of(protocol), learning_rate=0.0125) == 0.0125


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_rate_is_the_one_that_the_loop_is_given(name: str) -> None:
    cls: Any = load_method(name)
    method = cls(FakeBackbone(), make_settings(cls, {"rate_factor": 7.0}, "full"))
    rates = []
    ctx = make_context(FakeBackbone())
    ctx.fit = lambda *_, learning_rate, **__: rates.append(learning_rate)  # type: ignore[method-assign]
    method.seen = method.look_at(make_task(1), ctx)
    method.train_adapters(make_task(1), ctx)
    assert rates == [7.0 * ctx.learning_rate(make_task(1))]


@pytest.mark.parametrize("name", [*ADAPTERS, "coop"])
def test_a_rare_class_is_looked_at_though_the_budget_is_small(name: str) -> None:
    cls: Any = load_method(name)
    method = cls.__new__(cls)
    nn.Module.__init__(method)
    method.backbone = FakeBackbone()
    plain = make_task(1, 60)
    labels = np.where(np.arange(60) < 58, 0, plain.labels)
    labels[58:] = (1, 2)
    for seed in range(3):
        budget = Budget(steps=2, batch_size=4, learning_rate=0.1, warmup=1, ensemble_interval=1, reference_batch=3,
                        auxiliary_size=0)  # fmt: skip
        ctx = make_context(FakeBackbone(), seed, budget)
        rows, features = method.pictures_of(replace(plain, labels=labels), ctx)
        assert len(rows) == len(features) == 6
        assert set(labels[rows]) == {0, 1, 2}
        assert ctx.usage.reference_pictures == 6
        assert "looked at 6 of 60 pictures" in str(ctx.logged[0]["note"])


# Training beside the adapters

SMALL: dict[str, dict[str, Any]] = {
    "proto_replay": {"stabilise_steps": 3},
    "er_vlm": {},
    "cgil": {"latent": 3, "hidden": 6, "iterations": 7, "vae_batch": 5, "samples": 4, "stabilise_steps": 3},
    "auto_seed_vl2": {"generator_steps": 4, "stabilise_steps": 3},
}
OWN = {
    # Steps before the second task's first on what is kept, and of other networks; samples shown to these.
    "proto_replay": [(0, 0), (3, 0)],
    "er_vlm": [(0, 0), (0, 0)],
    "cgil": [(7, 7 * 5 * 3), (3 + 7, 7 * 5 * 3)],  # three classes
    # 17 pictures and 3 held out a step; at the second task the six seeds of the first too.
    "auto_seed_vl2": [(4, 4 * 20), (3 + 4, 4 * 26)],
}


@pytest.mark.parametrize("name", OWN)
def test_training_of_a_methods_own_is_metered_task_by_task(name: str) -> None:
    cls: Any = load_method(name)
    method = cls(FakeBackbone(), make_settings(cls, {"learning_rate": 1e-3, **SMALL[name]}, "full"))
    reports = play(method, 1, 2, steps=6, batch_size=8).reports
    assert [(report.usage.own_steps, report.usage.own_samples) for report in reports] == OWN[name]
