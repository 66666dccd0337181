"""R of a run as a file for a spreadsheet, a notebook or a paper's table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlcl_bench.common.fileio import pretty_json, write_atomic
from vlcl_bench.errors import UsageError

ZERO_SHOT = "zero-shot"
"""What row 0 is called."""


def write_matrix(path: Path, scores: Mapping[str, Any]) -> Path:
    """Write R in percent to a CSV file, row 0 first and rows and columns named by their tasks, or to a JSON file.

    The JSON object has ``tasks``, ``matrix`` and ``zero_shot``. Raises :class:`UsageError` for another kind of file.
    """
    tasks, rows = scores["tasks"], [scores["zero_shot"], *scores["matrix"]]
    if path.suffix.lower() == ".json":
        return write_atomic(path, pretty_json({key: scores[key] for key in ("tasks", "matrix", "zero_shot")}))
    if path.suffix.lower() != ".csv":
        raise UsageError(f"--matrix {path}: a matrix is written as .csv or .json", "For instance: --matrix R.csv")
    import pandas as pd

    frame = pd.DataFrame(rows, index=[ZERO_SHOT, *tasks], columns=list(tasks))
    return write_atomic(path, frame.to_csv(index_label="after"))
