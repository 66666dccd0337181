"""An adversary of records: a submission that passes, changed in thousands of ways by ``hypothesis``.

Whatever was changed, the check ends in findings and the board in faults, never in an exception; and what neither of
them refuses has the scores that it had. A short share runs with the tests, the long one by

    PYTHONPATH=tests python -m support.mutated_records 5000 [SEED]

which prints how many records of each kind were refused, and for what.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seed_of_hypothesis
from hypothesis import strategies as st
from support.submission_fixture import committed, make

from vlcl_bench.board import collect as board
from vlcl_bench.common.fileio import sha256_bytes
from vlcl_bench.records import unpack
from vlcl_bench.records.files import PREDICTIONS_NAME, RECORD_NAME
from vlcl_bench.records.schema import Identity
from vlcl_bench.submissions import predictions
from vlcl_bench.submissions.check import check_data
from vlcl_bench.submissions.declared import SubmissionDeclarations

PROTOCOL = "mini-c2r"
TOKENS = ("NaN", "-Infinity", "1e999", "1" * 5000, "-0", "1e-400", '"\\ud800"', "[" * 500 + "]" * 500, "{}", "[]",
          "null", "true", '""', '"\\u202e\\u001b[31m"', '"=1+1"', '"<script>"', '"' + "a" * 5000 + '"', "-1", "0", "2",
          "1e300", "9007199254740993", "0.5", '"standard"', '"open-budget"', '"first-use"', '"ZSCL"',
          '"mini-mtil-1"')  # fmt: skip
"""JSON, and what is taken for it, that stands in the place of a value."""


@dataclass
class Target:
    """A submission that passes: its folder, the bytes of its record and predictions, and the scores that follow."""

    folder: Path
    record: bytes
    answers: bytes
    scores: dict[str, float | None] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def runs(self) -> Path:
        """The folder of its runs."""
        return self.folder / "runs"


def target(folder: Path) -> Target:
    """Make the submission in ``folder / "mine"``; it has one run, which both the check and the board take."""
    mine = make(folder / "mine")
    shutil.rmtree(mine.run)
    run = mine.add(committed(PROTOCOL, 0))
    found = Target(mine.folder, (run / RECORD_NAME).read_bytes(), (run / PREDICTIONS_NAME).read_bytes())
    with read_in_this_process():
        assert [finding for finding in check_data(found.folder) if finding.is_error] == []
        found.scores = dict(board.collect(folder, SubmissionDeclarations()).summaries[0].metrics or {})
    return found


@contextmanager
def read_in_this_process() -> Iterator[None]:
    """Read predictions by the same code without another process, which would take a second each time."""

    def here(files: list[tuple[Path, int, Path | None]]) -> list[tuple[str, str]]:
        return [unpack.unpack(str(path), rows, str(table or "")) for path, rows, table in files]

    kept = predictions.tried, board.tried
    predictions.tried = board.tried = here  # type: ignore[assignment]
    try:
        yield
    finally:
        predictions.tried, board.tried = kept


# How records are changed


@dataclass(frozen=True)
class Change:
    """A ``kind`` of change, what is random in it, and whether the hashes are made to fit afterwards."""

    kind: str
    seed: int
    fits: bool


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all values of a JSON value but the whole."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, part in items for found in ((*path, key), *places(part, (*path, key)))]


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """What stands at a path."""
    for key in path:
        value = value[key]
    return value


def of_value(record: Any, rng: random.Random) -> None:
    """Another value in the place of one: a token that stays to be put in, or a number near by."""
    path = rng.choice(places(record))
    old = at(record, path)
    if isinstance(old, int | float) and rng.random() < 0.5:
        at(record, path[:-1])[path[-1]] = rng.choice(
            [-old, old * 2, old + 1, old - 1, old + 1e-3, float(old), bool(old)]
        )
    else:
        at(record, path[:-1])[path[-1]] = f"\0{rng.randrange(len(TOKENS))}\0"


def of_place(record: Any, rng: random.Random) -> None:
    """A value taken away, put in twice, under another name, or swapped with another."""
    path, other = rng.choice(places(record)), rng.choice(places(record))
    home = at(record, path[:-1])
    what = rng.randrange(4)
    if what == 0:
        del home[path[-1]]
    elif what == 1:
        if isinstance(home, list):
            home.append(home[path[-1]])
        else:
            home[rng.choice(["x", "", "=x", "\x1b", "title", "seed"])] = home[path[-1]]
    elif what == 2 and isinstance(home, dict):
        home[str(path[-1]).upper()] = home.pop(path[-1])
    elif path[: len(other)] != other and other[: len(path)] != path:
        elsewhere = at(record, other[:-1])
        home[path[-1]], elsewhere[other[-1]] = elsewhere[other[-1]], home[path[-1]]


def of_bytes(data: bytes, rng: random.Random) -> bytes:
    """Bytes flipped, cut off, doubled, or put in."""
    place, what = rng.randrange(len(data)), rng.randrange(4)
    if what == 0:
        return data[:place]
    if what == 1:
        return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]
    if what == 2:
        return data[:place] + data[max(0, place - rng.randrange(1, 500)) :]
    return data[:place] + rng.randbytes(rng.randrange(1, 9)) + data[place:]


def of_answers(data: bytes, rng: random.Random) -> bytes:
    """A table with other answers, rows, columns, types or metadata."""
    table = pq.read_table(io.BytesIO(data))
    frame = table.to_pandas().astype({"task": str})
    name, row = rng.choice(list(frame.columns)), rng.randrange(len(frame))
    numbers = [column for column in frame.columns if column != "task"]
    column = rng.choice(numbers)
    changes: list[Callable[[], pd.DataFrame]] = [
        lambda: frame.assign(
            **{column: frame[column].where(frame.index != row, rng.choice([-1, 0, 1, 99, 2**31 - 1]))}
        ),
        lambda: frame.assign(**{column: rng.choice([0, 1, -1, 0.5, float("nan")])}),
        lambda: frame.assign(**{column: frame[rng.choice(numbers)]}),
        lambda: frame.assign(**{column: frame[column].sample(frac=1, random_state=row).to_numpy()}),
        lambda: frame.drop(index=row),
        lambda: pd.concat([frame, frame.iloc[[row]]]),
        lambda: frame.sample(frac=1, random_state=row),
        lambda: frame.drop(columns=name),
        lambda: frame.rename(columns={name: rng.choice(["x", "label", "", "top1", "=1"])}),
        lambda: frame.assign(
            task=frame["task"].where(frame.index != row, rng.choice(["", "x" * 300, "mnist", "\x1b"]))
        ),
        lambda: frame.astype({column: rng.choice(["int64", "float64", "str", "uint64", "bool", "datetime64[ns]"])}),
        lambda: frame.iloc[:0],
        lambda: pd.concat([frame] * 5),
    ]
    buffer = io.BytesIO()
    if rng.random() < 0.2:
        says = rng.choice(['{"index_columns": ["gone"], "columns": []}', "{", '{"index_columns": []}', "\udcff" * 3])
        made = table.replace_schema_metadata({b"pandas": says.encode("utf-8", "surrogateescape"), b"\xff": b"\xff"})
    else:
        changed = rng.choice(changes)()
        made = pa.table({str(key): _column(changed[key]) for key in changed.columns})
    pq.write_table(made, buffer, compression="zstd", row_group_size=rng.choice([None, 10_000, 50]))
    return buffer.getvalue()


def _column(values: Any) -> pa.Array:
    values = values.iloc[:, 0] if isinstance(values, pd.DataFrame) else values
    array = pa.array(values.to_numpy())
    return array.dictionary_encode() if pa.types.is_string(array.type) else array


KINDS = ("value", "value", "place", "text", "answers", "answers", "file")
changes = st.builds(Change, st.sampled_from(KINDS), st.integers(0, 2**32 - 1), st.booleans())


def apply(change: Change, of: Target) -> None:
    """Write the run of ``of``, changed, in place of the one that is there."""
    rng = random.Random(f"{change.kind} {change.seed}")
    record, data, answers = json.loads(of.record), of.record, of.answers
    if change.kind == "answers":
        answers = of_answers(answers, rng)
    elif change.kind == "file":
        answers = of_bytes(answers, rng)
    elif change.kind == "text":
        data = of_bytes(data, rng)
    else:
        for _ in range(rng.choice([1, 1, 2, 5])):
            (of_value if change.kind == "value" else of_place)(record, rng)
    if change.fits and change.kind != "text":
        if change.kind in ("answers", "file") and isinstance(record, dict):
            record["predictions_sha256"] = sha256_bytes(answers)
        with suppress(ValueError, KeyError, TypeError):
            record["run_hash"] = Identity.model_validate(record["identity"]).run_hash
    if change.kind != "text":
        text = json.dumps(record)
        for number, token in enumerate(TOKENS):
            text = text.replace(f'"\\u0000{number}\\u0000"', token)
        data = text.encode("utf-8", "surrogatepass")
    shutil.rmtree(of.runs)
    name = record.get("run_hash") if isinstance(record, dict) else None
    good = isinstance(name, str) and len(name) == 16 and name.isalnum()
    run = of.runs / (name if good else "0123456789abcdef")
    run.mkdir(parents=True)
    (run / RECORD_NAME).write_bytes(data)
    (run / PREDICTIONS_NAME).write_bytes(answers)


# What must hold


def holds(change: Change, of: Target) -> None:
    """Check and board take the changed run, or say why not; what they take has the scores that it had."""
    apply(change, of)
    findings = check_data(of.folder)
    errors = sorted({finding.code for finding in findings if finding.is_error})
    for finding in findings:
        assert all(text.isprintable() for text in (finding.where, finding.message, finding.hint)), finding
        assert finding.code != "unexamined", finding
    collected = board.collect(of.folder.parent, SubmissionDeclarations())
    assert len(collected.summaries) + len(collected.faults) == 1, collected
    assert not any("cannot be shown" in fault.message for fault in collected.faults), collected.faults
    if not errors:
        (summary,) = collected.summaries
        assert summary.status == "rescored"
        assert {key: None if value is None else round(value, 6) for key, value in (summary.metrics or {}).items()} == {
            key: None if value is None else round(value, 6) for key, value in of.scores.items()
        }, change
    of.counts[f"{change.kind}: {'refused' if errors else 'taken, with the same scores'}"] += 1
    of.counts.update(f"  {code}" for code in errors)
    of.counts["board: left out" if collected.faults else "board: shown"] += 1


def attack(count: int, folder: Path, seed: int = 0) -> Target:
    """Change the record in ``count`` ways; raises what escaped, or :class:`AssertionError`."""
    of = target(folder)

    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        print_blob=False,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @seed_of_hypothesis(seed)
    @given(changes)
    def every(change: Change) -> None:
        of.counts["records"] += 1
        holds(change, of)

    with read_in_this_process():
        every()
    return of


def main() -> None:
    """Do the long attack, and print the counts and the memory that it took."""
    import resource

    words = dict(enumerate(sys.argv))
    count, seed = int(words.get(1, "5000")), int(words.get(2, "0"))
    with tempfile.TemporaryDirectory() as scratch:
        counts = attack(count, Path(scratch), seed).counts
    for what, number in sorted(counts.items()):
        print(f"{number:6d} {what}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")


if __name__ == "__main__":
    main()
