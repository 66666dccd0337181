"""Rows for the board and its page, made up: entries with answers to a hundred samples of each of a few tasks."""

from __future__ import annotations

import zlib

import numpy as np

from vlcl_bench.board.detail import Detail
from vlcl_bench.board.rows import RunSummary
from vlcl_bench.scoring.metrics import continual_metrics

TASKS, SAMPLES = ("birds", "boats", "bells", "books"), 100
HOSTILE = "</script><img src=x onerror=alert(1)>"


def items(level: float, seed: int, samples: int = SAMPLES, tasks: tuple[str, ...] = TASKS) -> dict[str, np.ndarray]:
    """By task (T + 1, n) scores 0 or 100, right with a chance of ``level`` percent."""
    rng = np.random.default_rng([seed, round(100 * level)])
    return {task: 100.0 * (rng.random((len(tasks) + 1, samples)) < level / 100) for task in tasks}


def matrix(scores: dict[str, np.ndarray]) -> np.ndarray:
    """(T + 1, T)."""
    return np.stack([one.mean(axis=1) for one in scores.values()], axis=1)


def run(
    method: str = "plain", seed: int = 0, level: float = 60.0, protocol: str = "mini-mtil-1", scores=None, **changes
) -> RunSummary:
    """A run scored from answers; ``level`` is about its accuracy."""
    scores = items(level, seed + 1000 * zlib.crc32(method.encode())) if scores is None else scores
    R = matrix(scores)
    rows = tuple(tuple(float(x) for x in row) for row in R)
    half = tuple(tuple(x / 2 for x in row) for row in rows)
    metrics = continual_metrics(R[1:], R[0]).headlines()
    facts = {
        "run_hash": f"{method}-{seed}",
        "protocol": protocol,
        "protocol_title": f"Title of {protocol}",
        "method": method,
        "method_title": method.title(),
        "entry_id": f"{zlib.crc32(method.encode()):08x}",
        "seed": seed,
        "track": "standard",
        "deterministic": False,
        "backbone": "mini-vit",
        "metrics": metrics,
        "agnostic_metrics": {name: None if value is None else value / 2 for name, value in metrics.items()},
        "status": "rescored",
        "source": f"submissions/{method}/runs/{method}-{seed}",
        "cost": {
            "seconds_total": 10.0 + level,
            "seconds_learn": level,
            "peak_memory_bytes": 1.5e9,
            "bytes_between_tasks": 0 if level < 50 else 1e4 * level,
            "parameters_trained": 7e6,
            "parameters_added": 0,
            "reference_pictures": 640,
            "synthetic_pictures": 0,
            "replayed_samples": 12,
            "generated_pictures": 0,
        },
        "detail": Detail(
            tasks=tuple(scores),
            samples=tuple(one.shape[1] for one in scores.values()),
            settings={"learning_rate": 0.001, "why": HOSTILE},
            matrices={"task-aware": rows, "task-agnostic": half},
            unchanged_from_zero_shot=frozenset({(1, 2), (1, 3)}),
            items=scores,
        ),
    }
    return RunSummary(**(facts | changes))


def three(method: str, level: float, **changes) -> list[RunSummary]:
    """Three seeds of an entry."""
    return [run(method, seed, level, **changes) for seed in range(3)]


def board() -> list[RunSummary]:
    """Two protocols, both tracks, every status, an unranked entry, a deterministic one, and hostile names."""
    return [
        *three("strong", 80),
        *three("twin-a", 60),
        *three("twin-b", 60),
        *three("weak", 30),
        *three("lavish", 90, track="open-budget"),
        run("once", 0, 95),
        run("still", 0, 50, deterministic=True),
        run("claimed", 0, 97, status="self-reported"),
        *three("sneaky", 45, method_title=HOSTILE, label=f'"><svg onload=alert(2)> {HOSTILE}'),
        *three("elsewhere", 55, protocol="mini-mtil-2"),
    ]
