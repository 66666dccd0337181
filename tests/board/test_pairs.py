"""Two entries named by a person, on protocols of one's own: found, told apart, scored without naming the file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from support.harness import vlcl

import vlcl_bench
from vlcl_bench.board.build import board_of
from vlcl_bench.board.entries import Entry
from vlcl_bench.board.pairs import find_pair, item_scores, parsed
from vlcl_bench.board.rows import OWN_PROTOCOL
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.records.files import read_record, write_record
from vlcl_bench.records.streams import PROTOCOL_NAME, stream_of
from vlcl_bench.submissions.declared import SubmissionDeclarations

STORED = Path(__file__).parents[1] / "expectations"
FILE, CAPTIONS = STORED / "fast-classes.toml", STORED / "fast-captions.toml"


def put(folder: Path, method: str, stream: str = "fast-classes", protocol: Path | None = None, **identity: Any) -> Path:
    """A run below ``runs`` in this folder, made from a stored one (of another seed, say), with its protocol's file."""
    source = STORED / stream / method
    record = read_record(source)
    defaults = identity.pop("defaults", record.defaults)
    changed = record.identity.model_copy(update=identity)
    record = record.model_copy(update={"identity": changed, "run_hash": changed.run_hash, "defaults": defaults})
    target = folder / "runs" / record.run_hash
    target.mkdir(parents=True)
    shutil.copy(source / "predictions.parquet", target)
    write_record(target, record)
    if protocol is not None:
        shutil.copy(protocol, target / PROTOCOL_NAME)
    return target


def other_protocol(folder: Path, old: str = "steps = 10", new: str = "steps = 11") -> tuple[Path, str]:
    """A protocol of the same name that is another one: its file and fingerprint."""
    path = folder / "other.toml"
    text = FILE.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path, load_protocol(path).fingerprint


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with runs of an own protocol: two seeds of ``finetune``, a variant of it, ``zero_shot``."""
    monkeypatch.chdir(tmp_path)
    for seed in (0, 1):
        put(tmp_path, "finetune", protocol=FILE, seed=seed)
    put(tmp_path, "finetune", protocol=FILE, settings={"label_smoothing": 0.1})
    put(tmp_path, "zero_shot", protocol=FILE)
    shutil.copy(FILE, "mine.toml")
    return tmp_path


def pair(first: object, second: object, protocol: str | Path | None = None) -> tuple[Entry, Entry]:
    return find_pair(str(first), str(second), protocol, [Path("runs")])


def run_of(method: str, seed: int = 0, **settings: Any) -> Path:
    for path in sorted(Path("runs").glob("*/run.json")):
        identity = read_record(path.parent).identity
        if (identity.method, identity.seed) == (method, seed) and settings.items() <= identity.settings.items():
            return path.parent
    raise LookupError(method)


TYPED = {
    "by name": ("finetune", "zero_shot", None, [0, 1]),
    "by the protocol's name": ("finetune", "zero_shot", "fast-classes", [0, 1]),
    "by the protocol's file": ("finetune", "zero_shot", "mine.toml", [0, 1]),
    "with the default typed out": ("finetune:label_smoothing=0.2", "zero_shot", None, [0, 1]),
    "with a number written otherwise": ("finetune:label_smoothing=2e-1", "zero_shot", None, [0, 1]),
    "by the method's file": ("somewhere/finetune.py", "zero_shot", None, [0, 1]),
    "by the class in a file": ("somewhere/finetune.py:FineTune", "zero_shot", None, [0, 1]),
    "a variant": ("finetune:label_smoothing=0.1", "finetune", None, [0]),
}


@pytest.mark.parametrize(("first", "second", "protocol", "seeds"), TYPED.values(), ids=TYPED)
def test_what_a_person_types_means_an_entry_of_an_own_protocol(
    here: Path, first: str, second: str, protocol: str | None, seeds: list[int]
) -> None:
    found = pair(first, second, protocol)
    assert (found[0].method, sorted(found[0].runs)) == ("finetune", seeds)
    assert found[1].name == second
    tasks = list(load_protocol(FILE).task_names)
    assert [list(scores) for scores in item_scores(found, protocol)[0].values()] == [tasks] * len(seeds)


def test_runs_are_named_by_folder_record_or_hash(here: Path) -> None:
    run, other = run_of("finetune", 1), run_of("zero_shot")
    for typed in (run, run / "run.json", run.resolve(), run.name[:6], run.name):
        found = pair(typed, other)
        assert (sorted(found[0].runs), found[1].method) == ([1], "zero_shot"), typed
    assert pair("finetune", other)[0].name == "finetune"


def test_a_record_that_does_not_say_the_defaults_is_found_by_the_plain_name(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path, "finetune", protocol=FILE, defaults=None)
    put(tmp_path, "zero_shot", protocol=FILE)
    for typed in ("finetune", "finetune:label_smoothing=0.2"):
        assert pair(typed, "zero_shot")[0].label == "label_smoothing=0.2"
    put(tmp_path, "finetune", protocol=FILE, defaults=None, settings={"label_smoothing": 0.1})
    with pytest.raises(UsageError, match="'finetune' means 2 entries on fast-classes, which differ in settings"):
        pair("finetune", "zero_shot")


@pytest.mark.parametrize("stream", ["fast-classes", "fast-captions"])
def test_two_folders_of_an_own_protocol_are_compared_by_both_faces(tmp_path: Path, monkeypatch, stream: str) -> None:
    monkeypatch.chdir(tmp_path)
    file = STORED / f"{stream}.toml"
    runs = [put(tmp_path, method, stream, file) for method in ("finetune", "zero_shot")]
    printed = vlcl("compare", *runs, "--draws", 100, "--json")
    assert printed.code == 0, printed.err
    found = vlcl_bench.compare(*runs, draws=100)
    assert found.headlines["difference"].tolist() == [line["difference"] for line in printed.json["headlines"]]
    assert found.protocol == stream
    last = [read_record(run).scores["metrics"]["last"] for run in runs]
    assert found.headlines.loc["last", "difference"] == pytest.approx(last[0] - last[1])
    for protocol in (stream, file):
        assert vlcl_bench.compare("finetune", "zero_shot", protocol, draws=100).seeds == (1, 1, 1)


def test_the_protocols_file_need_not_be_beside_every_run(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    old, new = put(tmp_path, "finetune"), put(tmp_path, "zero_shot", protocol=FILE)
    assert item_scores(pair(old, new), None)
    (new / PROTOCOL_NAME).unlink()
    with pytest.raises(UsageError, match=r"was run under the protocol 'fast-classes', which this .* does not have"):
        item_scores(pair(old, new), None)
    assert item_scores(pair(old, new), FILE)
    assert vlcl("compare", old, new, "--protocol", FILE, "--draws", 100).code == 0


def test_different_protocols_of_one_name_are_told_apart(here: Path) -> None:
    file, fingerprint = other_protocol(here)
    other = put(here, "zero_shot", protocol=file, protocol_fingerprint=fingerprint)
    own = read_record(run_of("finetune")).identity.protocol_fingerprint
    with pytest.raises(UsageError) as refused:
        pair("finetune", other)
    for words in (own[:8], fingerprint[:8], str(other), "they differ in budget.steps (10 and 11)"):
        assert words in refused.value.message
    # With finetune on both, the names no longer say which is meant; the file does.
    put(here, "finetune", protocol=file, protocol_fingerprint=fingerprint)
    with pytest.raises(UsageError, match="both have runs on 2 different protocols of the name fast-classes") as unclear:
        pair("finetune", "zero_shot")
    assert "fast-classes@" in (unclear.value.hint or "")
    for digest in (own, fingerprint):
        assert {one.fingerprint for one in pair("finetune", "zero_shot", f"fast-classes@{digest[:8]}")} == {digest}
    assert {one.fingerprint for one in pair("finetune", "zero_shot", file)} == {fingerprint}
    assert {one.fingerprint for one in pair("finetune", "zero_shot", "mine.toml")} == {own}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("learning_rate = 6e-4", "learning_rate = 1e-4", "budget.learning_rate (0.0006 and 0.0001)"),
        ("evaluation_batch = 125", "evaluation_batch = 50", "evaluation_batch (125 and 50)"),
        ("scale = [0.9, 1.0]", "scale = [0.5, 1.0]", "augmentation.scale ([0.9, 1.0] and [0.5, 1.0])"),
        ('"dev-living", "dev-food"', '"dev-food", "dev-living"', "tasks (['dev-living', "),
    ],
)
def test_in_what_two_protocols_of_one_name_differ_is_said(here: Path, old: str, new: str, words: str) -> None:
    file, fingerprint = other_protocol(here, old, new)
    other = put(here, "zero_shot", protocol=file, protocol_fingerprint=fingerprint)
    with pytest.raises(UsageError, match="not the same") as refused:
        pair("finetune", other)
    assert words in refused.value.message


REFUSED = {
    "a protocol on which neither is": ("finetune", "zero_shot", "mini-dev", "not both on mini-dev", "fast-classes"),
    "settings that no run has": (
        "finetune:label_smoothing=0.7", "zero_shot", None, "finetune has runs with other settings only",
        "finetune, finetune:label_smoothing=0.1",
    ),
    "a misspelt method": ("finetunne", "zero_shot", None, "no entry 'finetunne'", "Did you mean 'finetune'?"),
    "a protocol's file that is not there": ("finetune", "zero_shot", "none.toml", "there is no file none.toml", ""),
}  # fmt: skip


@pytest.mark.parametrize(("first", "second", "protocol", "words", "hint"), REFUSED.values(), ids=REFUSED)
def test_what_means_nothing_is_refused_with_what_there_is(
    here: Path, first: str, second: str, protocol: str | None, words: str, hint: str
) -> None:
    with pytest.raises(UsageError) as refused:
        pair(first, second, protocol)
    assert words in refused.value.message
    assert hint in (refused.value.hint or "")


def test_a_file_that_was_changed_since_is_not_taken_for_the_runs_own(here: Path) -> None:
    other_protocol(here)
    with pytest.raises(UsageError, match=r"none of both was made under other.toml as it is now \(fast-classes\)"):
        pair("finetune", "zero_shot", "other.toml")
    refused = vlcl("score", run_of("finetune"), "--protocol", "other.toml")
    assert refused.code == IntegrityError.exit_code
    assert "Leave protocol (--protocol) out: the run's folder holds its own." in refused.err
    assert vlcl("score", run_of("finetune")).code == 0


def test_an_unfinished_run_is_said_to_be_one(here: Path) -> None:
    Path("runs/halted").mkdir()
    Path("runs/halted/journal.jsonl").write_text("")
    with pytest.raises(UsageError, match="is not finished"):
        pair("runs/halted", "zero_shot")


def test_where_no_run_is_the_folders_are_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as refused:
        find_pair("finetune", "zero_shot", None, [Path("submissions"), Path("runs")])
    assert refused.value.hint == "No finished run is in submissions, runs; say with in (--in) where they are."


APART = {
    "another backbone": ({"backbone": "mine", "backbone_sha256": "0" * 64}, "the backbone"),
    "other weights": ({"backbone_sha256": "0" * 64}, "the backbone's weights"),
    "another source of the backbone": ({"backbone_source_sha256": "0" * 64}, "the backbone's file"),
    "source and weights": (
        {"backbone_sha256": "0" * 64, "backbone_source_sha256": "0" * 64},
        "the backbone's weights and the backbone's file",
    ),
    "a backbone of a file": ({"backbone": "mine", "backbone_source_sha256": "0" * 64}, "the backbone"),
    "what has no words": ({"protocol_version": 7}, "protocol_version"),
}


@pytest.mark.parametrize(("identity", "words"), APART.values(), ids=APART)
def test_in_what_entries_of_one_name_differ_is_said(here: Path, identity: dict[str, Any], words: str) -> None:
    put(here, "finetune", protocol=FILE, **identity)
    with pytest.raises(UsageError) as refused:
        pair("finetune", "zero_shot")
    assert refused.value.message == f"'finetune' means 2 entries on fast-classes, which differ in {words}"


def test_names_with_several_settings_are_read_as_the_board_writes_them() -> None:
    typed = "gift:generator=None, pictures=24, task_prompts=False, teacher=last,wise_alpha=0.2, words=a, b"
    assert parsed(typed) == (
        "gift",
        {
            "generator": None,
            "pictures": 24,
            "task_prompts": False,
            "teacher": "last",
            "wise_alpha": 0.2,
            "words": "a, b",
        },
    )


def test_a_local_board_keeps_protocols_of_one_name_apart(here: Path) -> None:
    before = {row.protocol for row in board_of(Path("runs"), SubmissionDeclarations()).rows}
    assert before == {"fast-classes"}
    file, fingerprint = other_protocol(here)
    put(here, "zero_shot", protocol=file, protocol_fingerprint=fingerprint)
    rows = board_of(Path("runs"), SubmissionDeclarations()).rows
    own = read_record(run_of("finetune")).identity.protocol_fingerprint
    assert {row.protocol for row in rows} == {f"fast-classes@{digest[:8]}" for digest in (own, fingerprint)}


def test_a_local_board_scores_own_protocols_again_and_ranks_none(here: Path) -> None:
    run = run_of("zero_shot")
    record = read_record(run)
    scores = {**record.scores, "metrics": {**record.scores["metrics"], "last": 99.0}}
    write_record(run, record.model_copy(update={"scores": scores}))
    board = board_of(Path("runs"), SubmissionDeclarations())
    assert board.counts == {"runs": 4, "rescored": 0, "own": 4}
    assert {row.why_unranked for row in board.rows} == {OWN_PROTOCOL}
    (row,) = (row for row in board.rows if row.method == "zero_shot")
    assert row.mean("last") == pytest.approx(record.scores["metrics"]["last"])
    assert row.intervals
    assert row.protocol_title == "for vlcl regress: four short tasks"
    for path in Path("runs").glob(f"*/{PROTOCOL_NAME}"):
        path.unlink()
    reported = board_of(Path("runs"), SubmissionDeclarations())
    assert (reported.counts["own"], {row.why_unranked for row in reported.rows}) == (0, {"self-reported"})


@pytest.mark.parametrize("damage", ["other answers", "no table", "none"])
def test_a_damaged_run_on_an_own_protocol_is_named_and_the_others_are_told_apart(here: Path, damage: str) -> None:
    file, fingerprint = other_protocol(here)
    put(here, "zero_shot", protocol=file, protocol_fingerprint=fingerprint)
    whole = board_of(Path("runs"), SubmissionDeclarations())
    run, other = run_of("finetune"), run_of("zero_shot")
    place, source = run / "predictions.parquet", other / "predictions.parquet"
    place.unlink()
    if damage != "none":
        place.write_bytes(source.read_bytes() if damage == "other answers" else b"PAR1 and no more")
    board = board_of(Path("runs"), SubmissionDeclarations())
    (fault,) = board.faults
    assert fault.folder == run
    assert "predictions.parquet" in fault.message
    assert {row.protocol for row in board.rows} == {row.protocol for row in whole.rows}
    assert board.counts == {key: count - (key != "rescored") for key, count in whole.counts.items()}


def test_a_stream_is_found_with_the_manifests_that_a_record_names_or_not_at_all(here: Path) -> None:
    run = run_of("finetune")
    record = read_record(run)
    assert stream_of(run, record).fingerprint == record.identity.protocol_fingerprint
    name, origin = next(iter(record.data.items()))
    changed = {**record.data, name: origin.model_copy(update={"manifest": "0" * 64})}
    with pytest.raises(IntegrityError, match=f"the manifest of '{name}' with fingerprint 000000000000") as refused:
        stream_of(run, record.model_copy(update={"data": changed}))
    assert "$VLCL_DATA_HOME" in (refused.value.hint or "")
