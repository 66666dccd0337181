"""What the mini CLIP is pretrained on: pictures with captions that share no picture with any task.

All official emoji and their skin-tone variants except the test drawings of any task, sketches of every family
(instances of their own), drawn digits and letters, and scenes; painted in the plain renditions below, none of
which is the style of a task.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from vlcl_bench.mini import openmoji
from vlcl_bench.mini.domains import (
    ACTIVITIES,
    GESTURES,
    PROFESSIONS,
    Domain,
    development_domains,
    domains,
    hands,
    people,
    sketches,
)
from vlcl_bench.mini.pictures import Picture, seeded
from vlcl_bench.mini.renditions import Style

DARK = ("#000000", "#1b1b3a", "#3a1b1b", "#123016", "#3d2a10")

STYLES = {
    "plain": Style("color", "plain", scale=(0.6, 1.0), tilt=20, hue=8),
    "pale": Style("color", "pale", scale=(0.6, 1.0), tilt=20),
    "sky": Style("color", "gradient", scale=(0.55, 0.95), tilt=15, blur=0.7),
    "flat": Style("flat", "pale", scale=(0.6, 1.0), tilt=20),
    "line": Style("line", "pale", ink=DARK, scale=(0.6, 1.0), tilt=20),
    "silhouette": Style("silhouette", "pale", ink=DARK, scale=(0.6, 1.0), tilt=20),
    "whole": Style("color", full_bleed=True, hue=24, blur=0.5),
    "noisy": Style("color", "speckle", scale=(0.6, 1.0), tilt=20, noise=24, hue=60),
    "board": Style("line", "dark", ink=("#ffffff",), scale=(0.6, 1.0), tilt=10, blur=1.0),
}

OBJECT_STYLES = ("plain", "pale", "sky", "flat", "line", "silhouette")
FULL_BLEED = ("textures", "overhead", "scenes")

PHRASES = {
    "line": ("a line drawing of a {c}", "an outline of a {c}", "a sketch of a {c}"),
    "silhouette": ("a silhouette of a {c}", "a shadow of a {c}"),
    "noisy": ("a blurry photo of a {c}", "a noisy picture of a {c}"),
}
PLAIN_PHRASES = (
    "a photo of a {c}.",
    "a drawing of a {c}",
    "a picture of the {c}",
    "{c}",
    "a photo of the {c}.",
    "a {c}",
)
FAMILY_PHRASES = {
    "textures": ("a photo of a {c} texture.", "a photo of a {c} pattern.", "a {c} surface", "{c}"),
    "overhead": (
        "a centered satellite photo of {c}.",
        "a satellite photo of the {c}",
        "a map of {c}",
        "{c} from above",
    ),
    "plants": ("a photo of a {c}, a type of plant.", "a plant: {c}"),
    "food": ("a photo of a {c}, a type of food.", "a {c} to eat"),
    "animals": ("a photo of a {c}, a type of animal.", "an animal: {c}"),
    "vehicles": ("a photo of a {c}, a type of vehicle.", "my {c}"),
    "strokes": ('a photo of the number: "{c}".', "a photo of the {c}.", "{c}", "handwritten {c}"),
    "professions": ("a photo of a {c}, a type of profession.", "a person who is a {c}"),
}


@dataclass(frozen=True)
class Example:
    """A pretraining picture, what it shows, and the sentences that may be said of it."""

    picture: Picture
    concept: str
    captions: tuple[str, ...]


def all_domains() -> tuple[Domain, ...]:
    """Every data set of the mini world, development included."""
    return (*domains().values(), *development_domains().values())


@functools.cache
def held_drawings() -> frozenset[str]:
    """Identifiers of all drawings that are held back: every test drawing, and OpenMoji's held ones with a copy."""
    tested = {picture.drawing for domain in all_domains() for picture, _ in domain.pictures("test")}
    people_held = {
        f"openmoji/{code}"
        for signs in (PROFESSIONS, ACTIVITIES)
        for label, sign in enumerate(signs.values())
        for code, held in people(sign, label)
        if held
    }
    return frozenset(tested | people_held)


def captions(concept: str, style: str, family: str) -> tuple[str, ...]:
    """Sentences for a concept in a style, ``a`` before consonants and ``an`` before vowels."""
    phrases = PHRASES.get(style, ()) + FAMILY_PHRASES.get(family, ()) + PLAIN_PHRASES
    if concept[0].lower() in "aeio":
        phrases = tuple(phrase.replace("a {c}", "an {c}") for phrase in phrases) + phrases[:1]
    return tuple(phrase.replace("{c}", concept) for phrase in phrases)


def corpus(instances: int = 150, per_emoji: int = 10) -> list[Example]:
    """The pretraining pictures in a fixed order.

    ``instances`` drawings are taken of each sketch, ``per_emoji`` pictures of each emoji.
    """
    found = _emoji(per_emoji) + _bodies(per_emoji)
    for family in ("plants", "food", "animals", "vehicles", "objects", *FULL_BLEED, "strokes"):
        for concept in sketches(family):
            for i in range(instances):
                drawing = f"sketch/{family}/{concept}/{i}"
                found.append(_example(drawing, concept, family, _styles_of(family, i)))
    held = held_drawings()
    return [example for example in found if example.picture.drawing not in held]


def _styles_of(family: str, index: int) -> str:
    if family in FULL_BLEED:
        return "whole"
    if family == "strokes":
        return ("line", "board")[index % 2]
    return (*OBJECT_STYLES, "noisy")[index % (len(OBJECT_STYLES) + 1)]


def _example(drawing: str, concept: str, family: str, style: str, variation: int = 0) -> Example:
    return Example(Picture(drawing, style, variation), concept, captions(concept, style, family))


def _emoji(per_emoji: int) -> list[Example]:
    """Every official emoji under its own name, in the plain renditions."""
    found = []
    for emoji in openmoji.catalogue():
        flat = emoji.category in ("Flags", "Symbols")
        for k in range(per_emoji // 2 if flat else per_emoji):
            style = ("plain", "pale", "sky", "noisy")[k % 4] if flat else (*OBJECT_STYLES, "noisy")[k % 7]
            found.append(_example(f"openmoji/{emoji.code}", emoji.name, "", style, k // 4 if flat else k // 7))
        if not flat:
            tones = openmoji.toned(emoji.code)
            rng = seeded(emoji.code)
            for code in tones:
                found.append(_example(f"openmoji/{code}", emoji.name, "", rng.choice(OBJECT_STYLES)))
    return found


def _bodies(per_drawing: int) -> list[Example]:
    """People and hands under the names that the tasks use, through the drawings that are not held for testing."""
    found = []
    for family, signs in (("professions", PROFESSIONS), ("activities", ACTIVITIES)):
        for label, (concept, sign) in enumerate(signs.items()):
            for code, held in people(sign, label):
                for k in range(0 if held else per_drawing):
                    style = (*OBJECT_STYLES, "noisy")[k % 7]
                    found.append(_example(f"openmoji/{code}", concept, family, style, 100 + k))
    for label, (concept, base) in enumerate(GESTURES.items()):
        for code, held in hands(base, label):
            for k in range(0 if held else 3 * per_drawing):
                style = (*OBJECT_STYLES, "noisy")[k % 7]
                found.append(_example(f"openmoji/{code}", concept, "", style, 100 + k))
    return found
