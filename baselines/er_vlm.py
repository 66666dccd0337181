"""ER-VLM: experience replay of real pictures with their label or caption, the foil that Auto-Seed VL2 names."""

from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from baselines.parts.adapters import MINI_FACTOR, PICTURES_AT_ONCE, AdapterConfig, AdapterMethod, drawn_caption
from baselines.parts.label_spaces import LabelSpaces
from baselines.parts.replay import ReplayConfig, ReplayMethod, as_classes
from baselines.parts.seeds import SeedGenerator
from vlcl_bench.methods import Backbone, Context, RowMemory, Task, herd, symmetric


class Exemplars(RowMemory):
    """Raw exemplars, group by group in the order in which they were picked.

    ``images`` ``(n, s, s, 3)`` uint8; ``tokens`` ``(n, length)``, none where there are classes; ``labels`` are class
    ids within data set number ``datasets``, 0 for captions; ``tasks`` the number of the task. A class of a task is a
    group, or a captioned task as a whole.
    """

    images: Tensor
    tokens: Tensor
    labels: Tensor
    datasets: Tensor
    tasks: Tensor

    def __init__(self) -> None:
        super().__init__(
            images=torch.empty(0, 0, 0, 3, dtype=torch.uint8),
            tokens=torch.empty(0, 0, dtype=torch.int32),
            labels=torch.empty(0, dtype=torch.int16),
            datasets=torch.empty(0, dtype=torch.int16),
            tasks=torch.empty(0, dtype=torch.int16),
        )

    def shrink_to(self, size: int) -> None:
        """Keep ``size`` exemplars: all groups are cut to the same length, and first groups may keep one more."""
        met: dict[tuple[int, int], int] = {}
        places = []
        for group in zip(self.tasks.tolist(), self.labels.tolist(), strict=True):
            met[group] = met.get(group, 0) + 1
            places.append(met[group])
        first = np.argsort(places, kind="stable")[:size]
        self.keep(torch.from_numpy(np.sort(first)).to(self.images.device))


class ERVLM(AdapterMethod):
    """The task's loss on its own batch and on a batch of exemplars of past tasks; nothing is distilled.

    The page on Auto-Seed VL2 compares with it and does not define it, so all of this is ours. Exemplars of a class are
    herded on frozen features (Rebuffi et al., iCaRL, 2017, algorithm 4); of a captioned task they are a random share,
    each with one of its captions as token ids. They are encoded once at the start of a task, since the towers are
    frozen; adapters, rates and steps are those of Auto-Seed VL2.

    ``budget`` says how many there are: ``ten_times`` the items of Auto-Seed VL2 (20 a class to its 2 seeds, and no more
    than ten times its memory), or ``equal_bytes``, as many as fit into what it keeps after the same tasks, its
    generator included. Its size is measured on its own modules, by its settings ``memory``, ``quota`` and
    ``pseudo_classes``. ``exemplars`` is a number of one's own instead.
    """

    title = "ER-VLM"

    class Config(AdapterConfig):
        """``memory``, ``quota`` and ``pseudo_classes`` are Auto-Seed VL2's, from which the budget follows."""

        budget: Literal["equal_bytes", "ten_times"] = "ten_times"
        exemplars: int | None = Field(None, ge=1)
        replay_weight: float = 1.0
        memory: int = Field(2402, ge=1)
        quota: int = Field(2, ge=1)
        pseudo_classes: int = Field(64, ge=1)

    mini_settings: ClassVar = {"memory": 240, "pseudo_classes": 16, "rate_factor": MINI_FACTOR}

    def __init__(self, backbone: Backbone, config: Any) -> None:
        super().__init__(backbone, config)
        self.memory = Exemplars()
        # How many classes each task had, from which the size of Auto-Seed's memory follows.
        self.classes = RowMemory(counts=torch.empty(0, dtype=torch.int16))

    @property
    def items(self) -> int:
        """Exemplars in the memory."""
        return len(self.memory)

    def start(self, task: Task, ctx: Context) -> None:
        """Encode the exemplars."""
        self.spaces = LabelSpaces(self.known, task, self.seen)
        parts = torch.arange(len(self.memory), device=self.device).split(PICTURES_AT_ONCE) if len(self.memory) else ()
        images = [self.frozen_images(ctx.preprocessed(self.memory.images[part].cpu().numpy())) for part in parts]
        texts = [self._encoded(self.memory.tokens[part]) for part in parts if self.spaces.captioned]
        self.old_images, self.old_texts = (torch.cat(found) if found else torch.empty(0) for found in (images, texts))

    @torch.no_grad()
    def _encoded(self, tokens: Tensor) -> Tensor:
        """Unit features of stored captions."""
        longest = int(tokens.ne(0).any(dim=0).nonzero().max()) + 1
        return F.normalize(self.backbone.encode_text(tokens[:, :longest].long()), dim=-1)

    def loss(self, places: np.ndarray, ctx: Context) -> Tensor:
        """The task's loss on the batch and on a batch of exemplars, each class among the names of its data set."""
        total = self.task_loss(places)
        if not len(self.memory):
            return total
        rows = torch.from_numpy(self.draws.permutation(len(self.memory))[: ctx.budget.batch_size]).to(self.device)
        ctx.replay(len(rows))
        if self.spaces.captioned:
            return total + self.config.replay_weight * symmetric(
                self.logits(self.old_images[rows], self.old_texts[rows])
            )
        datasets, labels = self.memory.datasets[rows].long(), self.memory.labels[rows].long()
        found = self.logits(self.old_images[rows], self.spaces.texts)
        return total + self.config.replay_weight * self.spaces.cross_entropy(found, datasets, labels)

    def finish(self, task: Task, ctx: Context) -> None:
        """Add the task's exemplars and hold the memory to its size."""
        view, names = as_classes(self.seen, task, ctx, self.config.pseudo_classes)
        self.classes.append(counts=torch.tensor([len(names)]))
        size = self._size(task)
        if task.captions is None:
            for local, label in enumerate(names.tolist()):
                own = (view.labels == local).nonzero()[:, 0]
                picked = herd(view.images[own], self._share(size, 1))
                self.memory.append(**self._rows(own[picked].cpu().numpy(), label, task))
        else:
            drawn = np.arange(len(view.rows))  # their order is a drawn one already
            self.memory.append(**self._rows(drawn[: self._share(size, len(names))], 0, task))
        self.memory.shrink_to(size)
        del self.spaces, self.old_images, self.old_texts

    def _rows(self, places: np.ndarray, label: int, task: Task) -> dict[str, Tensor]:
        """The pictures at these places of ``self.seen`` as rows of the memory."""
        rows, count = self.seen.rows[places], len(places)
        length, tokens = self.backbone.context_length, torch.empty(count, 0)
        if task.captions is not None and count:
            texts = [drawn_caption(task, row, self.draws) for row in rows]
            short = self.backbone.tokenize(texts)
            tokens = F.pad(short, (0, length - short.shape[1]))
        return {
            "images": torch.from_numpy(np.array(task.images[rows])),
            "tokens": tokens,
            "labels": torch.full((count,), label),
            "datasets": torch.full((count,), self.spaces.current),
            "tasks": torch.full((count,), task.index),
        }

    # Sizes

    def _share(self, size: int, classes: int) -> int:
        """How many of ``size`` exemplars so many classes may have at most."""
        if self.config.exemplars is not None or self.config.budget == "equal_bytes":
            return size
        return min(size, 10 * self.config.quota * classes)

    def _size(self, task: Task) -> int:
        """How many exemplars there may be after this task."""
        if self.config.exemplars is not None:
            return self.config.exemplars
        rival = self._auto_seed(captioned=task.captions is not None)
        if self.config.budget == "ten_times":
            return 10 * len(rival.memory)
        one = Exemplars()
        one.append(**self._rows(np.arange(1), 0, task))
        theirs, ours = rival.memory_report(), self.memory_report()  # ours holds the model before the task, too
        free = theirs["bytes"] - ours["bytes_adapters"] - ours["bytes_classes"]
        return max(0, free) // sum(rows.numel() * rows.element_size() for rows in one.state_dict().values())

    def _auto_seed(self, captioned: bool) -> ReplayMethod:
        """What Auto-Seed VL2 keeps after the same tasks, with zeros for values: its adapters, generator and seeds."""
        rival = ReplayMethod(self.backbone, ReplayConfig.model_validate({"rank": self.config.rank}))
        rival.add_module("generator", SeedGenerator(self.width))
        quota = self.config.quota
        for place, classes in enumerate(self.classes.get_buffer("counts").tolist()):
            count = quota * classes
            rival.memory.append(
                v=torch.zeros(count, self.width),
                w=torch.zeros(count, self.width),
                labels=torch.arange(classes).repeat_interleave(quota),
                datasets=torch.zeros(count),
                tasks=torch.full((count,), place + 1),
                ranks=torch.arange(quota).repeat(classes),
            )
        rival.memory.shrink_to(self.config.memory)
        rival.spreads.add(torch.zeros(2 if captioned else 1, self.width, self.width))
        return rival
