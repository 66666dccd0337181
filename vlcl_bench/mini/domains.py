"""The data sets of the mini protocols: eleven domains that mirror MTIL's kinds, and those of ``mini-dev``.

Which drawings are for training, for testing and for pretraining is decided here, by identifier:

* sketches: instances below 1,000 are for pretraining, 1,000 and up for training, 2,000 and up for testing;
* OpenMoji people and hands: a third of a class's drawings (a rule over person and skin tone) are for testing
  and occur nowhere else; the others may be in pretraining in other renditions;
* digits: real handwriting only here; pretraining sees drawn strokes of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from vlcl_bench.mini import openmoji
from vlcl_bench.mini.pictures import Picture, digit_data
from vlcl_bench.mini.renditions import Style

TRAIN_PER_CLASS, TEST_PER_CLASS = 40, 25
TRAIN_START, TEST_START = 1_000, 2_000

PROFESSIONS = {
    "health worker": "2695", "student": "1F393", "teacher": "1F3EB", "judge": "2696", "farmer": "1F33E",
    "cook": "1F373", "mechanic": "1F527", "factory worker": "1F3ED", "scientist": "1F52C", "singer": "1F3A4",
    "pilot": "2708", "firefighter": "1F692",
}  # fmt: skip

GESTURES = {
    "thumbs up": "1F44D", "thumbs down": "1F44E", "raised fist": "270A", "victory hand": "270C",
    "ok hand": "1F44C", "waving hand": "1F44B", "hand pointing up": "1F446", "clapping hands": "1F44F",
    "flexed biceps": "1F4AA", "ear": "1F442", "nose": "1F443", "foot": "1F9B6",
}  # fmt: skip

ACTIVITIES = {
    "runner": "1F3C3", "surfer": "1F3C4", "swimmer": "1F3CA", "rower": "1F6A3", "cyclist": "1F6B4",
    "juggler": "1F939", "person in lotus position": "1F9D8", "climber": "1F9D7",
}  # fmt: skip

BENCHMARK_CONCEPTS = 10
"""The first ten concepts of a family of sketches belong to the benchmark, the others to ``mini-dev``."""


@dataclass(frozen=True)
class Domain:
    """A data set of the mini world: its classes, its style, its prompts, and what it stands for in MTIL."""

    name: str
    stands_for: str
    classes: tuple[str, ...]
    style: Style
    templates: tuple[str, ...]
    source: str

    def pictures(self, split: str) -> Iterator[tuple[Picture, int]]:
        """Pictures with labels of a split (``train`` or ``test``), class by class."""
        per_class = TRAIN_PER_CLASS if split == "train" else TEST_PER_CLASS
        for label, concept in enumerate(self.classes):
            drawings = drawings_of(self, concept, label, split)
            for number in range(per_class):
                yield Picture(drawings[number % len(drawings)], self.name, number // len(drawings)), label


def drawings_of(domain: Domain, concept: str, label: int, split: str) -> list[str]:
    """Identifiers of the drawings of a class in a split, in a fixed order."""
    kind, _, family = domain.source.partition(":")
    test = split == "test"
    if kind == "digits":
        found = [index for index, digit in enumerate(digit_data()[1]) if digit == label]
        chosen = found[TRAIN_PER_CLASS : TRAIN_PER_CLASS + TEST_PER_CLASS] if test else found[:TRAIN_PER_CLASS]
        return [f"digits/{index:04d}" for index in chosen]
    if kind == "people":
        sign = {"professions": PROFESSIONS, "activities": ACTIVITIES}[family][concept]
        found_people = people(sign, label)
        kept = unseen(found_people) if test else [code for code, held in found_people if not held]
        return [f"openmoji/{code}" for code in kept]
    if kind == "hands":
        return [f"openmoji/{code}" for code, held in hands(GESTURES[concept], label) if held == test]
    start = TEST_START if test else TRAIN_START
    count = TEST_PER_CLASS if test else TRAIN_PER_CLASS
    return [f"sketch/{home_of(concept, family)}/{concept}/{start + i}" for i in range(count)]


def people(sign: str, label: int) -> list[tuple[str, bool]]:
    """Codes of a profession's or activity's drawings (person, man, woman in six tones); True: held for testing."""
    found = []
    for i, person in enumerate(openmoji.PEOPLE):
        for j, tone in enumerate(openmoji.TONES):
            if sign in ACTIVITIES.values():
                gender = ("", "2642", "2640")[i]
                code = openmoji.find(sign, tone, *(("200D", gender) if gender else ()))
            else:
                code = openmoji.find(person, tone, "200D", sign)
            if code is not None:
                found.append((code, (i + j + label) % 3 == 0))
    return found


def unseen(drawings: list[tuple[str, bool]]) -> list[str]:
    """The held drawings of which no copy is among the others.

    OpenMoji draws some professions' person and man with the very same strokes: a held one with a copy that
    training or pretraining may see is in no task and not in the corpus.
    """
    seen = {openmoji.read_svg(code) for code, held in drawings if not held}
    return [code for code, held in drawings if held and openmoji.read_svg(code) not in seen]


def hands(base: str, label: int) -> list[tuple[str, bool]]:
    """Codes of a gesture's drawings in six tones; True: held for testing."""
    return [(openmoji.gesture(base, tone), (j + label) % 3 == 0) for j, tone in enumerate(openmoji.TONES)]


def home_of(concept: str, families: str) -> str:
    """Which of the ``+``-joined families a concept's sketch is in."""
    for family in families.split("+"):
        if concept in sketches(family):
            return family
    raise KeyError(f"no sketch of {concept!r} in {families}")


@functools.cache
def sketches(family: str) -> tuple[str, ...]:
    """The concepts of a family, in their order."""
    import importlib

    return tuple(importlib.import_module(f"vlcl_bench.mini.drawings.{family}").CONCEPTS)


def _family(name: str, stands_for: str, style: Style, *templates: str) -> Domain:
    return Domain(name, stands_for, sketches(name)[:BENCHMARK_CONCEPTS], style, templates, f"sketch:{name}")


@functools.cache
def domains() -> dict[str, Domain]:
    """The eleven data sets of ``mini-mtil-1`` and ``mini-mtil-2``, by name."""
    chalk = ("#f4f4ef", "#f7e08a", "#f2b6c6", "#b9d9f5")
    found = [
        Domain(
            "professions", "Aircraft", tuple(PROFESSIONS),
            Style("duotone", "gradient", scale=(0.75, 0.95), tilt=10, noise=16, negative=True),
            ("a photo of a {c}, a type of profession.", "a photo of the {c}, a type of profession."),
            "people:professions",
        ),
        _family(
            "objects", "Caltech101",
            Style("line", "grid", ink=("#7a2f1d", "#1d3f7a", "#2f5a2a"), scale=(0.7, 0.95), tilt=20, noise=8),
            "a photo of a {c}.", "a drawing of a {c}.", "a sketch of the {c}.", "a photo of the {c}.",
        ),
        Domain(
            "gestures", "CIFAR100", tuple(GESTURES),
            Style("color", "speckle", scale=(0.7, 0.95), tilt=10, pixels=14, noise=20),
            ("a photo of a {c}.", "a blurry photo of a {c}.", "a photo of a small {c}."),
            "hands:gestures",
        ),
        _family(
            "textures", "DTD", Style("color", full_bleed=True, contrast=0.5, noise=32, blur=0.6),
            "a photo of a {c} texture.", "a photo of a {c} pattern.", "a photo of the {c} surface.",
        ),
        _family(
            "overhead", "EuroSAT", Style("duotone", full_bleed=True, noise=12, blur=0.5),
            "a centered satellite photo of {c}.", "a centered satellite photo of a {c}.",
            "a centered satellite photo of the {c}.",
        ),
        _family(
            "plants", "Flowers", Style("color", "clutter", scale=(0.7, 0.95), tilt=20, hue=30, noise=12),
            "a photo of a {c}, a type of plant.",
        ),
        _family(
            "food", "Food", Style("color", "gradient", scale=(0.6, 0.9), tilt=20, negative=True, blur=0.8),
            "a photo of a {c}, a type of food.",
        ),
        Domain(
            "digits", "MNIST",
            tuple(name for name in sketches("strokes") if name[0].isdigit()),
            Style(), ('a photo of the number: "{c}".',), "digits:",
        ),
        _family(
            "animals", "OxfordPet", Style("line", "dark", ink=chalk, scale=(0.6, 0.95), tilt=15, noise=40),
            "a photo of a {c}, a type of animal.",
        ),
        _family(
            "vehicles", "StanfordCars",
            Style("silhouette", "clutter", ink=("#14141c", "#2a1420", "#10241a"), scale=(0.7, 0.95), tilt=10, blur=0.6),
            "a photo of a {c}, a type of vehicle.", "a photo of a {c}.", "a photo of my {c}.", "i love my {c}!",
        ),
        _family(
            "scenes", "SUN397", Style("color", full_bleed=True, gray=True, contrast=0.5, noise=40, blur=0.7),
            "a photo of a {c}.", "a photo of the {c}.",
        ),
    ]  # fmt: skip
    return {domain.name: domain for domain in found}


@functools.cache
def development_domains() -> dict[str, Domain]:
    """The data sets of ``mini-dev``: other classes, drawings and seeds, on which strengths and rates are chosen."""

    def rest(*families: str) -> tuple[str, ...]:
        return tuple(name for family in families for name in sketches(family)[BENCHMARK_CONCEPTS:])

    def mixed(name: str, style: Style, families: tuple[str, ...], *templates: str) -> Domain:
        return Domain(name, "development", rest(*families), style, templates, "sketch:" + "+".join(families))

    found = [
        Domain(
            "dev-activities", "development", tuple(ACTIVITIES),
            Style("duotone", "speckle", scale=(0.7, 0.95), tilt=12, noise=20),
            ("a photo of a {c}.", "a photo of the {c}."), "people:activities",
        ),
        mixed(
            "dev-patterns", Style("duotone", full_bleed=True, contrast=0.4, noise=40), ("textures", "overhead"),
            "a photo of a {c}.", "a photo of the {c}.",
        ),
        Domain(
            "dev-letters", "development",
            tuple(name for name in sketches("strokes") if name.startswith("letter")),
            Style("line", "dark", ink=("#ffffff",), scale=(0.7, 1.0), tilt=10, pixels=12),
            ('a photo of the {c}.',), "sketch:strokes",
        ),
        mixed(
            "dev-living", Style("color", "clutter", scale=(0.55, 0.85), tilt=25, negative=True, noise=12),
            ("plants", "animals"), "a photo of a {c}.",
        ),
        mixed(
            "dev-made", Style("line", "speckle", ink=("#3a1d5a", "#5a1d1d"), scale=(0.6, 0.95), tilt=20, noise=12),
            ("vehicles", "objects"), "a photo of a {c}.", "a drawing of a {c}.",
        ),
        mixed(
            "dev-food",
            Style("silhouette", "gradient", ink=("#1a1020", "#102018"), scale=(0.6, 0.9), tilt=15, noise=16),
            ("food",), "a photo of a {c}, a type of food.",
        ),
    ]  # fmt: skip
    return {domain.name: domain for domain in found}
