"""The form of stored answers, whatever was asked: their columns, whole numbers, and everything asked exactly once.

Shared by :mod:`vlcl_bench.scoring.classes` and :mod:`vlcl_bench.scoring.captions`, which know what the answers mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from vlcl_bench.errors import IntegrityError
from vlcl_bench.scoring.metrics import FloatArray, continual_metrics

IntArray = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
HINT = "The predictions do not belong to this manifest, or were damaged; restore the record or run it again."
WORDS = ("task", "kind")
"""Columns of words; the others that name a question hold whole numbers."""


def check_columns(frame: pd.DataFrame, wanted: Sequence[str], hint: str) -> None:
    """Raise :class:`IntegrityError` unless ``frame`` has the ``wanted`` columns and no other."""
    missing = [name for name in wanted if name not in frame.columns]
    unknown = [str(name) for name in frame.columns if name not in wanted]
    if missing or unknown:
        raise IntegrityError(f"predictions have the wrong columns: missing {missing}, unknown {unknown}", hint)


def integers(frame: pd.DataFrame, name: str) -> IntArray:
    """A column of whole numbers (n,)."""
    column = frame[name]
    if not pd.api.types.is_integer_dtype(column.dtype) or column.isna().any():
        raise IntegrityError(f"column {name!r} of the predictions must hold whole numbers, not {column.dtype}", HINT)
    return column.to_numpy(dtype=np.int64)


def codes(frame: pd.DataFrame, name: str, names: Sequence[str]) -> IntArray:
    """The place (n,) of each row's word in ``names``, -1 for another or none."""
    words = frame[name].astype("category")
    places = np.array([*(names.index(word) if word in names else -1 for word in words.cat.categories), -1])
    return places[words.cat.codes.to_numpy().astype(np.int64)].astype(np.int64)


def first_key(frame: pd.DataFrame, rows: Flags, keys: Sequence[str]) -> tuple[str, pd.Series]:
    """The first of ``rows`` in the order of ``keys``: in words, and as it is."""
    words = {name: str for name in keys if name in WORDS}
    first = frame.loc[rows].astype(words).sort_values(list(keys)).iloc[0]
    return ", ".join(f"{key} {first[key]!r}" if key in WORDS else f"{key} {first[key]}" for key in keys), first


def raise_first(
    frame: pd.DataFrame, wrong: Flags, what: str, keys: Sequence[str], columns: Sequence[str], *, named: bool = True
) -> None:
    """Raise :class:`IntegrityError` if any of ``wrong`` (n, k) is true, with the number of such rows and the first.

    Its values in ``columns`` are shown, with these names or without.
    """
    bad: Flags = np.any(wrong, axis=1)
    if bad.any():
        words, first = first_key(frame, bad, keys)
        shown = ", ".join(f"{name}={first[name]}" if named else str(first[name]) for name in columns)
        raise IntegrityError(f"{int(bad.sum())} prediction(s) with {what}; first: {words} ({shown})", HINT)


def check_once(
    frame: pd.DataFrame,
    keys: Sequence[str],
    stages: Sequence[int],
    stage: IntArray,
    group: IntArray,
    place: IntArray,
    sizes: IntArray,
    named: Callable[[int], str],
) -> IntArray:
    """Every (stage, group, place) exactly once, ``place`` in ``range(sizes[group])``; -1 is no group.

    Returns where each row belongs (n,), counted over ``stages`` in order and, within one, over all places of all
    groups. Raises :class:`IntegrityError` with the counts of missing, duplicate and unknown rows and the first, which
    ``named(group)`` and ``keys`` put into words.
    """
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    total = int(starts[-1])
    order = np.searchsorted(stages, stage) if len(stages) else np.zeros(len(stage), dtype=np.int64)
    known = np.isin(stage, stages) & (group >= 0) & (place >= 0) & (place < sizes[group])
    row: IntArray = order * total + starts[group] + place
    counts = np.bincount(row[known], minlength=len(stages) * total)
    problems: list[str] = []
    bad = np.flatnonzero(counts != 1)
    if bad.size:
        at, rest = divmod(int(bad[0]), total)
        i = int(np.searchsorted(starts, rest, side="right")) - 1
        what = "missing" if counts[bad[0]] == 0 else f"there {int(counts[bad[0]])} times"
        problems.append(f"stage {stages[at]}, {named(i)}, {keys[-1]} {rest - int(starts[i])} is {what}")
    if not known.all():
        problems.append(f"{first_key(frame, ~known, keys)[0]} is unknown")
    if problems:
        asked = f"{', '.join(keys[:-1])} and {keys[-1]}"
        raise IntegrityError(
            f"predictions are not one per {asked}: {int((counts == 0).sum())} missing, "
            f"{int(np.maximum(counts - 1, 0).sum())} duplicate, {int((~known).sum())} unknown; "
            f"first: {'; '.join(problems)}",
            HINT,
        )
    return row


def scored(matrix: FloatArray, zero_shot: FloatArray) -> dict[str, Any]:
    """R (T, T), row 0 (T,) and their metrics, JSON-ready."""
    # Percent by construction: a very poor method may stay below 1 % everywhere.
    metrics = continual_metrics(matrix, zero_shot, tiny=True).to_dict()
    return {"matrix": matrix.tolist(), "zero_shot": zero_shot.tolist(), "metrics": metrics}
