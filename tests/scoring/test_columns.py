"""The one list of columns: complete, plain, and the only place where numbers are listed."""

import ast
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from vlcl_bench.errors import UsageError
from vlcl_bench.records.files import read_record
from vlcl_bench.scoring.column import BOARD, BYTES, COUNT, PERCENT, SECONDS, Column, Scored, within
from vlcl_bench.scoring.columns import COLUMNS, COMPARED, METRICS, RANKING, by_unit, column, columns, figures, values
from vlcl_bench.scoring.metrics import HEADLINES, continual_metrics
from vlcl_bench.scoring.views import AGNOSTIC, BLEU4

ROOT = Path(__file__).parents[2]
LISTS = {ROOT / "vlcl_bench/scoring/columns.py", ROOT / "vlcl_bench/scoring/metrics.py"}
"""Where metrics and costs may be listed: what they are, and how they are computed."""
SCORES = {one.id for one in columns("headline", "score")}
IDS = SCORES | {one.id for one in columns("cost", "samples")}
SHOWING = ("scoring", "board", "sweep", "regress", "cli")
"""The rooms that show numbers; elsewhere costs are measured, under the same names."""


def listed(tree, names=IDS):
    """Displays and literals of types with at least two of the names: lists that somebody would forget to change."""
    for node in ast.walk(tree):
        parts = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
        if isinstance(node, ast.Subscript):
            parts = getattr(node.slice, "elts", [])
        ids = {part.value for part in parts if isinstance(part, ast.Constant)} & names
        if len(ids) > 1:
            yield node.lineno, ids


def test_metrics_and_costs_are_listed_in_one_place():
    found = {
        f"{path.relative_to(ROOT)}:{line}": ids
        for folder in ("vlcl_bench", "baselines")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path not in LISTS
        for line, ids in listed(
            ast.parse(path.read_text()), IDS if path.relative_to(ROOT).parts[1] in SHOWING else SCORES
        )
    }
    assert found == {}
    assert list(listed(ast.parse('X = {"avg": 1, "last": 2}; Y = ["bwt", "fwt"]; Z: Literal["avg", "last"]')))


def test_the_page_names_no_column():
    script = (ROOT / "vlcl_bench/board/render/assets/page.js").read_text()
    labels = [re.escape(one.label) for one in COLUMNS if len(one.label) > 3 and one.label != "Seconds"]
    ids = [re.escape(name) for name in IDS]
    assert re.findall(rf'"(?:{"|".join(ids)})"|\.(?:{"|".join(ids)})\b|"(?:{"|".join(labels)})"', script) == []


def test_ids_are_unique_and_every_column_says_what_it_is():
    assert len({one.id for one in COLUMNS}) == len(COLUMNS)
    for one in COLUMNS:
        assert one.label
        assert one.meaning.endswith(".")
        assert one.unit in (PERCENT, SECONDS, BYTES, COUNT)
        assert one.text(None) == "–"
    assert RANKING in METRICS


def test_every_metric_that_a_column_shows_is_computed_and_the_compared_ones_are_linear():
    shown = {one.id for one in columns("headline", "score", "zero-shot")}
    assert shown <= set(HEADLINES)
    R, other = [[50, 20, 30], [60, 70, 50], [40, 65, 90]], [[10, 25, 20], [30, 60, 10], [50, 20, 40]]
    row0, other0 = [45, 25, 35], [5, 30, 15]
    half = [[(a + b) / 2 for a, b in zip(x, y, strict=True)] for x, y in zip(R, other, strict=True)]
    half0 = [(a + b) / 2 for a, b in zip(row0, other0, strict=True)]
    one, two, mean = (continual_metrics(*pair).headlines() for pair in ((R, row0), (other, other0), (half, half0)))
    for metric in COMPARED:
        assert mean[metric.id] == pytest.approx((one[metric.id] + two[metric.id]) / 2)


def test_a_column_reads_a_committed_record():
    record = read_record(min(ROOT.glob("submissions/l2/runs/*")))
    cost, usage = record.cost, record.usage
    found = values(columns("headline", "cost", "samples"), record)
    assert found["avg"] == record.scores["metrics"]["avg"]
    assert found["seconds_learn"] == sum(cost.seconds_learn)
    assert found["bytes_between_tasks"] == record.footprint.bytes_between_tasks
    assert found["reference_pictures"] == usage.reference_pictures
    twin = within(AGNOSTIC, column("last"))
    assert (twin.id, twin.label) == ("agnostic.last", "task-agnostic Last")
    assert twin.of(record) == record.scores["agnostic"]["metrics"]["last"]
    assert within(BLEU4, column("last")).of(record) is None


def test_a_metric_that_a_record_does_not_state_is_none():
    assert column("forgetting").of(Scored({"metrics": {"avg": 5.0}})) is None
    assert column("avg").of(Scored({"metrics": {"avg": [5.0]}})) is None
    with pytest.raises(UsageError, match="there is no column 'best'"):
        column("best")


def test_texts_show_a_value_in_the_unit_of_its_heading():
    assert column("avg").text(65.25) == "65.2"
    assert column("seconds_total").text(1234.56) == "1234.6"
    assert column("peak_memory_bytes").text(2_345_600_000) == "2346"
    assert column("bytes_between_tasks").text(1234567) == "1,234,567"


def test_people_read_columns_of_one_unit_together():
    read = [one.id for one in by_unit(columns("cost", place="markdown"))]
    assert read.index("bytes_between_tasks") == read.index("peak_memory_bytes") + 1
    assert [one.unit for one in by_unit(columns("cost"))] == sorted(
        (one.unit for one in columns("cost")), key=[SECONDS, BYTES, COUNT].index
    )
    assert sorted(read) == sorted(one.id for one in columns("cost", place="markdown"))


def test_figures_are_of_the_kind_of_stream_and_by_data_set():
    part = {"matrix": [[1.0, 2.0], [3.0, 5.0]]}
    scores = {
        "retrieval": {"i2t@1": part, "rsum": part},
        "bleu4": {"metrics": {"avg": 1.0, "last": 2.0, "zero_shot": 3.0}, "nearest": part},
    }
    assert [(one.label, value) for one, value in figures(Scored(scores))] == [
        ("i2t@1, last", 4.0),
        ("R-sum, last", 4.0),
        ("BLEU-4 Avg", 1.0),
        ("BLEU-4 Last", 2.0),
        ("BLEU-4 zero-shot", 3.0),
        ("BLEU-4 Last, nearest caption", 4.0),
    ]
    curve = {"average": 70.0, "last": 60.0, "final": 55.0}
    found = figures(Scored({"incremental": {"cifar100": curve, "imagenet-r": curve}}))
    assert [one.label for one, _ in found][:4] == [
        "cifar100 average", "cifar100 last", "cifar100 at the end", "imagenet-r average",
    ]  # fmt: skip
    assert column("cil_avg").of(Scored({"incremental": {"cifar100": curve}})) == 70.0
    assert column("cil_avg").of(Scored({"incremental": {"cifar100": curve, "imagenet-r": curve}})) is None
    assert figures(Scored({})) == []


def test_a_column_of_something_recorded_is_one_entry():
    resumed = Column("resumed", "Resumed", "How often.", "cost", lambda run: run.cost.resumed, COUNT, 0, places=BOARD)
    assert resumed.of(SimpleNamespace(cost=SimpleNamespace(resumed=3))) == 3
    assert (resumed.text(3), resumed.narrow, resumed.explained) == ("3", "Resumed", "Resumed")
