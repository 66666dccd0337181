"""How long a training step of each method takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

STEP_METHODS = ("finetune", "zscl", "lwf", "lwf_vr", "icarl", "l2", "wise_ft", "moe_adapter")


def step_times(names: Sequence[str], protocol_name: str, store: Path, device: str = "cpu") -> dict[str, float]:
    """Median seconds of a training step of each method on the first task, measured in turns in one process.

    What a method does once (a teacher's features) is in its first task, which is learned before the clock runs.
    """
    import torch

    from vlcl_bench.common.progress import Reporter
    from vlcl_bench.data.store import Store
    from vlcl_bench.engine.footprint import backbone_sizes
    from vlcl_bench.engine.learner import InProcessLearner
    from vlcl_bench.engine.pictures import open_store
    from vlcl_bench.engine.prepare import Request, prepare
    from vlcl_bench.methods.card import make_settings
    from vlcl_bench.methods.terms import Loans
    from vlcl_bench.tasks import Task

    learners, seconds = {}, {name: [] for name in names}  # type: ignore[var-annotated]
    for name in names:
        prepared = prepare(Request(protocol_name, name, store=store), Reporter())
        protocol = prepared.protocol
        cls = prepared.method.load()
        method = cls(prepared.backbone, make_settings(cls, prepared.card.settings, prepared.protocol.scale))
        reference = prepared.reference.open(Store(store), Reporter()) if prepared.reference else None
        sizes = backbone_sizes(prepared.backbone)
        learners[name] = InProcessLearner(method, protocol, 0, torch.device(device), sizes, Loans(reference))
    stored = open_store(protocol, prepared.places, Store(store), Reporter())[0]
    dataset, labels = protocol.datasets[0], protocol.manifests[0].labels("train")
    for turn in range(4):
        task = Task(turn + 1, dataset.name, dataset.class_names, dataset.templates, stored.train, labels, dataset.name)
        for name, learner in learners.items():
            times = [time.perf_counter()]
            learner.learn(task, lambda done, total, word, times=times: times.append(time.perf_counter()))  # type: ignore[misc]
            if turn:
                seconds[name] += [after - before for before, after in pairwise(times[1:])]
    return {name: statistics.median(times) for name, times in seconds.items()}
