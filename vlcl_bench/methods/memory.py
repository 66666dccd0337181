"""A memory of training pictures: what a method may keep of earlier tasks, saved with its state and weighed with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class PictureMemory(nn.Module):
    """Pictures ``(n, s, s, 3)`` uint8 with their class and task, in buffers, so that they are saved and counted.

    ``labels`` are class ids within the picture's own task (or data set), ``tasks`` the number of that task.
    """

    images: Tensor
    labels: Tensor
    tasks: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("images", torch.empty((0, 0, 0, 3), dtype=torch.uint8))
        self.register_buffer("labels", torch.empty(0, dtype=torch.int64))
        self.register_buffer("tasks", torch.empty(0, dtype=torch.int64))

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.labels)

    def add(self, images: Tensor, labels: Tensor, task: int) -> None:
        """Append pictures of a task."""
        device = self.labels.device
        images = images.to(device)
        self.images = images.clone() if not len(self) else torch.cat([self.images, images])
        self.labels = torch.cat([self.labels, labels.to(device)])
        self.tasks = torch.cat([self.tasks, torch.full((len(labels),), task, dtype=torch.int64, device=device)])

    def keep(self, rows: Tensor) -> None:
        """Keep these rows, in this order, and forget the others."""
        self.images, self.labels, self.tasks = self.images[rows], self.labels[rows], self.tasks[rows]

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        # The memory grows from task to task: take the saved sizes before the values are copied.
        for name in ("images", "labels", "tasks"):
            saved = state_dict.get(prefix + name)
            if saved is not None:
                setattr(self, name, torch.empty_like(saved, device=self.labels.device))
        super()._load_from_state_dict(state_dict, prefix, *rest)


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
