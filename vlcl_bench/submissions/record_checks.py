"""``run.json`` of a submission: is it a record, is it this method's, was it made under today's protocol."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vlcl_bench.errors import VlclError
from vlcl_bench.common.fileio import canonical_json
from vlcl_bench.methods.source import baselines_folder
from vlcl_bench.methods.registry import list_methods
from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.protocols.load import load_protocol, protocol_names
from vlcl_bench.records.files import RECORD_NAME
from vlcl_bench.records.schema import Record
from vlcl_bench.submissions.finding import Fault
from vlcl_bench.submissions.manifest import Submission
from vlcl_bench.submissions.text import UnreadableError, read_limited, shown, unsafe
from vlcl_bench.submissions.files import RECORD_LIMIT

AGAIN = "Run it again, and copy it in with `vlcl submit add`."
EDITED = "A record is never edited. " + AGAIN
LONGEST = 2000
"""Characters of a text in a record."""
LONGEST_TITLE, LONGEST_SETTINGS = 60, 2000
"""Characters of what the board shows in one cell: the method's title, and its settings as JSON."""
MOST_ERRORS = 10
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Method:
    """What records must say of the method: its name (the folder's), the hash of its source, what is declared.

    The source of one of the project's own methods may change while its records stay.
    """

    name: str
    source_sha256: str | None
    declared: Submission | None
    is_reference: bool = False


class Protocols:
    """Today's protocols, each read once."""

    def __init__(self) -> None:
        self._known: dict[str, Protocol | None] = {}

    def find(self, name: str) -> Protocol | None:
        """The protocol of that name, ``None`` where there is none."""
        if name not in self._known:
            self._known[name] = load_protocol(name) if name in protocol_names() else None
        return self._known[name]


def read_run(folder: Path, where: str) -> tuple[Record | None, list[Fault]]:
    """The record in a run's folder, ``None`` where there is none, and what is wrong with its form."""
    at = f"{where}/{RECORD_NAME}"
    try:
        value = json.loads(
            read_limited(folder / RECORD_NAME, RECORD_LIMIT).decode("utf-8"),
            parse_constant=_no_constant, object_pairs_hook=_once,
        )  # fmt: skip
    except (UnreadableError, ValueError, RecursionError) as error:
        return None, [Fault("record-json", at, f"it cannot be read: {shown(str(error), 200)}", AGAIN)]
    try:
        record = Record.model_validate(value, strict=True)
    except ValidationError as error:
        wrong = error.errors()
        faults = [
            Fault("record-schema", at, f"{shown('.'.join(map(str, one['loc'])))}: {one['msg']}", AGAIN)
            for one in wrong[:MOST_ERRORS]
        ]
        if len(wrong) > MOST_ERRORS:
            faults.append(Fault("record-schema", at, f"and {len(wrong) - MOST_ERRORS} more places", AGAIN))
        return None, faults
    return record, _text_faults(record, at)


def record_faults(record: Record, folder: Path, where: str, method: Method, protocols: Protocols) -> list[Fault]:
    """What a well-formed record says that cannot be, or that is not this submission's."""
    identity, at = record.identity, f"{where}/{RECORD_NAME}"
    faults = list[Fault]()

    def say(code: str, message: str, hint: str) -> None:
        faults.append(Fault(code, at, message, hint))

    if identity.run_hash != record.run_hash:
        message = f"its identity has the run hash {identity.run_hash}; it says {shown(record.run_hash)}"
        say("run-hash", message, EDITED)
    if folder.name != identity.run_hash:
        message = f"the folder is named {folder.name}; the run's hash is {identity.run_hash}"
        say("folder-name", message, "Copy runs in with `vlcl submit add`, which names the folder.")
    if identity.method != method.name:
        message = f"it is a run of {shown(identity.method)}, not of {shown(method.name)}"
        say("other-method", message, f"Run the folder itself: vlcl run --method submissions/{method.name} …")
    if len(record.title) > LONGEST_TITLE:
        say("title", f"its title has {len(record.title)} characters, at most {LONGEST_TITLE} are shown", "Shorten it.")
    if len(canonical_json(identity.config)) > LONGEST_SETTINGS:
        say(
            "settings-size", f"its settings are longer than {LONGEST_SETTINGS} characters", "Keep tables in the method."
        )
    if record.title in _reference_titles() and f"{method.name}.py" not in _reference_files():
        say("title", f"{shown(record.title)} is the title of a reference method", "Give the method a title of its own.")
    if method.source_sha256 is not None and identity.method_source_sha256 != method.source_sha256:
        message = (
            f"it was made with another source (SHA-256 {shown(identity.method_source_sha256, 12)}) than the method's "
            f"file has now ({method.source_sha256[:12]})"
        )
        if method.is_reference:
            hint = "The board says so beside its scores; the method's runs may be made again."
            faults.append(Fault("earlier-source", at, message, hint, severe=False))
        else:
            say("other-source", message, "A method's file is frozen with its runs: restore it, or run again.")
    protocol = protocols.find(identity.protocol)
    if protocol is None:
        message = f"there is no protocol {shown(identity.protocol)}"
        say("unknown-protocol", message, "Known: " + ", ".join(protocol_names()) + ".")
    if protocol is not None:
        faults += _protocol_faults(record, at, protocol)
    return [*faults, *_declaration_faults(record, at, method.declared)]


@cache
def _reference_titles() -> frozenset[str]:
    return frozenset(info.title for info in list_methods() if info.source == "baselines")


@cache
def _reference_files() -> frozenset[str]:
    return frozenset(path.name for path in baselines_folder().glob("[!_]*.py"))


def is_todays(record: Record, protocol: Protocol) -> bool:
    """Whether the protocol here is the one that the run was made under, so that its answers can be scored."""
    try:
        return protocol.fingerprint == record.identity.protocol_fingerprint
    except VlclError:  # no manifest of one of its data sets is here
        return False


def _protocol_faults(record: Record, at: str, protocol: Protocol) -> Iterator[Fault]:
    identity, usage, budget = record.identity, record.usage, protocol.budget
    if identity.protocol_version != protocol.version:
        message = f"it was run under version {identity.protocol_version} of {protocol.name}, now {protocol.version}"
        yield Fault("protocol-version", at, message, "Rows of several versions are never mixed. " + AGAIN)
    try:
        fingerprint = protocol.fingerprint
    except VlclError as error:
        yield Fault("not-rescored", at, f"{error.message}; its scores are shown as self-reported", severe=False)
    else:
        if identity.protocol_fingerprint != fingerprint:
            message = (f"it was run under {protocol.name} with fingerprint {shown(identity.protocol_fingerprint, 12)}; "
                       f"today's is {fingerprint[:12]}")  # fmt: skip
            yield Fault("fingerprint", at, message, "Other data, prompts or budget give other numbers. " + AGAIN)
    tasks = len(protocol.tasks)
    if usage.task_budget != tasks * budget.presentations:
        message = f"its budget is {usage.task_budget:,} pictures; the protocol's is {tasks * budget.presentations:,}"
        yield Fault("budget", at, message, EDITED)
    spent = {
        "task": (usage.task_pictures, budget.presentations),
        "reference": (usage.reference_pictures, budget.reference_presentations),
        "synthetic": (usage.synthetic_pictures, budget.reference_presentations),
    }
    for kind, (count, most) in spent.items():
        if count > tasks * most and record.track != "open-budget":
            message = f"it drew {count:,} {kind} pictures; {tasks * most:,} are in the track 'standard', which it says"
            yield Fault("track", at, message, EDITED)


def _declaration_faults(record: Record, at: str, declared: Submission | None) -> Iterator[Fault]:
    identity, usage = record.identity, record.usage
    if usage.generated_pictures + usage.synthetic_pictures > 0 and "generator" not in identity.auxiliary:
        message = "it used synthetic pictures, and its identity names no generator"
        yield Fault("auxiliary", at, message, EDITED)
    if declared is None:
        return
    if record.track == "open-budget" and declared.track == "standard":
        message = "the run drew more pictures than the budget allows (track 'open-budget'); declared is 'standard'"
        yield Fault("declared-track", at, message, 'Write track = "open-budget", or stay within the budget.')
    for kind, value in identity.auxiliary.items():
        name = (value.split() or [""])[0]
        if not name or not declared.mentions(name):
            message = f"it used {shown(kind)} of {shown(name)}, which submission.toml does not declare"
            yield Fault("undeclared", at, message, f"Name it in auxiliary_data: {shown(name)}, and what of it is used.")
    if not any(identity.backbone in text for text in declared.pretrained_models):
        message = f"it starts from {shown(identity.backbone)}, which submission.toml does not declare"
        yield Fault("undeclared", at, message, f"Name it in pretrained_models: {shown(identity.backbone)}.")


def score_faults(record: Record, scores: dict[str, Any], at: str) -> list[Fault]:
    """Stated scores that are not what the predictions give, to a millionth.

    Only what a record states is compared: a metric that was added after its run is missing in no record.
    """
    stated = dict(_numbers(dict(record.scores)))
    counted = dict(_numbers(scores))
    wrong = [key for key, value in stated.items() if key not in counted or not _equal(value, counted[key])]
    if not wrong:
        return []
    first = wrong[0]
    more = f", and {len(wrong) - 1} more scores are not" if len(wrong) > 1 else ""
    message = (
        f"{shown(first)} is stated as {_figure(stated, first)}; its predictions give {_figure(counted, first)}{more}"
    )
    return [Fault("scores", at, message, "Scores are never edited: they are counted again here. " + AGAIN)]


def _figure(numbers: dict[str, Any], key: str) -> str:
    return shown(str(numbers[key])) if key in numbers else "nothing"


def _numbers(value: Any) -> Iterator[tuple[str, Any]]:
    """Every number in it, and how many values each list has, by where it stands."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        key, found = waiting.pop()
        if isinstance(found, dict):
            waiting += [(f"{key}.{name}" if key else str(name), part) for name, part in reversed(found.items())]
        elif isinstance(found, (list, tuple)):
            yield f"the length of {key}", len(found)
            waiting += [(f"{key}[{place}]", part) for place, part in reversed(list(enumerate(found)))]
        else:
            yield key, found


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=0.0, abs_tol=TOLERANCE)
    return bool(one == other)


def _text_faults(record: Record, at: str) -> list[Fault]:
    """Texts that must not be shown: names with markup, anything invisible, anything endless."""
    found = []
    value = record.model_dump(mode="json")
    texts = [(key, text, False) for key, text in _texts({k: v for k, v in value.items() if k != "log"})]
    texts += [(key, text, True) for key, text in _texts({"log": value["log"]})]
    for key, text, lines in texts:
        why = "more characters than a text may have" if len(text) > LONGEST else unsafe(text, lines=lines)
        if why:
            found.append(Fault("record-text", at, f"{shown(key)} holds {why}", "Names and settings are plain text."))
    return found[:MOST_ERRORS]


def _texts(value: Any) -> Iterator[tuple[str, str]]:
    """Every text in it, keys included, and where it stands."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        key, found = waiting.pop()
        if isinstance(found, str):
            yield key, found
        elif isinstance(found, dict):
            for name, part in found.items():
                yield f"a key of {key}", name
                waiting.append((f"{key}.{name}" if key else name, part))
        elif isinstance(found, list):
            waiting += [(f"{key}[{place}]", part) for place, part in enumerate(found)]


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands there twice")
    return found
