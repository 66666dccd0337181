"""The first answer to every question of a run, in an order that all runs of a protocol share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from vlcl_bench.scoring.answers import codes, integers
from vlcl_bench.scoring.captions import ID_COLUMNS, KINDS
from vlcl_bench.scoring.classes import TOP_COLUMNS

Answers = npt.NDArray[np.int32]


def first_answers(frame: pd.DataFrame, tasks: Sequence[str]) -> Answers:
    """(T + 1, n) ids by stage, of predictions that hold every question exactly once at each of T + 1 stages."""
    captioned = ID_COLUMNS[0] in frame.columns
    keys = [integers(frame, "query" if captioned else "sample"), codes(frame, "task", tasks), integers(frame, "stage")]
    if captioned:
        keys.insert(1, codes(frame, "kind", KINDS))
    first = frame[ID_COLUMNS[0] if captioned else TOP_COLUMNS[0]].to_numpy(dtype=np.int32)
    return first[np.lexsort(keys)].reshape(len(tasks) + 1, -1)


def agreement(one: Answers, other: Answers) -> float:
    """Percent of equal first answers after stage 0, which is the untouched model's; 0 for runs of unequal questions."""
    if one.shape != other.shape or len(one) < 2 or not one.size:
        return 0.0
    return 100.0 * float((one[1:] == other[1:]).mean())
