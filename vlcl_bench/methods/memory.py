"""Memories: what a method may keep of earlier tasks, saved with its state and weighed with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class RowMemory(nn.Module):
    """Rows of tensors side by side, in buffers, so that they are saved and counted; it grows from task to task.

    ``columns`` are empty tensors of the columns' types; where a row's shape is not known yet, it is taken from the
    first rows appended.
    """

    def __init__(self, **columns: Tensor) -> None:
        super().__init__()
        self.columns = tuple(columns)
        for name, empty in columns.items():
            self.register_buffer(name, empty)

    def __len__(self) -> int:
        """Number of rows."""
        return len(getattr(self, self.columns[0]))

    def append(self, **rows: Tensor) -> None:
        """Append rows, given for every column; each takes its column's type."""
        lengths = {name: len(given) for name, given in rows.items()}
        if len(set(lengths.values())) > 1 or set(rows) != set(self.columns):
            raise ValueError(f"rows must be given alike for {', '.join(self.columns)}; given were {lengths}")
        for name in self.columns:
            known = getattr(self, name)
            new = rows[name].detach().to(known)
            setattr(self, name, new.clone() if not len(known) else torch.cat([known, new]))

    def keep(self, rows: Tensor) -> None:
        """Keep these rows, in this order, and forget the others."""
        for name in self.columns:
            setattr(self, name, getattr(self, name)[rows])

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        # The memory grows from task to task: take the saved sizes before the values are copied.
        for name in self.columns:
            saved = state_dict.get(prefix + name)
            if saved is not None:
                setattr(self, name, torch.empty_like(saved, device=getattr(self, name).device))
        super()._load_from_state_dict(state_dict, prefix, *rest)


class PictureMemory(RowMemory):
    """Pictures ``(n, s, s, 3)`` uint8 with their class and task.

    ``labels`` are class ids within the picture's own task (or data set), ``tasks`` the number of that task.
    """

    images: Tensor
    labels: Tensor
    tasks: Tensor

    def __init__(self) -> None:
        super().__init__(
            images=torch.empty((0, 0, 0, 3), dtype=torch.uint8),
            labels=torch.empty(0, dtype=torch.int64),
            tasks=torch.empty(0, dtype=torch.int64),
        )

    def add(self, images: Tensor, labels: Tensor, task: int) -> None:
        """Append pictures of a task."""
        self.append(images=images, labels=labels, tasks=torch.full((len(labels),), task))


def herd(features: Tensor, count: int) -> Tensor:
    """Rows of the ``count`` features whose running mean stays nearest the mean of all (iCaRL, algorithm 4).

    Rebuffi et al., CVPR 2017. ``features`` ``(n, d)``; returns row numbers in the order in which they are picked, at
    most n, without repetition. Ties go to the lower row.
    """
    mean = features.mean(dim=0)
    total = torch.zeros_like(mean)
    free = torch.ones(len(features), dtype=torch.bool, device=features.device)
    picked = []
    for k in range(1, min(count, len(features)) + 1):
        distance = ((total + features) / k - mean).square().sum(dim=1)
        row = int(distance.masked_fill(~free, torch.inf).argmin())
        total, free[row] = total + features[row], False
        picked.append(row)
    return torch.tensor(picked, dtype=torch.int64, device=features.device)
