"""``python -m vlcl_bench.submissions.stamping``: gives committed records the digest over tokens of their source.

Records of the first edition carry the hash of their method's files as they were, comments and all. This replaces it by
:func:`vlcl_bench.methods.source.source_digest`, and does so only where the recorded hash is that of the files as they
stand, byte for byte: then the source that ran is the one whose digest is written. The run's hash follows, and with it
the name of the run's folder. A reference method's record also gets the method's defaults, which follow from the same
source and which the board would otherwise have to ask the method for. Nothing else is touched: answers, scores and
costs stay. Doing it twice changes nothing.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from vlcl_bench.common.fileio import pretty_json, read_json, sha256_bytes, write_atomic
from vlcl_bench.errors import UsageError
from vlcl_bench.methods.card import MethodCard
from vlcl_bench.methods.registry import METHOD_NAME, load_method, reference_method
from vlcl_bench.methods.source import baselines_folder, source_digest
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.records.files import RECORD_NAME, read_record, write_record
from vlcl_bench.records.reruns import RERUN_NAME

Outcome = Literal["stamped", "stamped before", "of an earlier source"]


def stamp(folder: Path, method: Path, protocol: str, reference: bool) -> tuple[Outcome, Path]:
    """Stamp the record in ``folder``, made by the file ``method``; returns what became of it and its folder now.

    ``protocol`` is its name or file. A folder that is named after the run's hash is renamed.
    """
    record = read_record(folder)
    digest, identity = source_digest(method), record.identity
    if identity.method_source_sha256 == digest:
        return "stamped before", folder
    if identity.method_source_sha256 != bytes_digest(method):
        return "of an earlier source", folder
    identity = identity.model_copy(update={"method_source_sha256": digest})
    changed: dict[str, Any] = {"identity": identity, "run_hash": identity.run_hash}
    if reference:
        changed["defaults"] = MethodCard.of(load_method(identity.method), {}, load_protocol(protocol).scale).defaults
    rerun = folder / RERUN_NAME
    if rerun.exists():
        write_atomic(rerun, pretty_json(read_json(rerun) | {"run_hash": identity.run_hash}))
    write_record(folder, record.model_copy(update=changed))
    if folder.name == record.run_hash:
        folder = folder.rename(folder.with_name(identity.run_hash))
    return "stamped", folder


def bytes_digest(method: Path) -> str:
    """The hash that records of the first edition carry: over a file's bytes and those of the parts it imports."""
    data = method.read_bytes()
    parts: dict[str, bytes] = {}
    waiting = [data]
    while waiting:
        for name in _parts_imported(waiting.pop()):
            part = baselines_folder() / "parts" / f"{name}.py"
            if name not in parts and part.exists():
                parts[name] = part.read_bytes()
                waiting.append(parts[name])
    if not parts:
        return sha256_bytes(data)
    listed = [f"{name} {sha256_bytes(parts[name])}" for name in sorted(parts)]
    return sha256_bytes("\n".join([sha256_bytes(data), *listed]).encode())


def _parts_imported(source: bytes) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("baselines.parts."):
            names.add((node.module or "").removeprefix("baselines.parts."))
    return names


def main(places: Sequence[str]) -> None:
    """Stamp all records below these folders: submissions, or expectations (whose protocols lie beside them)."""
    counts: Counter[Outcome] = Counter()
    if not places:
        hint = "python -m vlcl_bench.submissions.stamping submissions tests/expectations"
        raise UsageError("no folder was named", hint)
    for place in map(Path, places):
        for path in sorted(place.rglob(RECORD_NAME)):
            folder = path.parent
            identity = read_record(folder).identity
            submitted, reference = folder.parents[1] / METHOD_NAME, reference_method(identity.method)
            method = submitted if submitted.exists() or reference is None else reference
            beside = place / f"{identity.protocol}.toml"
            protocol = str(beside) if beside.exists() else identity.protocol
            outcome, now = stamp(folder, method, protocol, method == reference)
            counts[outcome] += 1
            if outcome == "of an earlier source":
                print(f"{outcome}: {now}")
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
