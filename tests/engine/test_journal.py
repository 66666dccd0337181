"""The journal's last line: cut short by a kill it is dropped, and whole it counts, with its line break or without."""

import pytest

from vlcl_bench.engine.journal import Journal
from vlcl_bench.errors import IntegrityError

EVENTS = ["started", "learned", "evaluated", "finished"]


@pytest.fixture
def path(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    for stage, event in enumerate(EVENTS):
        journal.append(event, stage=stage)
    return journal.path


def events(path):
    return [event["event"] for event in Journal(path).events]


WHOLE = {
    "as it was written": lambda data: data,
    "without the last line break": lambda data: data[:-1],
    "with blank lines at its end": lambda data: data + b"\n\n",
    "with the line breaks of another system": lambda data: data.replace(b"\n", b"\r\n"),
    "with those, and without the last": lambda data: data.replace(b"\n", b"\r\n")[:-2],
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_finished_run_stays_finished(kind, path):
    path.write_bytes(WHOLE[kind](path.read_bytes()))
    assert events(path) == EVENTS
    Journal(path).append("resumed")
    assert events(path) == [*EVENTS, "resumed"]


CUT = {
    "in its last line": lambda data: data[:-9],
    "before its check sum": lambda data: data[: data.rindex(b'"check"')],
    "at its last letter": lambda data: data[:-2],
}


@pytest.mark.parametrize("kind", CUT)
def test_a_line_that_was_cut_short_is_dropped(kind, path):
    path.write_bytes(CUT[kind](path.read_bytes()))
    assert events(path) == EVENTS[:-1]
    assert path.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.replace(b'"stage":1', b'"stage":2'),
        lambda data: data.replace(b"\n", b"\n\n", 1),
        lambda data: b"[" * 100_000 + b"\n" + data,
        lambda data: b"\xff\n" + data,
    ],
)
def test_any_other_damage_is_refused(change, path):
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(IntegrityError, match="is damaged in line"):
        Journal(path)


def test_a_last_line_that_was_edited_does_not_count(path):
    path.write_bytes(path.read_bytes()[:-1].replace(b'"finished"', b'"finishes"'))
    assert events(path) == EVENTS[:-1]


def test_an_empty_journal_has_no_events(path):
    for content in (b"", b"\n", b"   "):
        path.write_bytes(content)
        assert events(path) == []
