"""The board's page as a file: the same bytes anywhere, no way out for a name, and nothing that needs a network."""

import base64
import hashlib
import html.parser
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.boards import HOSTILE, TASKS, board, items, run, three

from vlcl_bench.board.build import board_of
from vlcl_bench.board.detail import detail_of
from vlcl_bench.board.files import board_text
from vlcl_bench.board.render.page import embedded
from vlcl_bench.common.fileio import sha256_file
from vlcl_bench.errors import IntegrityError
from vlcl_bench.records.files import PREDICTIONS_NAME, read_predictions, read_record, write_record
from vlcl_bench.records.schema import Identity, Record
from vlcl_bench.scoring.drift import unchanged_cells
from vlcl_bench.submissions.declared import SubmissionDeclarations

ROOT = Path(__file__).parents[2]
BUILD = (
    "import sys; sys.path.insert(0, 'tests'); from support.boards import board; "
    "from vlcl_bench.board.files import board_text; "
    "import hashlib; print({k: hashlib.sha256(v.encode()).hexdigest() for k, v in sorted(board_text(board()).items())})"
)


@pytest.fixture(scope="module")
def page():
    return board_text(board())["index.html"]


def data(page):
    return json.loads(re.search(r'<script type="application/json" id="board">(.*?)</script>', page, re.DOTALL)[1])


class Elements(html.parser.HTMLParser):
    """All elements with their attributes, and the text of scripts and styles."""

    def __init__(self, page):
        super().__init__()
        self.found, self.texts = [], {}
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, text):
        if self.found and self.found[-1][0] in ("script", "style") and text.strip():
            self.texts.setdefault(self.found[-1][0], []).append(text)


def test_names_cannot_leave_the_data_they_stand_in(page):
    elements = Elements(page)
    assert [tag for tag, _ in elements.found].count("script") == 2
    assert not {"img", "svg"} & {tag for tag, _ in elements.found}
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
    names = {entry["title"] for protocol in data(page)["protocols"] for entry in protocol["entries"]}
    assert HOSTILE in names


@pytest.mark.parametrize(
    "text", ["</script>", "<!--<script>", "]]>", "&lt;", "\u2028\u2029", "\\u003c", '"', "\ud7ff\U0001f600"]
)
def test_any_text_comes_back_from_the_data_and_none_has_a_bracket(text):
    written = embedded({"name": text})
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written) == {"name": text}


def test_the_page_asks_nothing_of_a_network_and_its_policy_allows_its_own_parts_only(page):
    elements = Elements(page)
    links = [value for _, attributes in elements.found for name, value in attributes.items() if name in ("src", "href")]
    assert set(links) == {"#main", "data:,"}
    policy = next(a["content"] for _, a in elements.found if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind, text in (("script", elements.texts["script"][-1]), ("style", elements.texts["style"][0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    own = "".join(elements.texts["script"][1:] + elements.texts["style"])
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|fetch\(|@import|url\(", own)


def test_the_data_hold_ranges_intervals_cost_and_cells_of_every_entry(page):
    protocol = next(one for one in data(page)["protocols"] if one["name"] == "mini-mtil-1")
    entries = {entry["method"]: entry for entry in protocol["entries"]}
    assert entries["strong"]["ranks"] == "1"
    assert entries["twin-a"]["ranks"] == entries["twin-b"]["ranks"] == "2–3"
    assert entries["lavish"]["ranks"] == "1"  # in a track of its own
    assert (entries["once"]["rank"], entries["once"]["unranked"]) == (None, "n = 1 of 3 seeds")
    low, high = entries["strong"]["intervals"]["avg"]
    assert low < entries["strong"]["metrics"]["avg"][0] < high
    assert entries["strong"]["unchanged"] == [2, 6]
    assert entries["strong"]["cost"]["replayed_samples"] == 12
    assert np.shape(entries["strong"]["matrices"]["task-aware"]) == (5, 4)
    assert [one["seed"] for one in entries["strong"]["runs"]] == [0, 1, 2]


@pytest.mark.parametrize("field", ["method_title", "label", "unranked_because"])
def test_half_a_character_is_refused_before_anything_is_written(field):
    with pytest.raises(IntegrityError, match="half a character"):
        run("plain", **{field: "name\ud800"})
    settings = replace(run("plain").detail, settings={"key": "\udfff"})
    with pytest.raises(IntegrityError, match="half a character"):
        run("plain", detail=settings)


def test_a_reported_record_cannot_say_what_the_tasks_of_others_are():
    odd = run("aaa", 0, 99, status="self-reported", protocol="mini-mtil-1", scores=items(99, 0, tasks=("x", "y")))
    odd = replace(odd, detail=replace(odd.detail, items={}))
    protocol = data(board_text([odd, run("solo", 0, 40)])["index.html"])["protocols"][0]
    shown = {entry["method"]: entry["matrices"] for entry in protocol["entries"]}
    assert protocol["tasks"] == list(TASKS)
    assert shown["aaa"] == {}
    assert np.shape(shown["solo"]["task-aware"]) == (5, 4)


def test_the_erratum_and_its_right_value_follow_from_the_published_rows(page):
    (erratum,) = data(page)["errata"]
    assert (erratum["printed"], erratum["correct"]) == ("-3.9", "-8.9")
    assert "published" not in {protocol["name"] for protocol in data(page)["protocols"]}
    streams = [one["stream"] for one in data(page)["published"]]
    assert streams[:2] == ["mtil-1", "mtil-2"]


def test_cells_count_only_where_every_answer_is_the_untouched_models():
    rows = [
        {"stage": stage, "task": task, "sample": sample, "top1": sample, "top2": 5, "logit1": float(stage)}
        for stage in range(4)
        for task in ("a", "b", "c")
        for sample in range(3)
    ]
    frame = pd.DataFrame(rows).astype({"task": "category"})
    assert unchanged_cells(frame, ("a", "b", "c")) == {(1, 2), (1, 3), (2, 3)}
    moved = (frame["stage"] == 2) & (frame["task"] == "c") & (frame["sample"] == 1)
    frame.loc[moved, "top2"] = 4
    shuffled = frame.sample(frac=1, random_state=0)
    assert unchanged_cells(shuffled, ("a", "b", "c")) == {(1, 2), (1, 3)}


def test_an_entrys_cells_are_those_that_stood_still_in_all_seeds():
    runs = three("plain", 50)
    changed = [run("plain", 0, 50), *runs[1:]]
    object.__setattr__(changed[0].detail, "unchanged_from_zero_shot", frozenset({(1, 2)}))
    entry = json.loads(board_text(changed)["leaderboard.json"])["entries"][0]
    assert entry["unchanged_from_zero_shot"] == {"cells": 1, "of": 6}


@pytest.mark.parametrize(
    "damage",
    [{"matrix": [[1.0]]}, {"zero_shot": None}, {"matrix": "words"}, {"bleu4": {"metrics": {}}}, {"retrieval": [1]}],
)
def test_reported_scores_of_no_known_form_are_refused(damage):
    record = read_record(min(ROOT.glob("submissions/zero_shot/runs/*")))
    with pytest.raises(IntegrityError, match="not of the right form"):
        detail_of(record, {**record.scores, **damage})


@pytest.mark.slow
def test_the_bytes_are_the_same_in_other_time_zones_locales_and_hash_seeds():
    told = set()
    for zone, words, seed in (
        ("UTC", "C", "0"),
        ("Asia/Kolkata", "de_DE.UTF-8", "1"),
        ("America/St_Johns", "tr_TR.UTF-8", "random"),
    ):
        environment = {
            **os.environ,
            "TZ": zone,
            "LC_ALL": words,
            "LANG": words,
            "PYTHONHASHSEED": seed,
            "PYTHONUTF8": "0",
        }
        told.add(
            subprocess.run(
                [sys.executable, "-c", BUILD], cwd=ROOT, env=environment, capture_output=True, check=True
            ).stdout
        )
    assert len(told) == 1
    assert b"index.html" in told.pop()


def synthetic_records(folder: Path, count: int) -> None:
    """Finished runs of made-up methods, three seeds each on two protocols, with shaken copies of real answers."""
    rng = np.random.default_rng(0)
    sources = [read_record(path.parent) for path in sorted(ROOT.glob("submissions/finetune/runs/*/run.json"))]
    bases = {one.identity.protocol: one for one in sources if one.identity.protocol.startswith("mini-mtil")}
    for number in range(count):
        base = bases[sorted(bases)[number // 3 % 2]]
        facts = {
            **base.identity.model_dump(),
            "method": f"synthetic{number // 3:03d}",
            "seed": number % 3,
            "config": {},
        }
        identity = Identity.model_validate(facts)
        out = folder / identity.method / "runs" / identity.run_hash
        out.mkdir(parents=True)
        frame = read_predictions(ROOT / "submissions" / "finetune" / "runs" / base.run_hash / PREDICTIONS_NAME)
        swapped = rng.random(len(frame)) < 0.3 * rng.random()
        frame.loc[swapped, ["top1", "top2"]] = frame.loc[swapped, ["top2", "top1"]].to_numpy()
        frame.to_parquet(out / PREDICTIONS_NAME)
        changes = {
            "identity": identity,
            "run_hash": identity.run_hash,
            "predictions_sha256": sha256_file(out / PREDICTIONS_NAME),
        }
        write_record(out, Record.model_validate({**base.model_dump(), **changes, "identity": identity.model_dump()}))


@pytest.mark.slow
def test_two_hundred_records_are_built_within_half_a_minute(tmp_path, capsys):
    synthetic_records(tmp_path / "submissions", 200)
    wall, processor = time.perf_counter(), time.process_time()
    built = board_of(tmp_path / "submissions", SubmissionDeclarations())
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    with capsys.disabled():
        size = len(built.files["index.html"].encode()) / 1e6
        print(f"\n200 records: {processor:.1f} s of processor time, {wall:.1f} s in all; the page has {size:.1f} MB")
    assert built.counts == {"runs": 200, "rescored": 200, "own": 0}
    assert processor <= 30  # the clock on the wall depends on what else runs here
