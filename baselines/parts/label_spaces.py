"""The names that replayed features compete among: those of their own data set, as in the protocol's scoring."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.parts.adapters import Features, Known
from vlcl_bench.methods import Task

FAR = -1e4
"""A logit for names that do not compete: its probability is zero, and zero times it is too."""


class LabelSpaces:
    """Text features of all names known, data set by data set, the current task's included.

    ``texts`` ``(c, d)``; ``current`` the place of the current task's data set in the stream; ``old`` the text features
    of the names known before the task, a tensor for each data set. A stream of captions has none of these.
    """

    def __init__(self, known: list[Known], task: Task, seen: Features) -> None:
        self.captioned = seen.captions is not None
        dataset = task.dataset or task.name
        order = [one.dataset for one in known]
        self.current = order.index(dataset) if dataset in order else len(order)
        self.old = [one.texts for one in known]
        if self.captioned:
            self.current = task.index - 1
            return
        spaces = [*self.old]
        spaces[self.current : self.current + 1] = [seen.texts]
        sizes = [len(space) for space in spaces]
        before = [len(space) for space in self.old] + [0] * (len(spaces) - len(self.old))
        self.texts = torch.cat(spaces)
        device = self.texts.device
        self._first = torch.tensor([sum(sizes[:i]) for i in range(len(sizes))], device=device)
        self._owner = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes)).to(device)
        place = torch.cat([torch.arange(size) for size in sizes]).to(device)
        self._was_known = place < torch.tensor(before, device=device)[self._owner]

    def column(self, datasets: Tensor, labels: Tensor) -> Tensor:
        """The row of ``texts`` of class ``labels`` ``(n,)`` of data sets ``datasets`` ``(n,)``."""
        return self._first[datasets] + labels

    def cross_entropy(self, logits: Tensor, datasets: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of logits ``(n, c)`` with class ``labels`` ``(n,)``, each among its own data set's names."""
        return F.cross_entropy(self.within(logits, datasets), self.column(datasets, labels))

    def within(self, logits: Tensor, datasets: Tensor, old: bool = False) -> Tensor:
        """Logits ``(n, c)`` with names put far away that are not of the row's data set, or were not known before."""
        competes = self._owner[None, :] == datasets[:, None]
        return logits.masked_fill(~(competes & self._was_known if old else competes), FAR)
