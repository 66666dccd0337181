"""Protocols by name or by file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from vlcl_bench.common.faults import Fault, place_words, schema_faults, wrong
from vlcl_bench.common.faults import Path as Place
from vlcl_bench.data.real.spec import RealSpec
from vlcl_bench.data.world import world_of_source
from vlcl_bench.errors import UsageError, VlclError, nearest
from vlcl_bench.protocols import stream
from vlcl_bench.protocols.checks import ALLOWED, OWN_NAME, own_faults
from vlcl_bench.protocols.schema import fitting_faults
from vlcl_bench.protocols.stream import Protocol

FOLDER = Path(__file__).parent
HINT = (
    "docs/own-data.md explains every key; a whole file from your pictures: "
    "vlcl protocols new my-stream.toml --data-root DIR"
)


def protocol_names() -> tuple[str, ...]:
    """Names of the protocols that come with the package."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load_protocol(name: str | Path) -> Protocol:
    """A protocol by name, or by the path of a TOML file; raises :class:`UsageError` with the nearest name.

    Of a file that is no protocol, every fault is named at once. One that does not come with the package must not look
    as if it did. Equal files give the same object where all their manifests are committed, so that fingerprint and
    label spaces are computed once in a process.
    """
    name = str(name)
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.exists() and name.endswith(".toml"):
        raise UsageError(f"there is no file {name}", "Give a protocol's name, or the path of its TOML file.")
    if not path.exists():
        beside = Path(f"{name}.toml")
        hint = f"Did you mean the file {beside}?" if beside.is_file() else nearest(name, protocol_names())
        raise UsageError(f"unknown protocol {name!r}", hint)
    text = _text(path)
    if path.resolve().parent != FOLDER.resolve():
        _refuse_faults(path, text)
    protocol = _protocol(text)
    # What a manifest of first use says may change while this process lives.
    return protocol if _is_frozen(protocol) else _parsed(text)


@lru_cache(maxsize=64)
def _protocol(text: str) -> Protocol:
    return _parsed(text)


def _parsed(text: str) -> Protocol:
    return Protocol.model_validate(tomllib.loads(text))


def _is_frozen(protocol: Protocol) -> bool:
    try:
        return protocol.frozen
    except VlclError:  # it names a data set that is not there: whoever asks for it will say so
        return False


def _text(path: Path) -> str:
    """The text of a file, with plain line ends; :class:`UsageError` where it is no text."""
    try:
        text = path.read_bytes().decode("utf-8-sig")  # editors put a mark before it that TOML does not know
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "Give the path of a TOML file.") from error
    except UnicodeDecodeError as error:
        said = f"byte {error.object[error.start]:#04x} at place {error.start} is not text in UTF-8"
        raise UsageError(f"{path} is not a valid protocol: {said}", "Save the file as UTF-8.") from error
    return text.replace("\r\n", "\n")


def _refuse_faults(path: Path, text: str) -> None:
    """Raise :class:`UsageError` with all that is wrong with a protocol of one's own."""
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # not only TOMLDecodeError: numbers of 5,000 digits, nested lists
        said = f"it is not TOML: {error}"
        raise UsageError(f"{path} is not a valid protocol: {said}", HINT) from error
    faults = faults_of(values)
    if faults:
        raise UsageError(f"{path} is not a valid protocol: {in_words(faults, values)}", HINT)


def faults_of(values: Mapping[str, Any]) -> list[Fault]:
    """All that is wrong with the values of a protocol that does not come with the package."""
    protocol, faults = None, []
    try:
        protocol = Protocol.model_validate(values)
        parts = {key: getattr(protocol, key) for key in Protocol.model_fields}
    except ValidationError as error:
        parts = _valid_parts(Protocol, values)
        faults = schema_faults(error, Protocol) + fitting_faults(parts)
        if "data" not in parts:
            faults += _faults_of_tables(values.get("data"))
    faults += _name_faults(parts, protocol) + _data_faults(parts)
    return list(dict.fromkeys(faults))


def _valid_parts(schema: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that have the right form, by attribute, although others have not."""
    parts = {}
    for name, field in schema.model_fields.items():
        key = field.alias or name
        if key not in values and field.is_required():
            continue
        try:
            given = values[key] if key in values else field.get_default()
            parts[name] = TypeAdapter(field.rebuild_annotation()).validate_python(given)
        except ValidationError:
            continue
    return parts


def _faults_of_tables(data: object) -> list[Fault]:
    """What is wrong with the data sets as far as single keys of theirs have the right form."""
    faults = []
    for place, table in enumerate(data if isinstance(data, list) else ()):
        if isinstance(table, dict):
            known = _valid_parts(RealSpec, table)
            faults += [
                fault.under(("data", place)) for fault in own_faults(RealSpec.model_construct(**known), set(known))
            ]
    return faults


def _name_faults(parts: Mapping[str, Any], protocol: Protocol | None) -> list[Fault]:
    """A name that is none, or that of a protocol of the package whose content this file does not have."""
    name = parts.get("name")
    if name is None:
        return []
    if name in protocol_names():
        frozen = _protocol(_text(FOLDER / f"{name}.toml"))
        if protocol is not None and protocol.model_dump() == frozen.model_dump():
            return []
        said = f"found {name!r}, which is another protocol, frozen and with records; expected a name of your own"
        return [Fault(("name",), said)]
    return [] if OWN_NAME.fullmatch(name) else [Fault(("name",), f"found {name!r}; {ALLOWED}")]


def _data_faults(parts: Mapping[str, Any]) -> list[Fault]:
    """Data sets that do not exist or do not go together, and a size of pictures that they do not have."""
    try:
        world_of_source(parts.get("source", "real"))
    except UsageError as error:
        return [Fault(("source",), f"{error.message}. {error.hint or ''}")]
    if not {"source", "dataset_names", "data", "picture_size", "class_groups"} <= parts.keys():
        return []
    faults: list[Fault] = []
    own = {spec.name for spec in parts["data"]}
    found = []
    for name in parts["dataset_names"]:
        try:
            found.append(stream.open_dataset(parts["source"], name, parts["data"]))
        except VlclError as error:
            near = nearest(name, own) if own else error.hint
            faults.append(Fault(("tasks",), f"{error.message}. {near or ''}"))
    size, drawn = parts["picture_size"], {dataset.side for dataset in found}
    if size is None and None in drawn:
        faults.append(Fault(("picture_size",), "missing, expected the side in pixels that the backbone takes"))
    if size is not None and drawn and None not in drawn and {size} != drawn:
        sides = " and ".join(str(side) for side in sorted(side for side in drawn if side is not None))
        faults.append(wrong("picture_size", size, f"{sides}, the side of these pictures; or leave it out"))
    names = {name for dataset in found for name in dataset.class_names}
    for alias in sorted({name for group in parts.get("aliases", ()) for name in group} - names):
        faults.append(Fault(("aliases",), f"no class of the stream is called {alias!r}. {nearest(alias, names)}"))
    kinds = {dataset.captioned: dataset.name for dataset in found}
    if len(kinds) > 1 and not own:
        said = f"{kinds[True]!r} has captions and {kinds[False]!r} has classes; expected one kind in a stream"
        faults.append(Fault(("tasks",), said))
    for dataset in found:
        group, classes = parts["class_groups"].get(dataset.name), len(dataset.class_names)
        if group is not None and dataset.name not in own and len(group.order) != classes:
            place = ("class_groups", dataset.name, "order")
            faults.append(Fault(place, f"found {len(group.order)} classes, expected all {classes} of {dataset.name}"))
    return faults


def in_words(faults: Sequence[Fault], values: Mapping[str, Any]) -> str:
    """One fault in a line, or their number and a line for each."""
    names: dict[Place, str] = {}
    data = values.get("data")
    for place, table in enumerate(data if isinstance(data, list) else ()):
        called = table.get("name") if isinstance(table, dict) else None
        if isinstance(called, str) and OWN_NAME.fullmatch(called):
            names["data", place] = called
    lines = [f"{place_words(fault.place, names)}: {fault.said}" for fault in faults]
    if len(lines) == 1:
        return lines[0]
    return "\n  ".join([f"{len(lines)} things are wrong", *lines])
