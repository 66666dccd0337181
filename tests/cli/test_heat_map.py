"""The heat map of R: what its columns and rows are called, so that tasks of one's own can be told apart."""

from __future__ import annotations

import pytest

from vlcl_bench.cli.show import heat_map

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
