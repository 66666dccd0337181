"""Which of the five COCO tasks a picture belongs to: by its annotated objects, or by the words of its captions.

The groups of categories are those of the stream TASFI of Del Chiaro et al., "RATT: Recurrent Attention to Transient
Tasks for Continual Image Captioning" (NeurIPS 2020; repository delchiaro/RATT, ``jobs.py``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from vlcl_bench.errors import IntegrityError

GROUPS: dict[str, tuple[str, ...]] = {
    "transport": ("bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"),
    "animals": ("bird", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"),
    "sports": (
        "snowboard",
        "sports ball",
        "kite",
        "baseball bat",
        "baseball glove",
        "skateboard",
        "surfboard",
        "tennis racket",
    ),
    "food": (
        "banana",
        "apple",
        "sandwich",
        "orange",
        "broccoli",
        "carrot",
        "hot dog",
        "pizza",
        "donut",
        "cake",
    ),
    "interior": (
        "chair",
        "couch",
        "potted plant",
        "bed",
        "toilet",
        "tv",
        "laptop",
        "mouse",
        "remote",
        "keyboard",
        "cell phone",
        "microwave",
        "oven",
        "toaster",
        "sink",
        "refrigerator",
    ),
}
_GROUP_OF = {category: group for group, categories in GROUPS.items() for category in categories}
_IRREGULAR = {"sheep": "sheep", "mouse": "mice"}
MIN_CAPTIONS = 2
RESTORE_INSTANCES = "Restore it from annotations_trainval2014.zip of https://cocodataset.org/#download."


def task_by_objects(categories: Iterable[str]) -> str | None:
    """The only group that has one of these categories; ``None`` where none or several have (RATT's rule)."""
    groups = {_GROUP_OF[category] for category in categories if category in _GROUP_OF}
    return groups.pop() if len(groups) == 1 else None


def plural(category: str) -> str:
    """The simple plural of a category's name; of several words, the last one takes it."""
    *before, last = category.split(" ")
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    else:
        last += "es" if last.endswith(("s", "x", "z", "ch", "sh")) else "s"
    return " ".join([*before, last])


@lru_cache(maxsize=1)
def _lexicon() -> tuple[re.Pattern[str], dict[str, str]]:
    words = {word: group for category, group in _GROUP_OF.items() for word in (category, plural(category))}
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(r"\b(?:" + "|".join(map(re.escape, longest_first)) + r")\b"), words


def task_by_words(captions: Iterable[str]) -> str | None:
    """The only group of which at least two captions contain a word; ``None`` where none or several are.

    Whole words, upper and lower case alike: the names of the categories and their simple plurals.
    """
    pattern, words = _lexicon()
    votes: dict[str, int] = {}
    for caption in captions:
        for group in {words[word] for word in pattern.findall(" ".join(caption.lower().split()))}:
            votes[group] = votes.get(group, 0) + 1
    found = [group for group, count in votes.items() if count >= MIN_CAPTIONS]
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True)
class Instances:
    """What an instance file says: the pictures it covers, and the categories annotated in each."""

    pictures: frozenset[int]
    categories: Mapping[int, frozenset[str]]


def read_instances(path: Path) -> Instances:
    """The categories of every picture in ``instances_<split>2014.json``, crowds included.

    Parsed once per process and state of the file. Raises :class:`IntegrityError` where it is missing, cut short or
    not COCO's.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise IntegrityError(
            f"{path} is missing: the COCO tasks are distinguished by the annotated objects",
            f"Unpack annotations_trainval2014.zip of https://cocodataset.org/#download so that {path} is there.",
        ) from error
    return _read_instances(str(path), state.st_mtime_ns, state.st_size)


def _slim(value: dict[str, Any]) -> Any:
    # The outlines are nearly all of the 330 MB of the file of 2014; they are dropped while it is parsed.
    if "category_id" in value and "image_id" in value:
        return value["image_id"], value["category_id"]
    return value


@lru_cache(maxsize=4)
def _read_instances(path: str, mtime: int, size: int) -> Instances:
    try:
        with Path(path).open(encoding="utf-8") as file:
            content = json.load(file, object_hook=_slim)
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{path} was cut short or damaged: {error}", RESTORE_INSTANCES) from error
    try:
        names = {int(category["id"]): str(category["name"]) for category in content["categories"]}
        pictures = frozenset(int(picture["id"]) for picture in content["images"])
        found: dict[int, set[str]] = {}
        for picture, category in content["annotations"]:
            found.setdefault(picture, set()).add(names[category])
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError(
            f"{path} is not an instance file of COCO: it lacks categories, images or annotations ({error!r})",
            RESTORE_INSTANCES,
        ) from error
    lacking = sorted(set(_GROUP_OF) - set(names.values()))
    if lacking:
        problem = f"{path} lacks {len(lacking)} of the tasks' categories, the first: {lacking[0]!r}"
        raise IntegrityError(problem, RESTORE_INSTANCES)
    # One set per combination, not one per picture.
    kinds: dict[frozenset[str], frozenset[str]] = {}
    alike = {picture: frozenset(categories) for picture, categories in found.items()}
    return Instances(pictures, {picture: kinds.setdefault(value, value) for picture, value in alike.items()})
