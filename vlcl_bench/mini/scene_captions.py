"""Five sentences for a composed scene, from a small grammar of our own; each is true of the scene's description.

Two languages: the plain one tells what is where, as captions written by instruction do; the stories' one is
livelier: things do something, and the words for size and place are others. Each sentence names all things with
their number, and most name the place, so that sentences tell pictures apart.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from vlcl_bench.mini.scene_sets import Arrangement, Group, Scene

Language = Literal["plain", "story"]

COUNTS = {1: "a", 2: "two", 3: "three"}
REPEATS = {1: "", 2: " and another {noun}", 3: ", another {noun} and one more"}
"""Numbers told without a plural, after the first thing."""

SIZES: dict[Language, tuple[str, str]] = {"plain": ("large", "small"), "story": ("huge", "tiny")}

_PLURALS = {
    "butterfly": "butterflies", "daisy": "daisies", "bus": "buses", "lotus": "lotus flowers",
    "cactus": "cactuses", "fish": "fish",
}  # fmt: skip
_PARTS = {"grapes": "bunch of grapes", "sushi": "piece of sushi", "scissors": "pair of scissors"}
_VERBS = {
    "animals": ("standing", "sleeping", "playing", "resting"),
    "food": ("lying", "waiting", "cooling"),
    "vehicles": ("waiting", "resting", "rolling along"),
    "plants": ("growing", "blooming", "standing"),
    "objects": ("lying", "standing", "resting"),
}


def singular(concept: str) -> str:
    """The noun for one of a concept, e.g. ``pair of scissors``."""
    return _PARTS.get(concept, concept)


def plural(concept: str) -> str:
    """The noun for several of a concept."""
    if concept in _PARTS:
        head, _, rest = _PARTS[concept].partition(" of ")
        return f"{head}es of {rest}" if head.endswith("ch") else f"{head}s of {rest}"
    return _PLURALS.get(concept, concept + "s")


def bare(group: Group) -> str:
    """The noun with its number but without an article: ``cat``, ``two cats``."""
    return singular(group.concept) if group.count == 1 else f"{COUNTS[group.count]} {plural(group.concept)}"


def noun_phrase(group: Group, size: str = "") -> str:
    """E.g. ``a cat``, ``an umbrella``, ``two small buses``."""
    noun = singular(group.concept) if group.count == 1 else plural(group.concept)
    noun = f"{size} {noun}" if size else noun
    if group.count > 1:
        return f"{COUNTS[group.count]} {noun}"
    return f"an {noun}" if noun[0] in "aeio" or noun.startswith("umb") else f"a {noun}"


# x is the large thing, or all there is; y is what is small beside it.
_PLAIN_PAIR = (
    "a photo of {x} and {y}{sign}.",
    "a photo of {x} with {y} {place}.",
    "a photo of {x} {place} with {y}.",
    "a drawing of {x} and {y}{sign}.",
    "{x} {x_of} {y}.",
    "{x} is {x_of} {y}{sign}.",
    "{y} {y_of} {x} {place}.",
    "{x}, {y} {place}{sign}.",
    "{x} {x_side}, {y} {y_side}, {place}.",
)
_PLAIN_ALONE = (
    "a photo of {x} {place}.",
    "a photo of {again}{sign}.",
    "a photo of {again} {place}.",
    "{again} {place}.",
    "there are {x} {place}.",
    "{x} are {place}{sign}.",
    "a drawing of {x} {place}.",
    "a picture of {again} {place}{sign}.",
)
_STORY_PAIR = (
    "look, {x} {doing} by {y}!",
    "{x} {doing} {x_of} {y} {place}.",
    "{x} meets {y} {place}.",
    "{place} {x} is {doing} with {y}.",
    "what a sight: {x} meets {y}!",
    "{x} keeps {y} company {place}.",
    "{place} we find {x} {doing} by {y}.",
    "my {y_bare} {y_doing} {y_of} my {x_bare}!",
    "{y} {place}, {x} {doing}.",
)
_STORY_ALONE = (
    "{x} {doing} {place}.",
    "{place} {x} are {doing} side by side.",
    "look, {again} {place}!",
    "what a sight: {x} {place}!",
    "{again} {doing} {place}.",
    "{x} keep each other company {place}.",
    "{place} we find {again}.",
)
TEMPLATES: dict[Language, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "plain": (_PLAIN_PAIR, _PLAIN_ALONE),
    "story": (_STORY_PAIR, _STORY_ALONE),
}

_OPPOSITE: dict[Arrangement, Arrangement] = {"left": "right", "right": "left", "above": "under", "under": "above"}
_SIDES: dict[Language, dict[Arrangement, tuple[str, str]]] = {
    "plain": {
        "left": ("on the left", "to the left of"),
        "right": ("on the right", "to the right of"),
        "above": ("at the top", "above"),
        "under": ("at the bottom", "below"),
    },
    "story": {
        "left": ("over on the left", "left of"),
        "right": ("over on the right", "right of"),
        "above": ("up above", "above"),
        "under": ("down below", "underneath"),
    },
}
"""Where a thing is: in the picture, and seen from the other."""


def captions_of(scene: Scene, language: Language, rng: random.Random) -> tuple[str, ...]:
    """Five different sentences for a scene."""
    pairs, alone = TEMPLATES[language]
    pool = list(alone if len(scene.groups) == 1 else pairs)
    found: list[str] = []
    for template in rng.sample(pool, len(pool)):
        sentence = _fill(template, scene, language, rng)
        if sentence not in found:
            found.append(sentence)
    if len(found) < 5:
        raise AssertionError(f"{scene.id}: the grammar has only {len(found)} sentences for it")
    return tuple(found[:5])


def _fill(template: str, scene: Scene, language: Language, rng: random.Random) -> str:
    group, others = scene.groups[0], scene.groups[1:]
    place = rng.choice(scene.place.phrases)
    sign = f" {rng.choice(scene.sign.phrases)}" if scene.sign else ""
    again = f"{noun_phrase(replace(group, count=1))}" + REPEATS[group.count].format(noun=singular(group.concept))
    slots = {
        "place": place,
        "sign": sign,
        "again": again,
        "x": noun_phrase(group),
        "doing": rng.choice(_VERBS[group.family]),
    }
    if others:
        large, small = SIZES[language] if rng.random() < 0.35 else ("", "")
        x_side, x_of = _SIDES[language][scene.arrangement]
        y_side, y_of = _SIDES[language][_OPPOSITE[scene.arrangement]]
        slots |= {
            "x": noun_phrase(group, large), "x_side": x_side, "x_of": x_of,
            "x_bare": bare(group), "y_bare": bare(others[0]),
            "y": noun_phrase(others[0], small), "y_side": y_side, "y_of": y_of,
            "y_doing": rng.choice(_VERBS[others[0].family]),
        }  # fmt: skip
    for key, value in slots.items():
        template = template.replace("{" + key + "}", value)
    return template
