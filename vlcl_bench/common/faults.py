"""What is wrong with a file or a setting of the user's, in plain words: the key, what was found, what was expected.

The words follow from the schema, so that a field that is added to it has its message at once.
"""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Field, Strict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from vlcl_bench.errors import nearest

MOST = 2**31 - 1
"""The largest whole number that a file may state: what lies beyond it overflows somewhere further down."""

Whole = Annotated[int, Strict(), Field(le=MOST)]
Count = Annotated[int, Strict(), Field(ge=0, le=MOST)]
Positive = Annotated[int, Strict(), Field(gt=0, le=MOST)]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Flag = Annotated[bool, Strict()]

OTHER = "value of another kind"
SHOWN = 60
"""Letters of a value that a message shows."""
KNOWN = 12
"""A table with so few keys has them all named beside one that it does not know."""
Path = tuple[int | str, ...]
BOUNDS = {
    "gt": "above", "ge": "of at least", "lt": "below", "le": "of at most", "min_length": "with at least",
    "max_length": "with at most",
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: the key it is about, and what was found and expected, or what is missing."""

    place: Path
    said: str

    def under(self, place: Path) -> Fault:
        """The same fault, seen from further out."""
        return Fault((*place, *self.place), self.said)


class Faults(ValueError):  # noqa: N818 (several of them; pydantic asks for a ValueError)
    """Faults that a validator found, all of them; :func:`schema_faults` takes them out of pydantic's error again."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(fault.said for fault in faults))
        self.faults = tuple(faults)

    @classmethod
    def raised(cls, faults: Iterable[Fault]) -> None:
        """Raise where there is any fault."""
        found = list(faults)
        if found:
            raise cls(found)


def wrong(place: str | Path, found: object, expected: str) -> Fault:
    """A fault of the usual form; ``place`` is a key, or keys from the outside in."""
    return Fault((place,) if isinstance(place, str) else place, f"found {shown(found)}, expected {expected}")


def schema_faults(error: ValidationError, schema: type[BaseModel]) -> list[Fault]:
    """Every fault that pydantic found, in our words; ``schema`` is what was validated."""
    faults: list[Fault] = []
    for one in error.errors():
        place, cause = one["loc"], one.get("ctx", {}).get("error")
        if isinstance(cause, Faults):
            found = [fault.under(place) for fault in cause.faults]
        elif one["type"] == "extra_forbidden":
            found = [Fault(place, f"unknown key; {_near(place, schema)}")]
        elif place and place[-1] == "[key]":
            found = [Fault(place[:-1], f"unknown key; expected {expected_at(schema, place[:-2], keys=True)}")]
        elif one["type"] == "missing" and isinstance(place[-1], int):  # a list that is too short
            found = [wrong(place[:-1], one["input"], expected_at(schema, place[:-1]))]
        elif one["type"] == "missing":
            found = [Fault(place, f"missing, expected {expected_at(schema, place)}")]
        elif one["type"] == "value_error":
            found = [Fault(place, str(cause))]
        else:
            found = [_unfit(place, one, expected_at(schema, place))]
        faults += [fault for fault in found if fault not in faults]
    return faults


def _unfit(place: Path, one: ErrorDetails, expected: str) -> Fault:
    if OTHER in expected:  # a kind that we have no words for: somebody's own settings
        return Fault(place, f"found {shown(one['input'])}: {one['msg']}")
    if one["type"] == "finite_number":
        expected = expected.replace("a number", "a finite number")
    if one.get("ctx", {}).get("le") == MOST:
        expected += f", {MOST:,} at most"
    return wrong(place, one["input"], expected)


def shown(value: object) -> str:
    """A value as a person wrote it, cut where it is long."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a table" if value else "an empty table"
    if isinstance(value, (list, tuple)) and (len(value) > 4 or any(isinstance(i, (dict, list, tuple)) for i in value)):
        return f"a list of {len(value)}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(shown, value)) + "]" if value else "an empty list"
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, (str, int, float)) else f"something of the kind {type(value).__name__}"
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def expected_at(schema: type[BaseModel], place: Path, keys: bool = False) -> str:
    """What the schema wants at a place, such as ``a whole number above 0``; with ``keys``, of a table's keys."""
    annotation, metadata = _at(schema, place)
    kind = _plain(annotation)
    if keys and get_origin(kind) is dict:
        annotation, metadata = get_args(kind)[0], ()
    return _words(annotation, metadata)


def may_be(annotation: Any, value: object) -> bool:
    """Whether a value may stand for a setting: no text for a number or for yes and no, and neither for the other.

    pydantic alone reads ``"1_0"`` as 10 and ``true`` as 1. What is no number is left to it.
    """
    kinds = _alternatives(annotation)
    if not kinds <= {int, float, bool, type(None)}:
        return True
    if isinstance(value, bool):
        return bool in kinds
    return not isinstance(value, str) and (not isinstance(value, (int, float)) or kinds != {bool})


def _alternatives(annotation: Any) -> set[Any]:
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return {kind for part in get_args(annotation) for kind in _alternatives(part)}
    return {annotation} if isinstance(annotation, type) else {object}


def place_words(place: Path, names: Mapping[Path, str] | None = None) -> str:
    """A place in words: keys with dots, items counted from 1; ``names`` are those of items that have one."""
    words = ""
    for end, part in enumerate(place, start=1):
        called = (names or {}).get(place[:end])
        if called is not None:
            words += f".{called}"
        elif isinstance(part, int):
            words += f" (item {part + 1})"
        else:
            words += f".{part}" if words else part
    return words or "the whole"


def _near(place: Path, schema: type[BaseModel]) -> str:
    kind = _plain(_at(schema, place[:-1])[0])
    fields = kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else {}
    known = [field.alias or name for name, field in fields.items()]
    said = nearest(str(place[-1]), known)
    if said.startswith("Did"):
        return said[0].lower() + said[1:]
    return f"known here: {', '.join(sorted(known))}" if len(known) <= KNOWN else "no key here is called nearly so"


def _at(schema: type[BaseModel], place: Path) -> tuple[Any, Sequence[Any]]:
    """The annotation of a place and what it is bounded by."""
    annotation: Any = schema
    metadata: Sequence[Any] = ()
    for part in place:
        kind, arguments = _plain(annotation), get_args(_plain(annotation))
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = next((f for n, f in kind.model_fields.items() if part in (f.alias or n, n)), None)
            if field is None:
                return Any, ()
            annotation, metadata = field.annotation, field.metadata
        elif get_origin(kind) is tuple:
            several = arguments[-1] is Ellipsis or not isinstance(part, int)
            annotation, metadata = arguments[0 if several else min(int(part), len(arguments) - 1)], ()
        elif get_origin(kind) is dict:
            annotation, metadata = arguments[1], ()
        else:
            return Any, ()
    return annotation, metadata


def _plain(annotation: Any) -> Any:
    """An annotation without bounds, and without the alternative that it is left out."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, types.UnionType):
            given = [kind for kind in get_args(annotation) if kind is not type(None)]
            if len(given) != 1:
                return annotation
            annotation = given[0]
        else:
            return annotation


def _words(annotation: Any, metadata: Sequence[Any]) -> str:
    bounds = list(metadata)
    while get_origin(annotation) in (Annotated, Union, types.UnionType):
        if get_origin(annotation) is Annotated:
            bounds += get_args(annotation)[1:]
            annotation = get_args(annotation)[0]
        elif (plain := _plain(annotation)) is annotation:
            return " or ".join(_words(kind, ()) for kind in get_args(annotation) if kind is not type(None))
        else:
            annotation = next(kind for kind in get_args(annotation) if _plain(kind) == plain)
    one, _ = _kind(annotation)
    return one + _bounds(bounds)


def _kind(annotation: Any) -> tuple[str, str]:
    """One of a kind, and several, in words."""
    simple = {
        int: ("a whole number", "whole numbers"), float: ("a number", "numbers"), str: ("a text", "texts"),
        bool: ("true or false", "truth values"),
    }  # fmt: skip
    annotation = _plain(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in simple:
        return simple[annotation]
    if origin is Literal:
        words = " or ".join(map(repr, arguments))
        return words, f"texts, each {words}"
    if origin is tuple and arguments[-1] is not Ellipsis:
        count = {2: "two", 3: "three"}.get(len(arguments), str(len(arguments)))
        return f"a list of {count} {_kind(arguments[0])[1]}", "lists"
    if origin in (tuple, list):
        return f"a list of {_kind(arguments[0])[1]}", f"lists of {_kind(arguments[0])[1]}"
    if origin is dict:
        return f"a table with {_kind(arguments[1])[1]}", "tables"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        needed = [field.alias or name for name, field in annotation.model_fields.items() if field.is_required()]
        return f"a table with {', '.join(needed) or 'its keys'}", "tables"
    return OTHER, f"{OTHER}s"


def _bounds(metadata: Sequence[Any]) -> str:
    """Bounds of a number or a list's length, as the end of a phrase."""
    flat: list[Any] = []
    for item in metadata:
        flat += item.metadata if isinstance(item, FieldInfo) else [item]
    found = {name: value for item in flat for name in BOUNDS if (value := getattr(item, name, None)) is not None}
    # MOST is too far off to be worth a word.
    ends = {"min_length": " of them", "max_length": " of them"}
    return "".join(f" {BOUNDS[name]} {value:g}{ends.get(name, '')}" for name, value in found.items() if value != MOST)
