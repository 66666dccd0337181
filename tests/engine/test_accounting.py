"""What a run took and used, added up from events as the journal holds them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from support.fakes import make_budget

from vlcl_bench.engine.accounting import prepare_seconds, run_cost, run_isolation, run_log, run_track, run_usage
from vlcl_bench.engine.footprint import footprint_of_run, journal_form, weigh
from vlcl_bench.engine.journal import Journal
from vlcl_bench.engine.provenance import Clock, in_words, precision_of

ZERO: dict[str, Any] = {"counts": {}, "log": [], "seconds": 0.5, "isolation": "inline"}
USED = {
    "task_pictures": 48, "reference_pictures": 5, "synthetic_pictures": 4, "replayed_samples": 3,
    "generated_pictures": 10, "made_pictures": 7, "blank_pictures": 1,
}  # fmt: skip


def learned(seconds: float = 8.0, synthesising: float = 0.0, **changes: int) -> dict[str, Any]:
    """The event of a task that was learned."""
    counts = USED | changes
    return {
        "counts": counts, "log": [{"loss": 0.1}], "seconds": seconds, "seconds_synthesising": synthesising,
        "isolation": "process",
    }  # fmt: skip


def evaluated(seconds: float = 2.0, memory: int = 100, on_device: int | None = None) -> dict[str, Any]:
    return {
        "seconds": seconds, "peak_memory_bytes": memory, "peak_device_memory_bytes": on_device, "isolation": "process",
    }  # fmt: skip


# Cost


def test_seconds_are_parted_into_learning_making_pictures_evaluating_and_the_rest() -> None:
    events = [ZERO, learned(8.0, 3.0), learned(4.0004)]
    cost = run_cost(events, [evaluated(), evaluated(1.0), evaluated(1.0)], 20.0, 2)
    assert cost.seconds_learn == [5.0, 4.0]
    assert cost.seconds_synthesise == [3.0, 0.0]
    assert cost.seconds_evaluate == [2.0, 1.0, 1.0]
    assert (cost.seconds_total, cost.seconds_other, cost.resumed) == (20.0, 4.0, 2)


def test_a_run_without_synthetic_pictures_says_nothing_of_their_time() -> None:
    older = {key: value for key, value in learned().items() if key != "seconds_synthesising"}
    cost = run_cost([ZERO, older], [evaluated(), evaluated()], 12.0, 0)
    assert (cost.seconds_synthesise, cost.seconds_learn) == ([], [8.0])


def test_clocks_that_disagree_make_no_negative_rest() -> None:
    assert run_cost([ZERO, learned(8.0)], [evaluated(), evaluated()], 11.0, 0).seconds_other == 0.0


def test_preparing_is_a_part_of_its_own_over_all_processes_that_worked_on_a_run(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for event, elapsed in (("started", None), ("prepared", 7.0), ("evaluated", 20.0), ("learned", None),
                           ("resumed", None), ("prepared", 5.0), ("evaluated", 9.0),
                           ("resumed", None), ("resumed", None), ("prepared", 4.0)):  # fmt: skip
        journal.append(event, **({} if elapsed is None else {"elapsed": elapsed}))
    total = Clock(time.monotonic() - 30.0).total(journal)
    assert total == pytest.approx(20.0 + 9.0 + 30.0, abs=0.5)
    cost = run_cost([ZERO, learned()], [evaluated(), evaluated()], total, 3, prepare_seconds(journal.events))
    assert cost.seconds_prepare == 16.0
    assert cost.seconds_other == pytest.approx(total - 16.0 - 8.0 - 4.0, abs=0.01)


def test_a_run_of_an_older_version_does_not_say_what_preparing_took(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append("started")
    journal.append("evaluated", elapsed=3.0)
    assert prepare_seconds(journal.events) is None
    assert run_cost([ZERO, learned()], [evaluated(), evaluated()], 12.0, 0).seconds_prepare is None


@pytest.mark.parametrize(("device", "there"), [("cpu", False), ("cuda:1", True)])
def test_device_and_precision_are_said_in_words(device: str, there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA H100")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    precision = precision_of([torch.zeros(1, dtype=torch.bfloat16)])
    said = in_words(torch.device(device), precision)
    assert said.startswith(f"running on {device} (")
    assert "in bfloat16" in said
    assert ("NVIDIA H100" in said and said.endswith("TF32 off")) is there


@pytest.mark.parametrize(("on_device", "peak"), [((None, None), None), ((None, 7), 7), ((9, 7), 9)])
def test_memory_is_the_most_of_all_stages(on_device: tuple[int | None, ...], peak: int | None) -> None:
    stages = [evaluated(memory=size, on_device=each) for size, each in zip((300, 200), on_device, strict=True)]
    cost = run_cost([ZERO, learned()], stages, 1.0, 0)
    assert (cost.peak_memory_bytes, cost.peak_device_memory_bytes) == (300, peak)


# Usage and track


def test_samples_are_summed_over_the_tasks_beside_what_is_allowed() -> None:
    usage = run_usage([ZERO, learned(), learned(task_pictures=40)], make_budget(steps=6, batch_size=8))
    assert usage.model_dump() == {
        "task_pictures": 88, "reference_pictures": 10, "synthetic_pictures": 8, "replayed_samples": 6,
        "generated_pictures": 20, "made_pictures": 14, "blank_pictures": 2, "task_budget": 2 * 48,
    }  # fmt: skip


def test_stages_of_an_older_version_do_not_say_how_many_pictures_were_made() -> None:
    older = learned()
    del older["counts"]["made_pictures"], older["counts"]["blank_pictures"]
    usage = run_usage([ZERO, older, learned()], make_budget())
    assert (usage.made_pictures, usage.blank_pictures) == (None, 1)


@pytest.mark.parametrize(
    ("kind", "most"), [("task_pictures", 48), ("reference_pictures", 12), ("synthetic_pictures", 12)]
)
def test_one_picture_more_than_a_task_may_have_opens_the_budget(kind: str, most: int) -> None:
    budget = make_budget(steps=6, batch_size=8, reference_batch=2)
    assert run_track([ZERO, learned(), learned(**{kind: most})], budget) == "standard"
    assert run_track([ZERO, learned(**{kind: most + 1}), learned()], budget) == "open-budget"


def test_replayed_and_generated_pictures_are_not_limited() -> None:
    assert run_track([ZERO, learned(replayed_samples=10**6, generated_pictures=10**6)], make_budget()) == "standard"


# The rest


def test_a_run_that_was_continued_in_another_way_says_both() -> None:
    assert run_isolation([learned(), evaluated()]) == "process"
    assert run_isolation([ZERO, learned()]) == "inline+process"
    assert run_isolation([{"seconds": 1.0}]) == "inline"


def test_log_lines_say_at_which_stage_they_were_written() -> None:
    second = learned() | {"log": [{"loss": 0.2}, {"loss": 0.3}]}
    assert run_log([ZERO, learned(), second]) == [
        {"stage": 1, "loss": 0.1}, {"stage": 2, "loss": 0.2}, {"stage": 2, "loss": 0.3},
    ]  # fmt: skip


def test_a_runs_footprint_has_the_last_parameters_and_the_most_bytes() -> None:
    before, parameters = {"w": 10}, {"backbone.w": 10, "head": 4}
    stages = [
        weigh(before, {"backbone.w": 10}, set(), {"backbone.w": 40}, 0),
        weigh(before, parameters, {"backbone.w", "head"}, {"backbone.w": 40, "head": 16, "memory": 84}, 1000),
        weigh(before, parameters, {"head"}, {"backbone.w": 40, "head": 16}, 0),
    ]
    assert [stage.bytes_by_stage for stage in stages] == [[0], [1100], [16]]
    forms = [journal_form(stage) for stage in stages]
    assert forms[1] == {
        "parameters_total": 14, "parameters_trained": 14, "parameters_added": 4, "bytes_between_tasks": 1100,
    }  # fmt: skip
    run = footprint_of_run(forms)
    assert (run.parameters_total, run.parameters_trained, run.parameters_added) == (14, 4, 4)
    assert (run.bytes_between_tasks, run.bytes_by_stage) == (1100, [0, 1100, 16])
