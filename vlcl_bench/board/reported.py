"""Numbers that others published: context for the board, never ranked, never mixed with measured ones.

``board/reported_rows.csv`` holds printed values with status and source, ``board/published_matrices.json`` the
accuracy matrices that ZSCL's authors released. Differences to a baseline are computed, never stored: the GIFT
poster prints -3.9 for LwF-VR (order II, Last) where its own values give 68.3 - 77.2 = -8.9. Neither file
stores a difference.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import pandas as pd

from vlcl_bench.errors import IntegrityError, UsageError, nearest
from vlcl_bench.scoring.metrics import FloatArray

UNVERIFIABLE = "claimed-unverifiable"
STATUSES = ("reported", "reported-secondary", "reproduced-elsewhere", UNVERIFIABLE)
COLUMNS = ("stream", "setting", "method", "metric", "value", "status", "source", "note")
ORDERS = {"mtil-1": "order_I", "mtil-2": "order_II"}
CAVEATS = {  # found while the published matrices were recomputed
    ("mtil-1", "DIKI"): "CoOp splits and a single template: not comparable",
    ("mtil-1", "Dual-RAIL"): "Transfer equals zero-shot by construction",
    ("mtil-2", "iCaRL"): "polluted by one diverged task (Aircraft), see the released matrix",
}
MATRIX_SOURCE = "ZSCL repository (Thunderbeee/ZSCL), mtil/results/t3_*.npy and t9_*.npy, CIFAR10 column removed"
ZERO_SHOT_SOURCE = "ZSCL repository, mtil/results.ipynb (zero-shot row, one decimal)"


@dataclass(frozen=True, eq=False)
class PublishedMatrix:
    """A released matrix: ``R`` (T, T) and the zero-shot row (T,) in percent, tasks in the stream's order."""

    stream: str
    method: str
    tasks: tuple[str, ...]
    R: FloatArray
    zero_shot: FloatArray
    status: str = "reported"
    source: str = MATRIX_SOURCE


def reported_rows(*, include_unverifiable: bool = False) -> pd.DataFrame:
    """The published values in the order of the file, one per row.

    Columns: ``stream``, ``setting``, ``method``, ``metric``, ``value`` (float; percent, but BLEU-4 as a
    fraction, as its source prints it), ``printed`` (the value as text), ``status``, ``source``, ``note``
    (with our :data:`CAVEATS`). Rows of status ``claimed-unverifiable`` are left out unless asked
    for.
    """
    frame = _rows().copy()
    return frame if include_unverifiable else frame[frame["status"] != UNVERIFIABLE].reset_index(drop=True)


def published_methods(stream: str) -> tuple[str, ...]:
    """The methods whose matrix on ``stream`` (``mtil-1``, ``mtil-2``) was released, in file order."""
    prefix = _order(stream) + "/"
    return tuple(key.removeprefix(prefix) for key in _matrices() if key.startswith(prefix))


def published_matrix(stream: str, method: str) -> PublishedMatrix:
    """The released matrix of ``method`` on ``stream``; :class:`UsageError` when there is none."""
    known = published_methods(stream)
    if method not in known:
        raise UsageError(f"no released matrix of {method!r} on {stream}", nearest(method, known))
    order = _order(stream)
    tasks = tuple(_matrices()[f"datasets_{order}"])
    matrix = np.array(_matrices()[f"{order}/{method}"], dtype=np.float64)
    if matrix.shape != (len(tasks), len(tasks)):
        raise IntegrityError(f"the released matrix of {method!r} on {stream} has shape {matrix.shape}")
    return PublishedMatrix(stream, method, tasks, matrix, zero_shot_row(stream))


def zero_shot_row(stream: str) -> FloatArray:
    """(T,) zero-shot accuracies of CLIP ViT-B/16 in the order of ``stream``, in percent, one decimal."""
    data = _matrices()
    by_task = dict(zip(data["datasets_order_I"], data["zero_shot_order_I"], strict=True))
    return np.array([by_task[task] for task in data[f"datasets_{_order(stream)}"]], dtype=np.float64)


def _order(stream: str) -> str:
    if stream not in ORDERS:
        raise UsageError(f"no matrices were released for {stream!r}", nearest(stream, ORDERS))
    return ORDERS[stream]


def _text(name: str) -> str:
    return resources.files("vlcl_bench.board").joinpath(name).read_text(encoding="utf-8")


@cache
def _matrices() -> dict[str, list]:
    data: dict[str, list] = json.loads(_text("published_matrices.json"))
    return data


@cache
def _rows() -> pd.DataFrame:
    frame = pd.read_csv(io.StringIO(_text("reported_rows.csv")), dtype=str, keep_default_na=False)
    if tuple(frame.columns) != COLUMNS:
        raise IntegrityError(f"reported_rows.csv has the columns {list(frame.columns)}, not {list(COLUMNS)}")
    unknown = sorted(set(frame["status"]) - set(STATUSES))
    if unknown:
        raise IntegrityError(f"reported_rows.csv has unknown status {unknown}", nearest(unknown[0], STATUSES))
    keys = ["stream", "setting", "method", "metric"]
    if frame.duplicated(keys).any():
        twice = frame.loc[frame.duplicated(keys), keys].iloc[0].tolist()
        raise IntegrityError(f"reported_rows.csv gives a value twice: {twice}")
    frame.insert(5, "printed", frame["value"])
    frame["value"] = frame["value"].astype("float64")
    ours = [CAVEATS.get(key, "") for key in zip(frame["stream"], frame["method"], strict=True)]
    both = zip(frame["note"], ours, strict=True)
    frame["note"] = ["; ".join(part for part in notes if part) for notes in both]
    return frame
