"""Records that mislead: borrowed names, models nobody declared, numbers that contradict each other, picked seeds."""

import json
import shutil
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from support.boards import run as board_run
from support.boards import three
from support.submission_fixture import ROOT, committed, make

from vlcl_bench.board.files import board_text
from vlcl_bench.board.rows import board_rows
from vlcl_bench.board.seeds import picked_seeds
from vlcl_bench.board.summaries import other_backbone
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.records.files import read_record
from vlcl_bench.submissions.across_runs import across_findings
from vlcl_bench.submissions.check import check_data
from vlcl_bench.submissions.consistency import consistency_findings
from vlcl_bench.submissions.doubted import doubt_findings
from vlcl_bench.submissions.likeness import looks, taken_name, taken_title
from vlcl_bench.submissions.manifest import Submission, read_submission
from vlcl_bench.submissions.record_checks import COMMITTED
from vlcl_bench.submissions.submitted_run import SubmittedRun

PROTOCOL = "mini-mtil-1"


@pytest.fixture(scope="module")
def record():
    return read_record(committed(PROTOCOL, 0))


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    return make(tmp_path_factory.mktemp("left") / "mine")


# Titles

ALIKE = {
    "other case": "zscl",
    "a blank": "Z SCL",
    "a blank that is no space": "ZS\u2003CL",
    "no width": "ZS\u200bCL",
    "Cyrillic": "Z\u0405\u0421L",
    "Greek": "\u0396SCL",
    "wide letters": "ＺＳＣＬ",
    "mathematical letters": "𝐙𝐒𝐂𝐋",
    "small capitals": "\u1d22\ua731\u1d04\u029f",
    "an accent": "ZSC\u0139",
    "a filler that shows nothing": "ZS\u3164CL",
    "a capital I for an l": "ZSCI",
    "a dash": "ZSCL\u2013",
    "a variation selector": "ZSCL\ufe0f",
}


@pytest.mark.parametrize("kind", ALIKE)
def test_a_title_that_looks_like_another_is_taken(kind):
    assert "'ZSCL', the title of a reference method" in taken_title(ALIKE[kind], "mine", COMMITTED)


@pytest.mark.parametrize("title", ["class means (EXAMPLE)", "Class\u00a0means (example)", "С1аss means (example)"])
def test_titles_of_committed_submissions_are_taken_too(title):
    assert "the submission 'example-prototype'" in taken_title(title, "mine", COMMITTED)
    assert taken_title(title, "example-prototype", COMMITTED) == ""


@pytest.mark.parametrize("title", ["ZSCL+", "ZSCL 2", "Mine", "α-CLIP", "LwF-XY", "日本", "WiSE-FT (ours)"])
def test_a_title_of_ones_own_is_not(title):
    assert taken_title(title, "mine", COMMITTED) == ""


def test_what_looks_the_same_is_what_is_left_for_a_hasty_reader():
    assert looks("Auto-Seed  VL2") == looks("auto_seed vl2") == looks("ΑUТО SЕЕD VI2")
    assert looks("LwF") != looks("LwF-VR")


@pytest.mark.parametrize(
    ("name", "other"),
    [("Example-Prototype", "example-prototype"), ("ZSCL", "zscl"), ("Zero_Shot", "zero_shot"), ("MINE", "mine"),
     ("example-prototype", ""), ("zscl", ""), ("another", "")],
)  # fmt: skip
def test_names_that_differ_in_case_only_are_taken(name, other, tmp_path):
    (tmp_path / "mine").mkdir()
    assert taken_name(name, tmp_path, COMMITTED) == other


# Declarations


@pytest.mark.parametrize(
    ("declared", "name", "is_declared"),
    [
        ("vlcl-mini/v1", "vlcl-mini/v1", True),
        ("vlcl-mini/v1: the mini CLIP", "vlcl-mini/v1", True),
        ("vlcl-mini/v1, as it is", "vlcl-mini/v1", True),
        ("vlcl-mini/v1; on the full protocols another", "vlcl-mini/v1", True),
        ("vlcl-mini/v1 (frozen)", "vlcl-mini/v1", True),
        ("hf-hub:laion/CLIP", "hf-hub:laion/CLIP", True),
        ("vlcl-mini/v1", "vlcl-mini/v", False),
        ("vlcl-mini/v1", "mini", False),
        ("vlcl-mini/v10", "vlcl-mini/v1", False),
        ("not vlcl-mini/v1", "vlcl-mini/v1", False),
        ("hf-hub:laion/CLIP", "hf-hub", False),
        ("vlcl-mini/v1", "", False),
        ("vlcl.mini", "vlcl-mini", False),
        ("anything", "a", False),
    ],
)
def test_a_model_is_declared_by_its_whole_name(declared, name, is_declared):
    assert Submission.mentions(name, ["something else"], [declared]) is is_declared


def test_a_run_from_another_backbone_is_shown_and_not_ranked(record):
    protocol = load_protocol(PROTOCOL)
    other = record.model_copy(update={"identity": record.identity.model_copy(update={"backbone": "vlcl-mini/v1x"})})
    assert other_backbone(record, protocol) == ""
    assert other_backbone(other, protocol) == "from another backbone than the protocol's vlcl-mini/v1"
    assert other_backbone(other, None) == ""


# Numbers


def changed(record, part="", **values):
    if not part:
        return record.model_copy(update=values)
    return record.model_copy(update={part: getattr(record, part).model_copy(update=values)})


CONTRADICTIONS = {
    "a total below its parts": (lambda r: changed(r, "cost", seconds_total=1.0), "seconds in all"),
    "no memory": (lambda r: changed(r, "cost", peak_memory_bytes=0), "no memory"),
    "a stage of learning too few": (lambda r: changed(r, "cost", seconds_learn=r.cost.seconds_learn[1:]), "learning"),
    "stages of evaluating too many": (
        lambda r: changed(r, "cost", seconds_evaluate=[*r.cost.seconds_evaluate, 0.0]), "evaluating",
    ),
    "one stage of synthesis": (lambda r: changed(r, "cost", seconds_synthesise=[1.0]), "synthesis"),
    "more trained than there are": (lambda r: changed(r, "footprint", parameters_trained=2**40), "were trained"),
    "more added than there are": (lambda r: changed(r, "footprint", parameters_added=2**40), "were added"),
    "less kept than at a stage": (lambda r: changed(r, "footprint", bytes_between_tasks=1), "between tasks"),
    "bytes of no stage": (lambda r: changed(r, "footprint", bytes_by_stage=[], bytes_between_tasks=0), "bytes"),
    "more made than asked for": (lambda r: changed(r, "usage", made_pictures=5), "were made"),
    "more blank than asked for": (lambda r: changed(r, "usage", blank_pictures=5), "were blank"),
    "a made-up canary": (lambda r: changed(r, canary="excellent"), "its canary is 'excellent'"),
    "a made-up isolation": (lambda r: changed(r, "provenance", isolation="bunker"), "its isolation is 'bunker'"),
    "an isolation that is named twice": (lambda r: changed(r, "provenance", isolation="process+process"), "isolation"),
    "an isolation that was and was not said": (lambda r: changed(r, "provenance", isolation="+process"), "isolation"),
    "a made-up fence": (
        lambda r: changed(r, "provenance", isolation="process", fences=["audit", "moat"]), "its fences are 'audit, moat'",
    ),
    "a fence that is named twice": (
        lambda r: changed(r, "provenance", isolation="process", fences=["audit", "audit"]), "its fences are",
    ),
    "fences around the harness itself": (
        lambda r: changed(r, "provenance", isolation="inline+process", fences=["audit"]), "which has none",
    ),
    "a container's fence without one": (
        lambda r: changed(r, "provenance", isolation="process", fences=["audit", "container"]), "its isolation is",
    ),
    "a container without its fence": (
        lambda r: changed(r, "provenance", isolation="container", fences=["audit"]), "its isolation is",
    ),
    "one fence laid early and late": (
        lambda r: changed(r, "provenance", isolation="process", fences=["landlock", "landlock-late"]), "early and late",
    ),
    "a total below its preparing": (lambda r: changed(r, "cost", seconds_prepare=1e6), "seconds in all"),
    "a total below its synthesis": (
        lambda r: changed(r, "cost", seconds_synthesise=[1e6] * len(r.cost.seconds_learn)), "seconds in all",
    ),
    "samples of its own without steps": (lambda r: changed(r, "usage", own_steps=None, own_samples=7), "of the method's"),
    "steps of its own without samples": (lambda r: changed(r, "usage", own_steps=7, own_samples=None), "of the method's"),
    "no threads": (lambda r: changed(r, "provenance", threads=-1), "-1 threads"),
    "a log of a stage that is none": (lambda r: changed(r, log=[{"stage": 99}]), "stage '99'"),
    "a log of no stage": (lambda r: changed(r, log=[{"stage": "last"}]), "stage 'last'"),
    "no title": (lambda r: changed(r, title=" "), "no title"),
    "data of another stream": (
        lambda r: changed(r, data={"mnist": next(iter(r.data.values()), None) or origin()}), "the data it names",
    ),
    "a stream that is not ranked": (lambda r: changed(r, ranked_protocol=False), "is not a stream"),
}  # fmt: skip


def origin():
    from vlcl_bench.records.schema import DataOrigin

    return DataOrigin(manifest="0" * 64, status="committed", source="")


@pytest.mark.parametrize("kind", CONTRADICTIONS)
def test_numbers_that_contradict_each_other_are_found(kind, record):
    change, words = CONTRADICTIONS[kind]
    found = list(consistency_findings(change(record), "runs/x/run.json", load_protocol(PROTOCOL)))
    assert [finding.code for finding in found] == ["contradiction"] * len(found)
    assert any(words in finding.message for finding in found), found


@pytest.mark.parametrize("path", sorted(ROOT.glob("submissions/*/runs"))[::3], ids=lambda path: path.parent.name)
def test_no_committed_record_contradicts_itself(path):
    for folder in sorted(path.iterdir())[::4]:
        record = read_record(folder)
        assert list(consistency_findings(record, "x", load_protocol(record.identity.protocol))) == []


SENSIBLE = {
    "an older record": {"isolation": "", "fences": []},
    "inline": {"isolation": "inline", "fences": []},
    "a process of an older version": {"isolation": "process", "fences": []},
    "a process": {"isolation": "process", "fences": ["audit", "landlock", "seccomp"]},
    "a backbone of one's own": {"isolation": "process", "fences": ["audit", "landlock-late", "seccomp"]},
    "a container": {"isolation": "container", "fences": ["audit", "container", "landlock", "seccomp"]},
    "an older container": {"isolation": "container", "fences": []},
    "continued elsewhere": {"isolation": "inline+process", "fences": []},
    "continued in a container": {"isolation": "container+process", "fences": ["audit"]},
}


@pytest.mark.parametrize("kind", SENSIBLE)
def test_what_a_run_says_of_its_isolation_and_fences_is_believed(kind, record):
    run = changed(record, "provenance", **SENSIBLE[kind])
    run = changed(changed(run, "usage", own_steps=0, own_samples=12), "cost", seconds_prepare=0.5)
    run = changed(run, "cost", seconds_total=run.cost.seconds_total + 0.5)
    assert list(consistency_findings(run, "x", load_protocol(PROTOCOL))) == []


def test_a_run_that_was_continued_may_have_timed_a_part_twice(record):
    cost = record.cost.model_copy(update={"resumed": 1, "seconds_total": 1.0})
    assert list(consistency_findings(record.model_copy(update={"cost": cost}), "x", None)) == []


# Seeds


@pytest.mark.parametrize(
    ("seeds", "needed", "said"),
    [
        ([0, 1, 2], 3, ""), ([2, 0, 1], 3, ""), ([0, 1, 2, 3, 4], 3, ""), ([1], 3, ""), ([0, 2], 3, ""),
        ([3, 7, 9], 3, "3, 7, 9"), ([0, 1, 5], 3, "0, 1, 5"), ([4], 3, "4"), ([-1, 0, 1], 3, "-1, 0, 1"),
        ([0, 1, 2, 9], 3, "0, 1, 2, 9"), ([17], 1, ""),
    ],
)  # fmt: skip
def test_seeds_that_were_picked_are_named(seeds, needed, said):
    assert picked_seeds(seeds, needed) == said


def test_the_check_and_the_board_say_which_seeds_were_taken(record):
    runs = []
    for seed in (3, 7, 9):
        identity = record.identity.model_copy(update={"seed": seed})
        one = record.model_copy(update={"identity": identity})
        runs.append(SubmittedRun(ROOT, f"runs/{seed}", one, load_protocol(PROTOCOL), answers=str(seed)))
    (finding,) = across_findings(runs)
    assert (finding.code, finding.severity) == ("picked-seeds", "remark")
    assert "3, 7, 9" in finding.message
    picked = [replace(one, seed=seed) for one, seed in zip(three("picked", 50), (3, 7, 9), strict=True)]
    assert [row.rank for row in board_rows(picked)] == [1]
    assert "rescored, seeds 3, 7, 9 |" in board_text([*picked, *three("honest", 40)])["README.md"]


# Answers


def test_answers_of_another_method_are_named_before_the_board_does_not_rank_them(mine):
    (finding,) = [finding for finding in check_data(mine.folder) if finding.code == "copied-answers"]
    assert finding.severity == "remark"
    assert "100.0 % of its first answers after stage 0 are those of a run of finetune" in finding.message


def test_two_seeds_that_differ_in_other_places_alone_are_one(record):
    runs = []
    for seed in (0, 1):
        one = record.model_copy(update={"identity": record.identity.model_copy(update={"seed": seed})})
        first = np.array([[seed, 1], [2, 3]], np.int32)
        runs.append(SubmittedRun(ROOT, f"runs/{seed}", one, None, answers=str(seed), first=first))
    assert [finding.code for finding in across_findings(runs) if finding.is_error] == ["repeated-answers"]
    runs[1].first = np.array([[0, 1], [2, 4]], np.int32)
    assert [finding.code for finding in across_findings(runs) if finding.is_error] == []


def test_labels_for_answers_are_named(mine):
    with_labels = SubmittedRun(ROOT, "runs/x", read_record(mine.run), None, first=np.zeros((2, 2), np.int32))
    with_labels.scores = {"matrix": [[100.0, 99.5], [100.0, 100.0]]}
    assert [finding.code for finding in doubt_findings([with_labels], "mine")] == ["all-right"]
    with_labels.scores = {"matrix": [[100.0, 95.0], [100.0, 100.0]]}
    assert list(doubt_findings([with_labels], "mine")) == []


# Spreadsheets


def test_titles_are_no_formulas_in_a_spreadsheet_and_numbers_stay_numbers():
    title = "=HYPERLINK(1)"
    text = board_text([*three("evil", 50, method_title=title, label="@x"), *three("l2", 60), board_run("one", 0, 40)])
    lines = [line.split(",") for line in text["leaderboard.csv"].splitlines()]
    cells = dict(zip(lines[0], next(line for line in lines if "evil" in line), strict=True))
    assert (cells["method_title"], cells["label"], cells["method"]) == (f"'{title}", "'@x", "evil")
    assert float(cells["delta_avg"]) < 0
    assert json.loads(text["leaderboard.json"])["entries"][1]["method_title"] == title


# What a killed command leaves


LEFT = {
    "half a record": lambda run: (run / ".run.json.ab12cd_9.tmp").write_text("{"),
    "half a file of predictions": lambda run: (run / ".predictions.parquet.abcdefgh.tmp").write_bytes(b"PAR1"),
    "half a rerun": lambda run: (run / ".rerun.json.abcdefgh.tmp").write_text("{"),
    "a folder half-copied": lambda run: shutil.copytree(run, run.with_name(f".{run.name}.abcdefgh.tmp")),
}


@pytest.mark.parametrize("kind", LEFT)
def test_what_a_killed_command_left_refuses_nothing(kind, mine, tmp_path):
    folder = shutil.copytree(mine.folder, tmp_path / "mine")
    LEFT[kind](next((folder / "runs").iterdir()))
    found = check_data(folder)
    assert [finding.code for finding in found if finding.is_error] == []
    assert "leftover" in {finding.code for finding in found}


def test_other_hidden_files_are_refused_as_before(mine, tmp_path):
    folder = shutil.copytree(mine.folder, tmp_path / "mine")
    run = next((folder / "runs").iterdir())
    for name in (".hidden", ".run.json.tmp", "run.json.abcdefgh.tmp", ".x.abcdefgh.tmp.so"):
        (run / name).write_text("x")
    (run / ".a.abcdefgh.tmp").symlink_to(run / "run.json")
    found = [finding for finding in check_data(folder) if finding.is_error]
    assert sorted(finding.code for finding in found) == ["link", *["unexpected-file"] * 4]


# A submission.toml that asks for much

TOML = (ROOT / "submissions" / "example-prototype" / "submission.toml").read_text()
GREEDY = {
    "a key of thirty thousand parts": ("a" + ".a" * 30_000 + " = 1\n", "toml-syntax"),
    "a table of as many": ("[a" + ".a" * 30_000 + "]\n", "toml-syntax"),
    "parts in quotes": ("a" + ' . "a.b"' * 5_000 + " = 1\n", "toml-syntax"),
    "parts behind a text with quotes": (
        "a = { x = \"\"\" \" \"\"\", " + "b." * 20_000 + 'b = "c" }\n', "toml-syntax",
    ),
    "parts with blanks": ("a" + " . a" * 9_000 + " = 1\n", "toml-syntax"),
    "tables in tables": ("a = " + "{a = " * 4000 + "1" + "}" * 4000, "toml-syntax"),
    "six thousand tables": ("".join(f"[a{number}]\n" for number in range(6000)), "toml-unknown-key"),
    "an infinite setting": (TOML + "\nentries = [{ a = inf }]\n", "toml-value"),
    "a setting that is no number": (TOML + "\nentries = [{ a = -nan }]\n", "toml-value"),
    "a day": (TOML + "\nentries = [{ a = 1979-05-27 }]\n", "toml-value"),
    "ten thousand digits": (TOML + "\nentries = [{ a = " + "9" * 10_000 + " }]\n", "toml-syntax"),
}


@pytest.mark.parametrize("kind", GREEDY)
def test_a_submission_toml_that_asks_for_much_ends_in_a_few_words(kind, tmp_path):
    text, code = GREEDY[kind]
    (tmp_path / "submission.toml").write_text(text)
    tracemalloc.start()
    found, findings = read_submission(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found is None
    assert code in {finding.code for finding in findings}
    assert len(findings) <= 21
    assert peak < 64 * 2**20


def test_dots_in_texts_are_no_keys(tmp_path):
    (tmp_path / "submission.toml").write_text(TOML.replace('paper = "', 'paper = "' + "a." * 40))
    assert read_submission(tmp_path)[1] == []
