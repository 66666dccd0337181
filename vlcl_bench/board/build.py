"""From folders of records to the board: every run that can be is scored again, the others are marked."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from vlcl_bench.board.detail import detail_of
from vlcl_bench.board.files import BoardRow, RunSummary, board_rows, files_of, with_certainty
from vlcl_bench.board.known import Known
from vlcl_bench.board.readme import renewed
from vlcl_bench.common.fileio import canonical_json, sha256_text, write_atomic
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.records.files import RECORD_NAME, read_record, verified_predictions
from vlcl_bench.records.schema import Record
from vlcl_bench.scoring.ground_truth import ground_truth

CLAIMANT = "auto_seed_vl2"
"""The method whose source makes claims that have a page of their own."""
COMMITTED = "leaderboard"
"""Name of the folder of the committed board, beside which the README's tables are renewed."""
DIFFERENCE, WIDTH = 20, 160
"""Lines of a difference that are shown, and characters of each."""


def build_from_runs(runs: Path, out: Path, include_unverifiable: bool = False) -> dict[str, Any]:
    """Build the board in ``out`` from every finished run below ``runs``; and, beside ``leaderboard/``, the README."""
    files, counts = all_files(runs, out, include_unverifiable)
    return {**counts, "files": [str(write_atomic(path, text)) for path, text in files.items()]}


def check_board(runs: Path, out: Path, include_unverifiable: bool = False) -> dict[str, Any]:
    """Build the board in memory only; raises :class:`IntegrityError` with the difference where ``out`` is another."""
    files, counts = all_files(runs, out, include_unverifiable)
    stale, lines = [], list[str]()
    for path, text in files.items():
        found = path.read_text(encoding="utf-8") if path.exists() else ""
        if found != text:
            stale.append(path.name if path.parent == out else str(path))
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
    return {**counts, "files": [str(path) for path in files]}


def all_files(runs: Path, out: Path, include_unverifiable: bool) -> tuple[dict[Path, str], dict[str, int]]:
    """As :func:`board_files` by path; with the README above ``out`` where this is the project's ``leaderboard``."""
    rows, files, counts = _built(runs, include_unverifiable)
    found = {out / name: text for name, text in files.items()}
    readme = out.parent / "README.md"
    if out.name == COMMITTED and readme.exists():
        found[readme] = renewed(readme.read_text(encoding="utf-8"), rows, str(readme))
    return found, counts


def board_files(runs: Path, include_unverifiable: bool) -> tuple[dict[str, str], dict[str, int]]:
    """The board's files by name, and how many runs it is made of and how many of them were scored again."""
    return _built(runs, include_unverifiable)[1:]


def _built(runs: Path, include_unverifiable: bool) -> tuple[list[BoardRow], dict[str, str], dict[str, int]]:
    """Rows, files by name and counts."""
    if not runs.is_dir():
        raise UsageError(f"there is no folder {runs}", "Give one with --runs, or run a method first.")
    summaries, seen, known = [], set(), Known()
    for folder in sorted(path.parent for path in runs.rglob(RECORD_NAME)):
        record = read_record(folder)
        same = (record.run_hash, record.first_predictions_sha256)
        if same not in seen:  # the same run twice, with the same answers (compact or not), is one run
            seen.add(same)
            summaries.append(summarise(record, folder, runs, known))
    rows = with_certainty(board_rows(summaries))
    files = files_of(rows, include_unverifiable=include_unverifiable)
    if any(summary.method == CLAIMANT for summary in summaries):
        from vlcl_bench.board.claims import claims_page
        from vlcl_bench.board.entries import entries

        scored = [one for one in entries([runs]) if all(known.can_rescore(r) for _, r in one.runs.values())]
        files["auto-seed-vl2.md"] = claims_page(scored)
    again = sum(summary.status != "self-reported" for summary in summaries)
    return rows, files, {"runs": len(summaries), "rescored": again}


def summarise(record: Record, folder: Path, root: Path, known: Known | None = None) -> RunSummary:
    """What the board needs of one run."""
    known = known or Known()
    protocol, rankable = known.protocol(record.identity.protocol), known.can_rescore(record)
    if rankable and protocol is not None:
        answers, key = verified_predictions(folder, record), ground_truth(protocol)
        scores: dict[str, Any] = key.rescore(answers)
        detail = detail_of(record, scores, key.item_scores(answers), answers)
    else:
        scores = dict(record.scores)
        detail = detail_of(record, scores)
    agnostic = scores.get("agnostic")
    identity = record.identity
    return RunSummary(
        run_hash=record.run_hash,
        protocol=identity.protocol,
        protocol_title=identity.protocol if protocol is None else protocol.title,
        method=identity.method,
        method_title=record.title,
        configuration=configuration_digest(record),
        variant=variant(record, known),
        seed=identity.seed,
        track=record.track,
        deterministic=record.deterministic,
        backbone=identity.backbone,
        metrics=_headlines(scores["metrics"]),
        agnostic_metrics=_headlines(agnostic["metrics"]) if agnostic else None,
        status=status_of(folder, record, rankable),
        cost=costs(record),
        ranked_protocol=protocol.ranked if rankable and protocol is not None else record.ranked_protocol,
        unranked_because=unranked_because(record, known) or ablation(folder, record, known),
        source=Path(os.path.relpath(folder, root.parent)).as_posix(),
        detail=detail,
    )


def status_of(folder: Path, record: Record, rankable: bool) -> str:
    """How far a run is to be trusted: made again here, scored again here, or neither."""
    from vlcl_bench.submissions.rerun import rerun_of

    if not rankable:
        return "self-reported"
    return "rescored" if rerun_of(folder, record) is None else "rerun"


def ablation(folder: Path, record: Record, known: Known) -> str:
    """Why a run of a submission is not ranked although its method is: its settings are no entry that was declared.

    Ranking every setting that was tried would be choosing by test pictures. Of a reference method its defaults are
    ranked beside declared entries; of another one, whose defaults are not known here, the only settings that are not
    declared. Runs that are in no submission may all be ranked.
    """
    from vlcl_bench.submissions.settings import is_declared

    submission = folder.parents[1]
    entries = known.declared_entries(submission) if folder.parent.name == "runs" else None
    if entries is None:
        return ""
    config, defaults = record.identity.settings, known.defaults(record)
    if defaults:
        own = {key: value for key, value in config.items() if defaults.get(key, ...) != value}
        return "" if not own or own in entries else "a variant that is not declared as an entry"
    if is_declared(config, entries) or known.undeclared_settings(submission, record.identity.protocol) < 2:
        return ""
    return "one of several settings, none of which is declared"


def costs(record: Record) -> dict[str, float | None]:
    """The cost columns of a run."""
    cost, weight, usage = record.cost, record.footprint, record.usage
    return {
        "seconds_total": cost.seconds_total,
        "seconds_learn": sum(cost.seconds_learn),
        "seconds_evaluate": sum(cost.seconds_evaluate),
        "peak_memory_bytes": cost.peak_memory_bytes,
        "parameters_trained": weight.parameters_trained,
        "parameters_added": weight.parameters_added,
        "bytes_between_tasks": weight.bytes_between_tasks,
        "task_pictures": usage.task_pictures,
        "reference_pictures": usage.reference_pictures,
        "synthetic_pictures": usage.synthetic_pictures,
        "replayed_samples": usage.replayed_samples,
        "generated_pictures": usage.generated_pictures,
    }


def configuration_digest(record: Record) -> str:
    """What must be equal for runs to be seeds of one entry: source, settings, weights, protocol."""
    identity = {key: value for key, value in record.identity.facts().items() if key != "seed"}
    return sha256_text(canonical_json(identity))[:16]


def unranked_because(record: Record, known: Known | None = None) -> str:
    """Why the settings of a run must not be ranked: by the method's own word here, else by the record's."""
    cls = (known or Known()).method(record)
    try:
        own = "" if cls is None else cls.unranked_because(cls.Config.model_validate(record.identity.settings))
    except ValueError:  # a record of settings that the method no longer has
        own = ""
    return own or record.unranked_because


def variant(record: Record, known: Known | None = None) -> str:
    """The settings in words where they are not the method's defaults for the protocol's scale."""
    defaults = (known or Known()).defaults(record)
    settings = sorted(record.identity.settings.items())
    return ", ".join(f"{key}={value}" for key, value in settings if defaults.get(key, ...) != value)


def _headlines(metrics: dict[str, Any]) -> dict[str, float | None]:
    return {key: value for key, value in metrics.items() if not isinstance(value, list)}
