"""R of a run, shown and written: what its columns and rows are called, so that tasks of one's own can be told apart."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from support.harness import vlcl

from vlcl_bench.cli.show import heat_map
from vlcl_bench.records.files import read_record

RUN = Path(__file__).parents[1] / "expectations/fast-classes/finetune"

CALLED = {
    "a beginning that all share": (["my-birds", "my-boats"], [" birds", " boats"]),
    "two of them": (["our_set-cats", "our_set-dogs"], [" cats", " dogs"]),
    "no beginning": (["birds", "boats"], [" birds", " boats"]),
    "names alike in their first letters": (["flowers-of-may", "flowering"], [" 1:flo", " 2:flo"]),
    "alike behind the shared beginning": (["my-flowers", "my-flowering", "my-trees"], [" 1:flo", " 2:flo", " 3:tre"]),
    "groups of classes": (["cifar100-01", "cifar100-02"], [" ci-01", " ci-02"]),
    "numbers behind the shared beginning": (["set-1st", "set-2nd"], [" set-1", " set-2"]),
    "one task": (["my-birds"], [" my-bi"]),
    "the mini world's": (["mini-food", "mini-birds"], [" food", " birds"]),
}


@pytest.mark.parametrize(("tasks", "headings"), CALLED.values(), ids=CALLED)
def test_columns_are_called_by_what_tells_tasks_apart(tasks: list[str], headings: list[str]) -> None:
    matrix = [[50.0] * len(tasks)] * len(tasks)
    table = heat_map(tasks, matrix, matrix[0])
    assert [str(column.header) for column in table.columns][1:] == headings
    assert len(set(headings)) == len(tasks)


@pytest.mark.parametrize("name", ["R.csv", "deep/R.CSV", "R.json"])
def test_the_matrix_of_a_run_is_written_with_its_names(tmp_path: Path, name: str) -> None:
    path, scores = tmp_path / name, read_record(RUN).scores
    assert vlcl("show", RUN, "--matrix", path).code == 0
    if path.suffix == ".json":
        assert json.loads(path.read_text()) == {key: scores[key] for key in ("tasks", "matrix", "zero_shot")}
        return
    frame = pd.read_csv(path, index_col=0)
    assert frame.columns.tolist() == scores["tasks"]
    assert frame.index.tolist() == ["zero-shot", *scores["tasks"]]
    assert frame.to_numpy().tolist() == [scores["zero_shot"], *scores["matrix"]]


def test_a_matrix_is_written_to_no_other_kind_of_file(tmp_path: Path) -> None:
    refused = vlcl("show", RUN, "--matrix", tmp_path / "R.xlsx")
    assert (refused.code, list(tmp_path.iterdir())) == (2, [])
    assert "For instance: --matrix R.csv" in refused.err
