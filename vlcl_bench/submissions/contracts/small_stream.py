"""A few small tasks on which a submission's code is tried: real pictures of the mini world, drawn on the spot.

The data sets are those of the development stream and a captioned one. Reference and synthetic pictures, for methods
that declare them, are stand-ins, so that nothing is downloaded, decoded or generated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vlcl_bench.data.interface import DataSet, Places
from vlcl_bench.data.open import open_dataset
from vlcl_bench.data.reference import KINDS, Reference
from vlcl_bench.data.transforms import Augmentation
from vlcl_bench.data.world import world_of
from vlcl_bench.protocols.budget import Budget
from vlcl_bench.tasks import LabelSet, Query, Task, caption_query, plain_query, task_query, union_query

if TYPE_CHECKING:
    from vlcl_bench.synthesis.loan import Synthesis

WORLD, BACKBONE = "mini", "vlcl-mini/v1"
"""The world whose pictures, reference data and settings a method is tried with: it needs no download."""
DATA_SETS = ("dev-activities", "dev-food")
CAPTIONED = "mini-scenes-food"
TRAIN_A_CLASS, TEST_A_CLASS, SCENES, REFERENCE_PICTURES = 2, 10, 16, 32
BUDGET = Budget(
    steps=8, batch_size=12, learning_rate=3e-4, warmup=1, ensemble_interval=1, reference_batch=12,
    auxiliary_size=REFERENCE_PICTURES,
)  # fmt: skip
"""Six times the pictures of the larger task, as in the mini protocols: a method may rely on some epochs."""
AUGMENTATION = Augmentation(scale=(0.9, 1.0), ratio=(3 / 4, 4 / 3))


@dataclass(frozen=True, eq=False)
class Asked:
    """Test pictures ``(n, s, s, 3)`` uint8 in a shuffled order, and the label spaces they are scored against."""

    name: str
    pictures: np.ndarray
    queries: tuple[Query, ...]


@dataclass(frozen=True, eq=False)
class Stream:
    """Tasks to learn in order and pictures to ask; as much of a protocol as a learner needs."""

    tasks: tuple[Task, ...]
    asked: tuple[Asked, ...]
    budget: Budget = BUDGET
    augmentation: Augmentation = AUGMENTATION

    def label_sets_before(self, task: int) -> tuple[LabelSet, ...]:
        """Names known of each data set of which a task comes before ``task``; none of captions."""
        last: dict[str, Task] = {}
        for before in self.tasks[: task - 1]:
            if before.captions is None:
                last[before.dataset] = before  # a later group of classes has the names of the earlier ones too
        return tuple(LabelSet(name, known.class_names, known.templates[0]) for name, known in last.items())


@dataclass(frozen=True, eq=False)
class SmallStreams:
    """The streams of one check: whole data sets, classes in groups, captions; and pictures for reference."""

    whole: Stream
    groups: Stream
    captions: Stream
    reference_pictures: np.ndarray

    def reference(self, kinds: Sequence[str]) -> Reference | None:
        """Stand-in reference data for a method that declares some of these kinds."""
        declared = [kind for kind in kinds if kind in KINDS]
        if not declared:
            return None
        pictures = self.reference_pictures if "pictures" in declared else self.reference_pictures[:0]
        texts = tuple(text for texts in self.captions.tasks[0].captions or () for text in texts)
        return Reference(pictures, texts if "texts" in declared else (), dict.fromkeys(declared, "stand-in"))

    def synthesis(self, kinds: Sequence[str]) -> Synthesis | None:
        """A stand-in for a generator of pictures, for a method that declares one."""
        from vlcl_bench.synthesis import GENERATOR

        return _stand_in(self.reference_pictures) if GENERATOR in kinds else None


def draw(progress: Callable[[int, int, str], None] = lambda done, total, word: None) -> SmallStreams:
    """Draw the pictures (a few hundred, some seconds) and cut the streams from them."""
    drawn = [_drawn(open_dataset(WORLD, name), progress) for name in DATA_SETS]
    queries = [task_query(d.dataset.name, d.dataset.class_names, d.dataset.templates) for d in drawn]
    names = tuple(dict.fromkeys(name for d in drawn for name in d.dataset.class_names))
    spaces = (union_query(tuple(queries)), plain_query(names))
    asked = tuple(
        Asked(d.dataset.name, d.test, (spaces[0], query, spaces[1])) for d, query in zip(drawn, queries, strict=True)
    )
    whole = tuple(
        Task(i, d.dataset.name, d.dataset.class_names, d.dataset.templates, d.train, d.labels, d.dataset.name)
        for i, d in enumerate(drawn, start=1)
    )
    reference = np.concatenate([pictures for d in drawn for pictures in (d.train[:, :, ::-1], d.train[:, ::-1])])
    reference = np.ascontiguousarray(reference[:REFERENCE_PICTURES])  # mirrored and upside down: pictures of no task
    return SmallStreams(Stream(whole, asked), Stream(_groups(drawn[0]), asked[:1]), _captions(progress), reference)


@dataclass(frozen=True, eq=False)
class _Drawn:
    dataset: DataSet
    train: np.ndarray
    labels: np.ndarray
    test: np.ndarray
    captions: tuple[tuple[str, ...], ...] = ()
    test_captions: tuple[str, ...] = ()


def _drawn(dataset: DataSet, progress: Callable[[int, int, str], None]) -> _Drawn:
    """The first few pictures of every class (of captions: the first scenes), the test ones shuffled."""
    most = {"train": TRAIN_A_CLASS, "test": TEST_A_CLASS}
    if dataset.captioned:
        most = dict.fromkeys(most, SCENES)
    counted: Counter[tuple[str, int]] = Counter()
    chosen = []
    for entry in dataset.collect(Places()).entries:
        counted[entry.split, entry.label] += 1
        if counted[entry.split, entry.label] <= most[entry.split]:
            chosen.append(entry)
    pictures: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    for number, entry in enumerate(chosen, start=1):
        pictures[entry.split].append(entry.original.load()[1])
        progress(number, len(chosen), f"drawing {dataset.name}")
    order = np.random.default_rng(20).permutation(len(pictures["test"]))
    train = [entry for entry in chosen if entry.split == "train"]
    texts = [entry.captions[0] for entry in chosen if entry.split == "test" and entry.captions]
    return _Drawn(
        dataset, np.stack(pictures["train"]), np.array([entry.label for entry in train], np.int64),
        np.stack(pictures["test"])[order], tuple(tuple(entry.captions) for entry in train),
        tuple(texts[place] for place in np.random.default_rng(21).permutation(len(texts))),
    )  # fmt: skip


def _groups(drawn: _Drawn) -> tuple[Task, ...]:
    """The first data set once more, half of its classes at a time, in an order that is not theirs."""
    dataset, count = drawn.dataset, len(drawn.dataset.class_names)
    order = [*range(1, count, 2), *range(0, count, 2)]
    middle, tasks = count // 2, []
    for index, (start, end) in enumerate(((0, middle), (middle, count)), start=1):
        rows = np.flatnonzero(np.isin(drawn.labels, order[start:end]))
        labels = np.array([order.index(label) for label in drawn.labels[rows]], np.int64)
        names = tuple(dataset.class_names[label] for label in order[:end])
        images = np.ascontiguousarray(drawn.train[rows])
        tasks.append(Task(index, f"{dataset.name}-{index:02d}", names, dataset.templates, images, labels, dataset.name))
    return tuple(tasks)


def _captions(progress: Callable[[int, int, str], None]) -> Stream:
    dataset = open_dataset(WORLD, CAPTIONED)
    drawn = _drawn(dataset, progress)
    task = Task(1, dataset.name, (), (), drawn.train, drawn.labels, dataset.name, drawn.captions)
    bank = tuple(dict.fromkeys(text for texts in drawn.captions for text in texts[:2]))
    queries = (caption_query(dataset.name, drawn.test_captions), caption_query(None, bank))
    return Stream((task,), (Asked(dataset.name, drawn.test, queries),))


def _stand_in(reference: np.ndarray) -> Synthesis:
    """Mixes of the given pictures, which follow from prompt and seed as a generator's pictures do."""
    from vlcl_bench.synthesis.loan import Synthesis, SyntheticSet
    from vlcl_bench.synthesis.store import Made

    class Generator:
        bytes = 0

    class StandInStore:
        generator = Generator()

    class StandIn(Synthesis):
        def make(
            self, count: int, learned: Sequence[str], task: int, run_seed: int, progress: Callable[[int, int], None]
        ) -> SyntheticSet:
            orders = self.orders(count, learned, task, run_seed)
            places = np.array([(order.seed * 2654435761) % 2**32 for order in orders], np.int64)
            first, second = reference[places % len(reference)], reference[places // 97 % len(reference)]
            images = ((first.astype(np.uint16) + second) // 2).astype(np.uint8)
            return SyntheticSet(images, tuple(order.prompt for order in orders), 0, Made(count, 0, 0), 0.0)

    store: Any = StandInStore()
    names = world_of(WORLD).prompt_names()  # now: in a run the harness looks them up, in files that no method may see
    return StandIn(store, reference.shape[1], lambda: names)
