"""What a method is given while it learns: batches, the optimiser loop, seeds, a log, all metered."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vlcl_bench.common.progress import Advance
from vlcl_bench.common.schedule import warm_up_then_cosine
from vlcl_bench.common.seeds import derive_seed
from vlcl_bench.data.pictures import Pictures
from vlcl_bench.data.reference import Reference
from vlcl_bench.data.transforms import CROP_ATTEMPTS
from vlcl_bench.errors import MethodError
from vlcl_bench.methods.batches import drawn_captions, loggable, random_crops, shuffled
from vlcl_bench.methods.own_training import counted_steps, note_on
from vlcl_bench.methods.terms import Loans, Rules
from vlcl_bench.methods.usage import Usage
from vlcl_bench.synthesis.loan import SyntheticSet
from vlcl_bench.tasks import Task

DECODED_AHEAD = 3
"""Batches that are decoded while the model is busy with the one before."""


@dataclass
class Batch:
    """A training batch: preprocessed ``images`` ``(n, 3, s, s)``, ``labels`` ``(n,)``, ``indices`` into the task.

    Of a captioned task each picture comes with one of its ``captions``, drawn at random. Features are filled in by
    the recipe.
    """

    images: Tensor
    labels: Tensor
    indices: np.ndarray
    captions: list[str] = field(default_factory=list)
    image_features: Tensor = field(default_factory=lambda: torch.empty(0))
    text_features: Tensor = field(default_factory=lambda: torch.empty(0))


class Context:
    """The harness's side of ``learn``: everything random in it follows from the run's seed and the task."""

    def __init__(
        self,
        seed: int,
        rules: Rules,
        device: torch.device,
        preprocess: Callable[[Tensor], Tensor],
        parameter_names: Callable[[], Mapping[int, str]],
        progress: Advance = lambda done, total, word: None,
        loans: Loans | None = None,
    ) -> None:
        self.seed = seed
        self.budget = rules.budget
        self.earlier = rules.earlier
        self.device = device
        self.usage = Usage()
        self.trained: set[str] = set()
        self.seconds_synthesising = 0.0
        self.logged: list[dict[str, float | int | str]] = []
        self._augmentation = rules.augmentation
        self._preprocess = preprocess
        self._parameter_names = parameter_names
        self._progress = progress
        self._loans = loans or Loans()
        self._recipes: list[torch.optim.Optimizer] = []

    @property
    def meter(self) -> SimpleNamespace:
        """What was used so far, for methods that read it under its first name: :attr:`usage` and what is beside it."""
        return SimpleNamespace(
            **self.usage.by_name(), trained=set(self.trained), seconds_synthesising=self.seconds_synthesising
        )

    @property
    def learned_prompts(self) -> tuple[str, ...]:
        """Training prompts of all classes already learned."""
        return tuple(prompt for known in self.earlier for prompt in known.prompts)

    @property
    def reference(self) -> Reference:
        """The declared reference data; raises :class:`MethodError` for a method that declares none."""
        if self._loans.reference is None:
            raise MethodError(
                "the method asks for reference data that it does not declare",
                'Say so in its class: reference = ("pictures", "texts"), or one of the two.',
            )
        return self._loans.reference

    def reference_rows(self, task: Task) -> Iterator[np.ndarray]:
        """Endless shuffled batches of rows of the reference pictures, metered as reference pictures.

        :meth:`reference_images` makes pictures of them; a method that has their features already needs no more.
        """
        generator = self.generator("reference", task.index)
        for rows in shuffled(len(self.reference.pictures), self.budget.reference_batch, generator):
            self.usage.reference_pictures += len(rows)
            yield rows

    def reference_images(self, rows: np.ndarray) -> Tensor:
        """Preprocessed reference pictures ``(len(rows), 3, s, s)`` under the test transform."""
        return self.preprocessed(self.reference.pictures[rows])

    def synthesise(self, task: Task, count: int, task_prompts: bool = True) -> SyntheticSet:
        """``count`` synthetic pictures for a task, made now or found in the store; metered, as is the time it takes.

        Prompts are drawn uniformly from those of the pretraining's world and, with ``task_prompts``, of the tasks
        already learned (:attr:`learned_prompts`); see :mod:`vlcl_bench.synthesis.prompts`. Raises
        :class:`MethodError` for a method that declares no generator.
        """
        if self._loans.synthesis is None:
            raise MethodError(
                "the method asks for synthetic pictures but declares no generator",
                'Say so in its class: reference = ("generator",), beside what else it uses.',
            )
        made = self._loans.synthesis.make(
            count,
            self.learned_prompts if task_prompts else (),
            task.index,
            self.seed,
            lambda done, total: self._progress(done, total, "making pictures"),
        )
        self.usage.generated_pictures += count
        self.usage.made_pictures += made.made.made
        self.usage.blank_pictures += made.blank
        self.seconds_synthesising += made.seconds
        return made

    def preprocessed(self, images: np.ndarray) -> Tensor:
        """Pictures ``(n, s, s, 3)`` uint8 as the encoder takes them, ``(n, 3, s, s)``; nothing is metered."""
        return self._preprocess(torch.from_numpy(np.array(images)).to(self.device))

    def synthetic_images(self, found: SyntheticSet, rows: np.ndarray) -> Tensor:
        """Preprocessed synthetic pictures ``(len(rows), 3, s, s)``, metered as synthetic."""
        self.usage.synthetic_pictures += len(rows)
        return self.preprocessed(found.images[rows])

    def task_images(self, task: Task, rows: np.ndarray) -> Tensor:
        """Preprocessed pictures ``(len(rows), 3, s, s)`` of a task under the test transform, metered as reference.

        For statistics, herding or features that are kept: pictures that are looked at beside training.
        """
        self.usage.reference_pictures += len(rows)
        return self.preprocessed(task.images[rows])

    def looked_at(self, task: Task, rows: np.ndarray) -> None:
        """Keep a note in the record's log, which is also said as the run goes, where ``rows`` are not all pictures.

        For methods that look at no more pictures of a task than the budget allows: how many of how many, and whether
        every class is among them.
        """
        line = note_on(task, rows)
        if line:
            self.log(**line)

    def replayed(self, images: Tensor) -> Tensor:
        """Preprocessed pictures of a memory, ``(n, s, s, 3)`` uint8 to ``(n, 3, s, s)``, metered as replayed."""
        self.replay(len(images))
        return self._preprocess(images.to(self.device))

    def replay(self, count: int) -> None:
        """Meter samples of a memory that holds no pictures, or whose pictures have been encoded already."""
        self.usage.replayed_samples += count

    def spent(self, samples: int, steps: int = 0) -> None:
        """Meter training of a method's own beside :meth:`fit`: ``samples`` that were shown in it, each time they were.

        Steps of torch's optimisers are counted by themselves; ``steps`` are further ones, taken in another way.
        """
        if samples < 0 or steps < 0:
            raise MethodError(f"ctx.spent({samples}, {steps}): both are counted from 0 up")
        self.usage.own_samples += samples
        self.usage.own_steps += steps

    def counting_steps(self) -> AbstractContextManager[None]:
        """Within it, every step of an optimiser of torch is counted that is not :meth:`fit`'s own; for the harness."""
        return counted_steps(self.usage, self._recipes)

    def presentations(self, task: Task, count: int) -> Iterator[np.ndarray]:
        """Endless shuffled batches of places ``0 ... count - 1``, each metered as presentations of task pictures.

        For methods that train on features of a task's pictures, kept where the towers do not change: a feature shown
        counts as its picture does. Encoding them is metered by :meth:`task_images`.
        """
        for rows in shuffled(count, self.budget.batch_size, self.generator("presentations", task.index)):
            self.usage.task_pictures += len(rows)
            yield rows

    def generator(self, *facts: str | int) -> torch.Generator:
        """A CPU generator that depends on the run's seed and the given facts only."""
        return torch.Generator().manual_seed(derive_seed(self.seed, *facts))

    def learning_rate(self, task: Task) -> float:
        """The protocol's base learning rate for a task."""
        rates = self.budget.learning_rates
        return rates.get(task.name, rates.get(task.dataset, self.budget.learning_rate))

    def log(self, **values: Any) -> None:
        """Keep a line in the record's log: finite numbers (also of torch or numpy, with one element) and words."""
        self.logged.append({key: loggable(key, value) for key, value in values.items()})

    def batches(self, task: Task, purpose: str = "train", augment: bool = True) -> Iterator[Batch]:
        """Endless shuffled batches of a task's training pictures; the last of an epoch may be short, as in ZSCL's code.

        ``purpose`` names the stream, so that two loaders over the same pictures are shuffled apart. Only the
        ``train`` stream counts as presentations against the protocol's budget; others have the budget's reference
        batch and are metered as reference. More of either than the budget allows makes the run ``open-budget``.
        """
        generator = self.generator("batches", task.index, purpose)
        size = self.budget.batch_size if purpose == "train" else self.budget.reference_batch
        waiting: deque[tuple[np.ndarray, list[str], Callable[[], np.ndarray | Tensor]]] = deque()
        for rows in shuffled(len(task.labels), size, generator):
            # All draws of a batch are made here, so that nothing random depends on how far ahead is decoded.
            captions = drawn_captions(task, rows, generator)
            waiting.append((rows, captions, self._pictures(task, rows, augment, generator)))
            if len(waiting) <= (DECODED_AHEAD if isinstance(task.images, Pictures) else 0):
                continue
            rows, captions, pictures = waiting.popleft()
            if purpose == "train":
                self.usage.task_pictures += len(rows)
            else:
                self.usage.reference_pictures += len(rows)
            pixels = torch.as_tensor(pictures())
            labels = torch.from_numpy(task.labels[rows]).to(self.device)
            yield Batch(self._preprocess(pixels.to(self.device)), labels, rows, captions)

    def _pictures(
        self, task: Task, rows: np.ndarray, augment: bool, generator: torch.Generator
    ) -> Callable[[], np.ndarray | Tensor]:
        """Begin to make a batch's pixels ``(n, s, s, 3)`` uint8; the returned function waits for them."""
        images = task.images
        if not isinstance(images, Pictures):
            pixels = torch.from_numpy(images[rows])
            return lambda: random_crops(pixels, self._augmentation, generator) if augment else pixels
        if not augment:
            return images.begin(rows)
        draws = torch.rand(len(rows), CROP_ATTEMPTS, 4, generator=generator, dtype=torch.float64).numpy()
        return images.begin(rows, draws, self._augmentation)

    def fit(
        self,
        parameters: Mapping[str, nn.Parameter],
        task: Task,
        loss: Callable[[Any], Tensor],
        after_step: Callable[[int], None] = lambda step: None,
        learning_rate: float | None = None,
        batches: Iterator[Any] | None = None,
    ) -> None:
        """The common optimiser loop (ZSCL's released code, ICCV 2023) over the protocol's budget of S steps.

        AdamW (betas 0.9 and 0.999, no weight decay), linear warm-up then half a cosine to zero. ``after_step(s)``
        is called after the update of each step s = 0 ... S - 1. The published loop has one more iteration, S, at
        which the rate is exactly zero: nothing is updated, so no batch is drawn for it, but ``after_step(S)`` is
        called. ``learning_rate`` replaces the protocol's, for methods whose parameters are of another kind, and
        ``batches`` what ``loss`` is given, by default :meth:`batches` (:meth:`presentations` for features).
        """
        rate = self.learning_rate(task) if learning_rate is None else learning_rate
        names = self._parameter_names()
        self.trained |= {names.get(id(p), name) for name, p in parameters.items()}
        fused = self.device.type in ("cpu", "cuda")
        optimizer = torch.optim.AdamW(parameters.values(), lr=rate, weight_decay=0.0, fused=fused)
        self._recipes.append(optimizer)
        steps = self.budget.steps
        batches = self.batches(task) if batches is None else batches
        # Looking at the loss waits for the device; on a GPU now and then is enough to stop a diverged run.
        look_every = 1 if self.device.type == "cpu" else 20
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = rate * self.schedule(step)
            value = loss(next(batches))
            if step % look_every == 0 or step + 1 == steps:
                seen = float(value.detach())
                if not math.isfinite(seen):
                    raise MethodError(
                        f"the loss became {seen} at step {step} of task {task.name!r}",
                        "Lower the learning rate or look for a division by zero in the loss.",
                    )
                self._progress(step + 1, steps, f"loss {seen:.2f}")
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            after_step(step)
        after_step(steps)
        self._recipes.remove(optimizer)

    def schedule(self, step: int) -> float:
        """Factor on the base learning rate at a step: ``(s + 1) / warmup``, then a cosine to zero."""
        return warm_up_then_cosine(step, self.budget.steps, self.budget.warmup)
