"""From folders of records to the board: every run that can be is scored again, the others are marked."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlcl_bench.board.build import RunSummary, board_text
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.fileio import canonical_json, sha256_text, write_atomic
from vlcl_bench.protocols import load_protocol, protocol_names
from vlcl_bench.records import RECORD_NAME, Record, read_record
from vlcl_bench.rescoring import can_rescore, rescored

if TYPE_CHECKING:
    from vlcl_bench.methods.base import Method

CLAIMANT = "auto_seed_vl2"
"""The method whose source makes claims that have a page of their own."""
DIFFERENCE, WIDTH = 20, 160
"""Lines of a difference that are shown, and characters of each."""


def build_from_runs(runs: Path, out: Path, include_unverifiable: bool = False) -> dict[str, Any]:
    """Build the board in ``out`` from every finished run below ``runs``."""
    files, counts = board_files(runs, include_unverifiable)
    return {**counts, "files": [str(write_atomic(out / name, text)) for name, text in files.items()]}


def check_board(runs: Path, out: Path, include_unverifiable: bool = False) -> dict[str, Any]:
    """Build the board in memory only; raises :class:`IntegrityError` with the difference where ``out`` is another."""
    files, counts = board_files(runs, include_unverifiable)
    stale, lines = [], list[str]()
    for name, text in files.items():
        path = out / name
        found = path.read_text(encoding="utf-8") if path.exists() else ""
        if found != text:
            stale.append(name)
            lines += difflib.unified_diff(
                found.splitlines(), text.splitlines(), str(path), f"{path} as the records say", n=0, lineterm=""
            )
    if stale:
        more = f"\n... and {len(lines) - DIFFERENCE} more lines" if len(lines) > DIFFERENCE else ""
        shown = "\n".join(line[:WIDTH] for line in lines[:DIFFERENCE])
        raise IntegrityError(
            f"{', '.join(stale)} in {out} are not what the records give:\n{shown}{more}",
            "Build it again, look at what changed, and commit it: vlcl leaderboard build.",
        )
    return {**counts, "files": [str(out / name) for name in files]}


def board_files(runs: Path, include_unverifiable: bool) -> tuple[dict[str, str], dict[str, int]]:
    """The board's files by name, and how many runs it is made of and how many of them were scored again."""
    if not runs.is_dir():
        raise UsageError(f"there is no folder {runs}", "Give one with --runs, or run a method first.")
    summaries, seen = [], set()
    for folder in sorted(path.parent for path in runs.rglob(RECORD_NAME)):
        record = read_record(folder)
        same = (record.run_hash, record.predictions_sha256)
        if same not in seen:  # the same run twice, with the same answers, is one run
            seen.add(same)
            summaries.append(summarise(record, folder, runs))
    files = board_text(summaries, include_unverifiable=include_unverifiable)
    if any(summary.method == CLAIMANT for summary in summaries):
        from vlcl_bench.board.claims import claims_page
        from vlcl_bench.board.entries import entries

        known = [one for one in entries([runs]) if all(can_rescore(record) for _, record in one.runs.values())]
        files["auto-seed-vl2.md"] = claims_page(known)
    again = sum(summary.status == "rescored" for summary in summaries)
    return files, {"runs": len(summaries), "rescored": again}


def summarise(record: Record, folder: Path, root: Path) -> RunSummary:
    """What the board needs of one run."""
    rankable = can_rescore(record)
    scores = rescored(folder, record) if rankable else record.scores
    agnostic = scores.get("agnostic")
    identity = record.identity
    return RunSummary(
        run_hash=record.run_hash,
        protocol=identity.protocol,
        protocol_title=_title(identity.protocol),
        method=identity.method,
        method_title=record.title,
        configuration=configuration_digest(record),
        variant=variant(record),
        seed=identity.seed,
        track=record.track,
        deterministic=record.deterministic,
        backbone=identity.backbone,
        metrics=_headlines(scores["metrics"]),
        agnostic_metrics=_headlines(agnostic["metrics"]) if agnostic else None,
        status="rescored" if rankable else "self-reported",
        cost=costs(record),
        ranked_protocol=load_protocol(identity.protocol).ranked if rankable else record.ranked_protocol,
        unranked_because=unranked_because(record),
        source=Path(os.path.relpath(folder, root.parent)).as_posix(),
    )


def costs(record: Record) -> dict[str, float | None]:
    """The cost columns of a run."""
    cost, weight = record.cost, record.weight
    return {
        "seconds_total": cost.seconds_total,
        "seconds_learn": sum(cost.seconds_learn),
        "seconds_evaluate": sum(cost.seconds_evaluate),
        "peak_memory_bytes": cost.peak_memory_bytes,
        "parameters_trained": weight.parameters_trained,
        "parameters_added": weight.parameters_added,
        "bytes_between_tasks": weight.bytes_between_tasks,
    }


def configuration_digest(record: Record) -> str:
    """What must be equal for runs to be seeds of one entry: source, settings, weights, protocol."""
    identity = {key: value for key, value in record.identity.facts().items() if key != "seed"}
    return sha256_text(canonical_json(identity))[:16]


def unranked_because(record: Record) -> str:
    """Why the settings of a run must not be ranked: by the method's own word here, else by the record's."""
    cls = _method_of(record)
    try:
        own = "" if cls is None else cls.unranked_because(cls.Config.model_validate(record.identity.config))
    except ValueError:  # a record of settings that the method no longer has
        own = ""
    return own or record.unranked_because


def variant(record: Record) -> str:
    """The settings in words where they are not the method's defaults for the protocol's scale."""
    from vlcl_bench.errors import VlclError
    from vlcl_bench.methods.registry import make_config

    config, cls = record.identity.config, _method_of(record)
    defaults: dict[str, Any] = {}
    try:
        if cls is not None:
            defaults = make_config(cls, {}, load_protocol(record.identity.protocol).scale).model_dump(mode="json")
    except VlclError:  # a protocol that is not the package's
        pass
    return ", ".join(f"{key}={value}" for key, value in sorted(config.items()) if defaults.get(key, ...) != value)


def _method_of(record: Record) -> type[Method] | None:
    """The class of a listed method, ``None`` for any other: a record may not make us import some file."""
    from vlcl_bench.errors import VlclError
    from vlcl_bench.methods.registry import list_methods, load_method

    if record.identity.method not in {info.name for info in list_methods()}:
        return None
    try:
        return load_method(record.identity.method).cls
    except VlclError:
        return None


def _headlines(metrics: dict[str, Any]) -> dict[str, float | None]:
    return {key: value for key, value in metrics.items() if not isinstance(value, list)}


def _title(protocol: str) -> str:
    return load_protocol(protocol).title if protocol in protocol_names() else protocol
