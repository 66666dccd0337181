"""GIFT and its kin in the middle of a task, with every term computed by hand."""

import copy
import itertools

import numpy as np
import torch
from support.fakes import make_task
from support.playing import (
    build,
    cosines,
    shaken,
    smoothed_loss,
    soft_loss,
    weights,
    whole_loss,
)
from support.synthetic import context

from vlcl_bench.synthesis.loan import SyntheticSet
from vlcl_bench.synthesis.store import Made

PROMPTS = ("a cat", "two dogs", "a cat", "a hill", "a cat", "two dogs", "one boat", "some fog")


ROWS = np.array([0, 1, 2, 3, 5, 6])
"""A batch in which two prompts come twice, and not all of the set is seen."""


OFF = {"distill_weight": 0.0, "alignment_weight": 0.0, "consolidation_weight": 0.0}


SMALL = {"pictures": 12}


def gift(precise=False, **settings):
    return build("gift", precise=precise, **SMALL | settings)


def pictures_of(count, seed=3):
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)


def ita(logits, prompts, smoothing=0.2):
    """Alignment, one row or column at a time."""
    total, n = 0.0, len(prompts)
    for table in (logits, logits.T):
        for i in range(n):
            chances = torch.exp(table[i] - table[i].max())
            chances = chances / chances.sum()
            equal = [j for j in range(n) if prompts[j] == prompts[i]]
            for j in range(n):
                mass = (1 - smoothing) * (1 / len(equal) if j in equal else 0.0) + smoothing / n
                total = total - mass * chances[j].log() / n
    return total


class Moment:
    """A method in the middle of its second task: weights shaken before it and since, a batch, synthetic rows."""

    def __init__(self, name="gift", precise=True, **settings):
        self.method = build(name, precise=precise, **settings)
        self.untouched = copy.deepcopy(self.method.backbone)
        self.task = make_task(2)
        shaken(self.method, seed=1)  # what the first task left
        self.previous = copy.deepcopy(self.method.backbone)
        self.start = weights(self.method)
        self.ctx = context(self.method, None, 2)
        self.set = SyntheticSet(pictures_of(len(PROMPTS)), PROMPTS, 0, Made(len(PROMPTS), 0, 0), 0.0)
        self.ctx.synthesise = lambda task, count, task_prompts: self.set
        self.method.start(self.task, self.ctx)
        self.method._rows = itertools.repeat(ROWS)
        shaken(self.method, seed=2)  # what the steps before did
        self.batch = next(context(self.method, None, 2).batches(self.task))
        self.moving = dict(self.method.backbone.trainable_parameters())

    def loss(self):
        return whole_loss(self.method, self.batch, self.ctx, self.task.prompts)

    def synthetic(self, model):
        """Features of the batch's pictures and prompts."""
        pictures = self.method.backbone.preprocess(torch.from_numpy(self.set.images[ROWS]))
        return model.encode_image(pictures), model.encode_text(model.tokenize([PROMPTS[row] for row in ROWS]))

    def plain(self):
        """Cross-entropy on the task."""
        model = self.method.backbone
        texts = model.encode_text(model.tokenize(self.task.prompts))
        return smoothed_loss(cosines(model.encode_image(self.batch.images), texts), self.batch.labels)

    def parts(self, teacher=None, temperature=2.0):
        """Distillation over rows, over columns, of features; alignment; squared distance."""
        with torch.no_grad():
            old = self.synthetic(teacher or self.previous)
        new = self.synthetic(self.method.backbone)
        given, found = cosines(*old), cosines(*new)
        unit = [[x / x.norm(dim=1, keepdim=True) for x in pair] for pair in (old, new)]
        apart = sum(((unit[0][k] - unit[1][k]) ** 2).sum() / len(ROWS) for k in range(2))
        return {
            "image": soft_loss(given, found, temperature),
            "text": soft_loss(given.T, found.T, temperature),
            "feature": apart,
            "ita": ita(found, [PROMPTS[row] for row in ROWS]),
            "l2": sum(((p - self.start[name]) ** 2).sum() for name, p in self.moving.items()),
        }

    def beside(self):
        """Distillation and alignment with the published weights."""
        parts = self.parts()
        return parts["image"] + parts["text"] + 0.25 * parts["ita"]

    def pull(self, gradients):
        """Consolidation by its definition: squared gradients over their mean, tensor by tensor."""
        total = 0.0
        for name, p in self.moving.items():
            squares = gradients[name].detach() ** 2
            total = total + (squares / (squares.sum() / squares.numel()) * (p - self.start[name]) ** 2).sum()
        return total

    def gradients(self, loss):
        return dict(zip(self.moving, torch.autograd.grad(loss, list(self.moving.values())), strict=True))
