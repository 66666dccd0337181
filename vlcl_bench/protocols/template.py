"""The start that ``vlcl protocols new`` writes: a complete protocol over the pictures that lie in a folder."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vlcl_bench.common.fileio import write_atomic
from vlcl_bench.errors import UsageError
from vlcl_bench.protocols.found import FoundSet, slug
from vlcl_bench.protocols.load import faults_of, in_words, protocol_names

STEPS, BATCH = 40, 32


@dataclass(frozen=True)
class Encoder:
    """What a protocol says of its backbone: name, side of its pictures, world, and a learning rate to begin with."""

    name: str
    side: int
    scale: str
    learning_rate: float


def check_target(path: Path, force: bool) -> None:
    """Raise :class:`UsageError` where a protocol cannot be written: no ``.toml``, or there is a file already."""
    if path.suffix != ".toml":
        raise UsageError(f"{path} is not a TOML file", f"For instance: vlcl protocols new {path.stem or 'mine'}.toml")
    if path.is_dir() or (path.exists() and not force):
        raise UsageError(f"{path} exists already", "Choose another name, or add --force to replace it.")


def write_start(path: Path, sets: Sequence[FoundSet], encoder: Encoder, classes_per_task: int | None) -> Path:
    """Write a protocol in which each data set is a task, or cut into tasks of so many classes.

    Raises :class:`UsageError` where classes cannot be cut so, or where what was found gives no valid protocol.
    """
    text = start(slug(path.stem, protocol_names(), "my-stream"), sets, encoder, classes_per_task)
    faults = faults_of(tomllib.loads(text))
    if faults:
        raise UsageError(
            f"what lies there gives no valid protocol: {in_words(faults, tomllib.loads(text))}",
            "Rename the folders that this is about, or choose others with --data-set.",
        )
    return write_atomic(path, text)


def start(name: str, sets: Sequence[FoundSet], encoder: Encoder, classes_per_task: int | None) -> str:
    """The text of the file."""
    smallest = min(_pictures_of_a_task(one, classes_per_task) for one in sets)
    batch = max(1, min(BATCH, smallest))
    parts = [
        HEAD.format(
            name=_text(name), title=_text(name.replace("-", " ")), scale=_text(encoder.scale), side=encoder.side,
            backbone=_text(encoder.name), tasks=", ".join(_text(one.spec.name) for one in sets),
        ),
        BUDGET.format(steps=STEPS, tenth=STEPS // 10, batch=batch, rate=f"{encoder.learning_rate:g}"),
    ]  # fmt: skip
    for one in sets:
        if classes_per_task is not None or len(sets) == 1:
            parts.append(_groups(one, classes_per_task))
        parts.append(_table(one))
    return "".join(parts)


def _pictures_of_a_task(one: FoundSet, classes_per_task: int | None) -> int:
    """About how many training pictures a task of a data set has."""
    classes = len(one.spec.class_names)
    return one.train if classes_per_task is None or not classes else one.train * classes_per_task // classes


def _groups(one: FoundSet, size: int | None) -> str:
    classes = len(one.spec.class_names)
    if not classes:
        return ""
    if size is not None and (size < 1 or classes % size):
        fitting = [str(number) for number in range(1, classes + 1) if classes % number == 0]
        raise UsageError(
            f"{one.spec.name} has {classes} classes, which {size} does not divide",
            f"--classes-per-task can be {', '.join(fitting)}; leave it out for one task.",
        )
    mark = "# " if size is None else ""
    shown = size or next((number for number in range(2, classes) if classes % number == 0), 1)
    return GROUPS.format(
        mark=mark, name=one.spec.name if "." not in one.spec.name else _text(one.spec.name), size=shown,
        order=list(range(classes)),
    )  # fmt: skip


def _table(one: FoundSet) -> str:
    spec = one.spec
    lines = [
        f"\n[[data]]  # {one.train:,} training and {one.test:,} test pictures when this was written",
        f"name = {_text(spec.name)}",
        f"title = {_text(spec.title)}",
        f"layout = {_text(spec.layout)}  # {LAYOUTS[spec.layout]}",
        f"folders = [{_text(spec.folders[0])}]  # below --data-root; the first that is there is taken",
    ]
    if spec.captioned:
        lines.append("captioned = true")
    if spec.split != "official":
        lines.append(f"split = {_text(spec.split)}  # of each class four fifths for training, drawn once and for all")
    if spec.class_names:
        if one.nameless:
            lines.append("# Zero-shot knows classes by their names alone: write in place of these what they are.")
        lines.append(f"class_names = {_list(spec.class_names)}")
    if spec.source_names is not None:
        lines += ["# The folder of each class, in the same order:", f"source_names = {_list(spec.source_names)}"]
    if spec.templates:
        lines.append(f"templates = {_list(spec.templates)}  # one prompt or several, {{c}} is the class name")
    lines += [f"licence = {_text(spec.licence)}", f"source = {_text(spec.source)}  # where the pictures come from", ""]
    return "\n".join(lines)


def _list(texts: Sequence[str]) -> str:
    return "[" + ", ".join(map(_text, texts)) + "]"


def _text(text: str) -> str:
    """A text in TOML's quotes, which are JSON's but for one control character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


LAYOUTS = {
    "folder": "train|test/<class>/<picture>",
    "class_folders": "<class>/<picture>, not yet divided into training and test pictures",
    "flickr30k_karpathy": "pictures in images/, captions and split in dataset_flickr30k.json",
}

HEAD = """\
# A stream of your own. docs/own-data.md explains every key; `vlcl run --protocol THIS --data-root DIR` runs it.
name = {name}
version = 1  # count it up when you change what a number depends on
title = {title}
description = ""
source = "real"  # pictures in folders
scale = {scale}  # whose reference data and generator methods get that use some: "mini" or "full"
backbone = {backbone}
picture_size = {side}  # pixels, as the backbone takes them; pictures are scaled and cropped to it
tasks = [{tasks}]  # the data sets below, in the order in which they are learned
evaluation_batch = 128  # test pictures at a time
ranked = false  # not for the board
"""

BUDGET = """
[budget]  # what a method may spend on each task
steps = {steps}
batch_size = {batch}
learning_rate = {rate}
warmup = {tenth}  # steps in which the learning rate rises
ensemble_interval = {tenth}  # steps between two averages of the weights, for methods that average
reference_batch = {batch}  # reference pictures in a step, for methods that use some
auxiliary_size = 1000  # how many reference pictures there are for them

[augmentation]  # the random crop of training pictures
scale = [0.9, 1.0]  # share of the picture's area
ratio = [0.75, 1.3333333333333333]  # width to height
"""

GROUPS = """
# To learn the classes of a data set in several tasks: how many in each, and their ids in order (0 is the first name).
{mark}[class_groups.{name}]
{mark}size = {size}
{mark}order = {order}
"""
