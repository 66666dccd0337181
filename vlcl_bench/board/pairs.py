"""Two entries to compare, found by what a person types: a name as on the board, a run's folder, or its hash."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vlcl_bench.board.entries import PLACES, Entry, add, entries
from vlcl_bench.errors import UsageError, VlclError, nearest
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.records.files import RECORD_NAME, read_record
from vlcl_bench.records.schema import Record
from vlcl_bench.records.streams import differences, stream_of
from vlcl_bench.scoring.metrics import FloatArray

Stream = tuple[str, str]
"""A protocol's name and fingerprint: what two entries must share."""
SHORT = 8
"""Digits of a fingerprint in a message."""


def find_pair(
    first: str, second: str, protocol: str | Path | None, places: Sequence[Path] = PLACES
) -> tuple[Entry, Entry]:
    """The entries that two names mean: a run's folder, the beginning of its hash, ``METHOD`` or ``METHOD:KEY=VALUE``.

    ``protocol`` is a name, or the file of a protocol of one's own. Raises :class:`UsageError` where a name means none,
    or more than one on the protocols that both have.
    """
    known = entries(places)
    typed = (first, second)
    options = [_named(name, known, places) for name in typed]
    asked = [_on(protocol, option) for option in options]
    stream = _shared(typed, options, asked, protocol)
    pair = [[one for one in option if _stream(one) == stream] for option in asked]
    for name, found in zip(typed, pair, strict=True):
        if len(found) > 1:
            where = ", ".join(str(one.first[0]) for one in found)
            raise UsageError(
                f"{name!r} means {len(found)} entries on {stream[0]}, which differ in {_apart(found)}",
                f"Name a run's folder instead: {where}.",
            )
    return pair[0][0], pair[1][0]


def item_scores(
    pair: tuple[Entry, Entry], protocol: str | Path | None
) -> tuple[dict[int, dict[str, FloatArray]], dict[int, dict[str, FloatArray]]]:
    """The scores of both entries by seed; see :meth:`Entry.item_scores`."""
    file, (a, b) = protocol_file(protocol), pair
    return a.item_scores(file, beside=b), b.item_scores(file, beside=a)


def protocol_file(protocol: str | Path | None) -> Path | None:
    """The file of an own protocol, where ``protocol`` is one."""
    return Path(protocol) if protocol is not None and str(protocol).endswith(".toml") else None


def _stream(entry: Entry) -> Stream:
    return entry.protocol, entry.fingerprint


def _on(protocol: str | Path | None, option: list[Entry]) -> list[Entry]:
    """Those of some entries that are on the protocol asked for; all, where none is.

    Of a file the runs that were made under what it says now, on the pictures that count today if there are
    such; raises :class:`UsageError` for a file that is no protocol.
    """
    if protocol is None:
        return option
    file = protocol_file(protocol)
    if file is None:
        return [one for one in option if _is_named(one, str(protocol))]
    stream = load_protocol(file)
    found = [one for one in option if one.protocol == stream.name and _made_under(one, file)]
    try:
        today = stream.fingerprint
    except VlclError:
        return found  # its pictures were described below several data roots, or not at all
    return [one for one in found if one.fingerprint == today] or found


def _is_named(entry: Entry, protocol: str) -> bool:
    """Whether an entry is on a protocol of this name, or of ``NAME@FINGERPRINT`` as the board writes own ones."""
    name, _, digest = protocol.partition("@")
    own = bool(digest) and entry.protocol == name and entry.fingerprint.startswith(digest)
    return own or entry.protocol == protocol


def _made_under(entry: Entry, file: Path) -> bool:
    try:
        return stream_of(*entry.first, file).fingerprint == entry.fingerprint
    except VlclError:
        return False


def _shared(
    typed: tuple[str, str], options: list[list[Entry]], asked: list[list[Entry]], protocol: str | Path | None
) -> Stream:
    """The one stream on which both are; raises :class:`UsageError` where there is none, or more than one."""
    streams = [{_stream(one): one for one in option} for option in asked]
    shared = sorted(streams[0].keys() & streams[1].keys())
    if len(shared) == 1:
        return shared[0]
    if not shared:
        raise _nothing_shared(typed, options, protocol)
    names = sorted({name for name, _ in shared})
    if len(names) > 1:
        raise UsageError(f"which protocol? {_have(typed, asked)}", _name_one(names[0]))
    told = "; ".join(f"{digest[:SHORT]} ({_folders(streams, (name, digest))})" for name, digest in shared)
    one, other = (streams[0][stream].first for stream in shared[:2])
    raise UsageError(
        f"both have runs on {len(shared)} different protocols of the name {names[0]}, with the fingerprints {told}"
        + _differing(one, other),
        f"Say which with protocol (--protocol), for instance {names[0]}@{shared[-1][1][:SHORT]}; or name run folders.",
    )


def _nothing_shared(typed: tuple[str, str], options: list[list[Entry]], protocol: str | Path | None) -> UsageError:
    """Why two names have no stream in common: other protocols, or other ones of the same name."""
    by_name: list[Mapping[str, Entry]] = [{one.protocol: one for one in option} for option in options]
    both = sorted(by_name[0].keys() & by_name[1].keys())
    file = protocol_file(protocol)
    name = load_protocol(file).name if file else str(protocol)
    message = f"nothing to compare: {_have(typed, options)}"
    if protocol is not None and {_stream(one) for one in options[0]} & {_stream(one) for one in options[1]}:
        if file and name in both:
            return UsageError(
                f"{message}; none of both was made under {file} as it is now ({name})",
                "Leave protocol (--protocol) out, or run them again under this file.",
            )
        return UsageError(f"{message}; not both on {name}", f"Both must have runs on it. {_name_one(both[0])}")
    if not both:
        return UsageError(message, "Both must have runs on one protocol.")
    one, other = (found[both[0]] for found in by_name)
    digests = [f"{entry.fingerprint[:SHORT]} ({entry.first[0]})" for entry in (one, other)]
    return UsageError(
        f"nothing to compare: {typed[0]!r} and {typed[1]!r} have runs on protocols of the name {both[0]} that are not "
        f"the same, with the fingerprints {digests[0]} and {digests[1]}{_differing(one.first, other.first)}",
        "Run both under the same file, on the same data.",
    )


def _differing(first: tuple[Path, Record], second: tuple[Path, Record]) -> str:
    found = differences(first, second)
    return f"; they differ in {', '.join(found)}" if found else ""


def _name_one(protocol: str) -> str:
    return f"Name one with protocol (--protocol), for instance {protocol}."


def _folders(streams: list[dict[Stream, Entry]], stream: Stream) -> str:
    return ", ".join(dict.fromkeys(str(one[stream].first[0]) for one in streams))


def _have(typed: tuple[str, str], options: list[list[Entry]]) -> str:
    have = [", ".join(sorted({one.protocol for one in option})) for option in options]
    return f"{typed[0]!r} has runs on {have[0]}; {typed[1]!r} on {have[1]}"


def _apart(found: Sequence[Entry]) -> str:
    """In what entries of one name and one stream differ: in words, or by the record's keys where there are none."""
    facts = [one.first[1].identity.facts() for one in found]
    words = {
        "method_source_sha256": "the method's source", "config": "settings", "backbone": "the backbone",
        "backbone_sha256": "the backbone's weights", "backbone_source_sha256": "the backbone's file",
        "auxiliary": "reference data",
    }  # fmt: skip
    keys = dict.fromkeys([*words, *(key for one in facts for key in one)])
    differing = [key for key in keys if any(one.get(key) != facts[0].get(key) for one in facts)]
    if "backbone" in differing:
        differing = [key for key in differing if not key.startswith("backbone_")]
    known = [words[key] for key in differing if key in words]
    return " and ".join(known or differing)


# Names


def _named(name: str, known: Sequence[Entry], places: Sequence[Path]) -> list[Entry]:
    """What a name means; raises :class:`UsageError` with what there is where it means nothing."""
    place = Path(name).parent if Path(name).name == RECORD_NAME else Path(name)
    if (place / RECORD_NAME).exists():
        return [add({}, place, read_record(place))]
    exact = [one for one in known if one.name == name]
    method, settings = parsed(name)
    found = exact + [one for one in known if one not in exact and one.method == method and _has(one, settings)]
    found = found or _by_hash(name, known)
    if found:
        return found
    if place.is_dir() and (place / "journal.jsonl").exists():
        raise UsageError(
            f"the run in {name} is not finished: it has no {RECORD_NAME}",
            "Give its `vlcl run` command again to continue it.",
        )
    names = sorted({one.name for one in known})
    others = [other for other in names if parsed(other)[0] == method]
    where = ", ".join(map(str, places))
    if others:
        raise UsageError(
            f"no entry {name!r}: {method} has runs with other settings only", f"There are: {', '.join(others)}."
        )
    hint = nearest(name, names) if names else f"No finished run is in {where}; say with in (--in) where they are."
    raise UsageError(f"no entry {name!r} and no run in a folder of that name", hint)


def parsed(name: str) -> tuple[str, dict[str, Any]]:
    """A method and settings from ``METHOD:KEY=VALUE, KEY=VALUE``; of a method's file or folder the name it runs under.

    Values are those that ``--set`` takes; ``None``, ``True`` and ``False`` are read too, as the board writes them.
    """
    method, _, rest = name.partition(":")
    if method.endswith(".py") or Path(method).is_dir():
        method = Path(method).stem if method.endswith(".py") else Path(method).resolve().name
    settings = {}
    for pair in re.split(r",\s*(?=\w+=)", rest) if "=" in rest else ():
        key, _, value = pair.partition("=")
        settings[key.strip()] = _value(value.strip())
    return method, settings


def _value(text: str) -> Any:
    for spelling in (text, {"None": "null", "True": "true", "False": "false"}.get(text, text)):
        try:
            return json.loads(spelling)
        except json.JSONDecodeError:
            continue
    return text


def _has(entry: Entry, settings: Mapping[str, Any]) -> bool:
    """Whether an entry has these settings and the method's defaults beside them.

    Of a record that does not say the defaults, those that are given must be among its settings.
    """
    _, record = entry.first
    own = record.identity.settings
    if record.defaults is None:
        return all(key in own and own[key] == value for key, value in settings.items())
    return own == {**record.defaults, **settings}


def _by_hash(name: str, known: Sequence[Entry]) -> list[Entry]:
    """The run whose hash begins so, as an entry of its own."""
    if not re.fullmatch("[0-9a-f]{4,16}", name):
        return []
    runs = [run for entry in known for run in entry.runs.values() if run[1].run_hash.startswith(name)]
    return [add({}, folder, record) for folder, record in runs]
