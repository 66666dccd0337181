"""Settings that cannot be: refused by the harness where a method's class declares no bounds of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import Field

from vlcl_bench.errors import UsageError
from vlcl_bench.methods.base import Config, LossMethod
from vlcl_bench.methods.card import make_settings
from vlcl_bench.methods.registry import load_method

SUBMISSIONS = Path(__file__).parents[2] / "submissions"


@pytest.mark.parametrize(
    ("method", "setting", "value", "bound"),
    [
        ("l2", "weight", -1, "0 or more"),
        ("zscl", "l2_weight", -0.5, "0 or more"),
        ("finetune", "label_smoothing", -0.1, "0 or more"),
        ("finetune", "label_smoothing", 1.5, "at most 1"),
        ("lwf", "temperature", 0, "more than 0"),
        ("icarl", "memory", -10, "0 or more"),
        ("lwf_vr", "words", -2, "0 or more"),
        ("gift", "consolidation_weight", -1, "0 or more"),
    ],
)
def test_a_setting_outside_its_kind_is_refused_with_the_bound(method, setting, value, bound) -> None:
    with pytest.raises(UsageError, match=bound) as refused:
        make_settings(load_method(method), {setting: value}, "mini")
    assert f"{setting}=" in refused.value.message
    assert "default" in str(refused.value.hint)


def test_a_class_that_declares_a_bound_is_taken_at_its_word() -> None:
    class Odd(LossMethod):
        title = "Odd"

        class Config(Config):
            weight: float = Field(1.0, ge=-1)
            offset: float = 0.5
            delta: int = -1
            limit: int | None = None

    values = make_settings(Odd, {"weight": -1, "offset": -2, "delta": -3, "limit": -4}, "mini")
    assert (values.weight, values.offset, values.delta, values.limit) == (-1, -2, -3, -4)
    with pytest.raises(UsageError, match="at least -1"):
        make_settings(Odd, {"weight": -2}, "mini")


def test_the_settings_of_all_committed_records_pass() -> None:
    for path in SUBMISSIONS.glob("*/runs/*/run.json"):
        identity = json.loads(path.read_text())["identity"]
        if (Path(__file__).parents[2] / "baselines" / f"{identity['method']}.py").exists():
            make_settings(load_method(identity["method"]), identity["config"], "mini")
