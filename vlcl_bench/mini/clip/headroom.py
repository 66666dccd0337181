"""How much room the mini CLIP leaves in both directions: what it can do without training, and what can be learned.

"Jointly" is one model fine-tuned on all tasks mixed, with ten times one task's steps and the recipe of the
continual runs; it bounds what a method that forgets nothing could reach.
"""

from __future__ import annotations

from itertools import cycle

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from rich.table import Table

from vlcl_bench.backbones import load_backbone
from vlcl_bench.common.progress import RichReporter
from vlcl_bench.data.interface import Places
from vlcl_bench.data.store import Store
from vlcl_bench.engine.evaluate import evaluate
from vlcl_bench.engine.footprint import backbone_sizes
from vlcl_bench.engine.learner import InProcessLearner
from vlcl_bench.engine.pictures import open_store
from vlcl_bench.methods.base import LossMethod
from vlcl_bench.methods.context import Context
from vlcl_bench.methods.registry import load_method
from vlcl_bench.methods.terms import Rules
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.scoring.ground_truth import ground_truth
from vlcl_bench.tasks import Task


def print_room(console: Console, jointly: bool, name: str = "mini-mtil-1") -> None:
    """Print zero-shot, chance and (on demand) jointly trained accuracy for each task."""
    protocol = load_protocol(name)
    stored = open_store(protocol, Places(), Store(), RichReporter(console))
    cls = load_method("finetune")
    backbone = load_backbone(protocol.backbone)
    method = cls(backbone, cls.Config())
    learner = InProcessLearner(method, protocol, 0, torch.device("cpu"), backbone_sizes(backbone))
    silent = lambda done, total, word: None  # noqa: E731
    before = ground_truth(protocol).stage_scores(evaluate(learner, protocol, stored, 0, silent).frame)
    after: dict[str, float] = {}
    if jointly:
        assert isinstance(method, LossMethod)
        train_jointly(method, protocol, [np.asarray(data.train) for data in stored])
        method.forget_cached_texts()
        after = ground_truth(protocol).stage_scores(evaluate(learner, protocol, stored, 0, silent).frame)
    table = Table("task", "classes", "chance", "zero-shot", *(["jointly"] if jointly else []))
    for dataset in protocol.datasets:
        cells = [f"{100 / len(dataset.class_names):.1f}", f"{before[dataset.name]:.1f}"]
        cells += [f"{after[dataset.name]:.1f}"] if jointly else []
        table.add_row(dataset.name, str(len(dataset.class_names)), *cells)
    means = [f"{np.mean(list(values.values())):.1f}" for values in (before, after) if values]
    table.add_row("mean", "", "", *means)
    console.print(table)


def train_jointly(method: LossMethod, protocol: Protocol, images: list[np.ndarray]) -> None:
    """Ten times one task's steps, each step on a batch of the next task in turn, one schedule over all of them."""
    steps = protocol.budget.steps * 10
    budget = protocol.budget.model_copy(update={"steps": steps, "warmup": steps // 10})
    rules = Rules(budget, protocol.augmentation)
    ctx = Context(0, rules, method.device, method.backbone.preprocess, dict[int, str])
    parameters = dict(method.trainable_parameters())
    optimizer = torch.optim.AdamW(parameters.values(), lr=budget.learning_rate, weight_decay=0.0, fused=True)
    streams, tokens = [], []
    for index, (dataset, manifest) in enumerate(zip(protocol.datasets, protocol.manifests, strict=True)):
        labels = manifest.labels("train")
        task = Task(index + 1, dataset.name, dataset.class_names, dataset.templates, images[index], labels)
        streams.append(ctx.batches(task))
        tokens.append(method.backbone.tokenize(task.prompts))
    turns = cycle(range(len(streams)))
    method.train()
    for step in track(range(steps), "training jointly"):
        for group in optimizer.param_groups:
            group["lr"] = budget.learning_rate * ctx.schedule(step)
        turn = next(turns)
        batch = next(streams[turn])
        texts = F.normalize(method.backbone.encode_text(tokens[turn]), dim=-1)
        logits = method.backbone.logit_scale * method.embed_images(batch.images) @ texts.T
        loss = method.cross_entropy(batch, logits)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
