"""Whether the labels of a hub's copy are the protocol's: by the names that the copy itself gives them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vlcl_bench.data.real.spec import RealSpec
from vlcl_bench.errors import IntegrityError, nearest

_HINT = "Take another copy: with the labels as they are, accuracy would be computed against the wrong names."


def normalised(name: str) -> str:
    """A class name without what copies differ in: case, spaces, punctuation, and the ``/a/`` before SUN397's names."""
    name = name.strip().lower()
    if re.match(r"/[a-z]/", name) or (len(name) > 2 and name[1] == "/" and name[0] == name[2]):
        name = name.lstrip("/")[2:]
    return "".join(character for character in name if character.isalnum())


def label_map(found: Sequence[str], spec: RealSpec) -> list[int]:
    """The protocol's label of each of a copy's labels, by the names that the copy gives them, in its label order.

    Copies sort names differently (``cheese_plate`` before or after ``cheesecake``), so labels are read by name. A name
    may be as the official archive spells it or as the protocol does. Raises :class:`IntegrityError` for another number
    of classes, and for a name that is no class or that of one already named.
    """
    assert spec.hub is not None
    if len(found) != len(spec.class_names):
        raise IntegrityError(
            f"{spec.hub.repo} has {len(found)} classes, {spec.name} has {len(spec.class_names)}: "
            f"{', '.join(found[:4])} … against {', '.join(spec.names_in_source[:4])} …",
            _HINT,
        )
    labels: list[int] = []
    for label, name in enumerate(found):
        spelling = normalised(spec.hub.aliases.get(name, name))
        pairs = enumerate(zip(spec.names_in_source, spec.class_names, strict=True))
        choices = [place for place, names in pairs if spelling in map(normalised, names)]
        if len(choices) != 1 or choices[0] in labels:
            raise IntegrityError(
                f"label {label} of {spec.hub.repo} is {name!r}, "
                + ("which is another label's name too" if choices else f"no class of {spec.name}")
                + f"; in the same place the protocol has {spec.names_in_source[label]!r}",
                _HINT,
            )
        labels.append(choices[0])
    return labels


def labels_by_name(found: Sequence[str | None], spec: RealSpec) -> list[int]:
    """Labels of a column of class names; :class:`IntegrityError` for a name that is no class, or is that of two."""
    assert spec.hub is not None
    known: dict[str, set[int]] = {}
    for names in (spec.names_in_source, spec.class_names):
        for label, spelling in enumerate(names):
            known.setdefault(normalised(spelling), set()).add(label)
    labels: dict[str | None, int] = {}
    for row, name in enumerate(found):
        if name in labels:
            continue
        choices = known.get(normalised(spec.hub.aliases.get(name, name)), set()) if name is not None else set()
        if len(choices) != 1:
            problem = "names no class" if not choices else f"names {len(choices)} classes"
            raise IntegrityError(
                f"{spec.hub.repo}: {name!r} in row {row} of column {spec.hub.label!r} {problem} of {spec.name}",
                nearest(str(name), spec.names_in_source),
            )
        labels[name] = next(iter(choices))
    return [labels[name] for name in found]
