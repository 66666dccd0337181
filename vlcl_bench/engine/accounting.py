"""What a run took and used, added up from its journal: seconds, memory, samples. Pure functions of events.

``learned`` and ``evaluated`` are a run's events of these kinds, one for each stage and in the order of the stages,
beginning with stage 0, at which nothing is learned (see :mod:`vlcl_bench.engine.stages`, which writes them).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from vlcl_bench.engine.journal import Event
from vlcl_bench.protocols.budget import Budget
from vlcl_bench.records.schema import Cost, Rechecks, Usage

SUMMED = (
    "task_pictures", "reference_pictures", "synthetic_pictures", "replayed_samples", "generated_pictures",
    "blank_pictures",
)  # fmt: skip
"""Numbers that every stage states, or that were 0 where an older journal does not state them."""


def prepare_seconds(events: Sequence[Event]) -> float | None:
    """What all processes took from their command to their first stage; ``None`` where an older version noted none."""
    noted = [event["elapsed"] for event in events if event["event"] == "prepared"]
    return sum(noted) if noted else None


def run_cost(
    learned: Sequence[Event], evaluated: Sequence[Event], total: float, resumed: int, prepare: float | None = None
) -> Cost:
    """Seconds by phase and peak memory in bytes; ``total`` are the seconds of all processes that worked on the run.

    ``prepare`` are those of them before the first stage of each process, where they were noted.

    The time in which synthetic pictures were made is no time of learning: whoever has them in the store spends none.
    """
    synthesising = [event.get("seconds_synthesising", 0.0) for event in learned[1:]]
    learning = [round(event["seconds"] - apart, 3) for event, apart in zip(learned[1:], synthesising, strict=True)]
    evaluating = [round(event["seconds"], 3) for event in evaluated]
    other = total - sum(learning) - sum(synthesising) - sum(evaluating) - (prepare or 0.0)
    on_device = [event["peak_device_memory_bytes"] for event in evaluated if event["peak_device_memory_bytes"]]
    return Cost(
        seconds_total=round(total, 3),
        seconds_learn=learning,
        seconds_evaluate=evaluating,
        seconds_other=round(max(0.0, other), 3),
        seconds_prepare=None if prepare is None else round(prepare, 3),
        seconds_synthesise=synthesising if any(synthesising) else [],
        peak_memory_bytes=max(event["peak_memory_bytes"] for event in evaluated),
        peak_device_memory_bytes=max(on_device) if on_device else None,
        resumed=resumed,
    )


def run_usage(learned: Sequence[Event], budget: Budget) -> Usage:
    """Samples handed out over all tasks, beside the presentations of task pictures that ``budget`` allows for them."""
    tasks = learned[1:]
    totals = {name: sum(event["counts"].get(name, 0) for event in tasks) for name in SUMMED}

    def stated(name: str) -> int | None:
        counts = [event["counts"].get(name) for event in tasks]
        return None if None in counts else sum(counts)  # stages that an older version has learned do not say

    return Usage(
        **totals,
        made_pictures=stated("made_pictures"),
        own_steps=stated("own_steps"),
        own_samples=stated("own_samples"),
        task_budget=budget.presentations * len(tasks),
    )


def run_track(learned: Sequence[Event], budget: Budget) -> Literal["standard", "open-budget"]:
    """``open-budget`` where any task was shown more pictures of some kind than the budget of a task allows."""
    allowed = {
        "task_pictures": budget.presentations,
        "reference_pictures": budget.reference_presentations,
        "synthetic_pictures": budget.reference_presentations,
    }
    over = any(event["counts"].get(name, 0) > most for event in learned for name, most in allowed.items())
    return "open-budget" if over else "standard"


def run_isolation(events: Sequence[Event]) -> str:
    """Where the method lived; both where the run was continued in another way.

    Events of an older version do not say: the method was then always inline.
    """
    return "+".join(sorted({event.get("isolation", "inline") for event in events}))


def run_fences(events: Sequence[Event]) -> list[str]:
    """The fences that held in every stage, by name; none where a stage was inline, or an older version does not say."""
    held = [set(event.get("fences", ())) for event in events]
    return sorted(set.intersection(*held)) if held else []


def run_rechecks(evaluated: Sequence[Event]) -> Rechecks | None:
    """Answers asked for again over all stages; ``None`` where an older version has evaluated them all."""
    found = [Rechecks(**event["rechecks"]) for event in evaluated if "rechecks" in event]
    return sum(found, Rechecks()) if found else None


def run_log(learned: Sequence[Event]) -> list[dict[str, Any]]:
    """The lines of the method's log, each with the stage at which it was written."""
    return [{"stage": stage, **line} for stage, event in enumerate(learned) for line in event["log"]]
