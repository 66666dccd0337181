"""What the board's files for programs have in common: which entry a row is, and how numbers are rounded."""

from __future__ import annotations

from typing import Any

import numpy as np

from vlcl_bench.board.rows import BoardRow

DECIMALS = 4


def identity(row: BoardRow) -> dict[str, Any]:
    """Which entry a row is, and where it stands."""
    low, high = row.rank_range or (None, None)
    return {
        "protocol": row.protocol,
        "track": row.track,
        "rank": row.rank,
        "rank_low": low,
        "rank_high": high,
        "unranked": row.why_unranked or None,
        "method": row.method,
        "method_title": row.method_title,
        "label": row.label,
        "entry_id": row.entry_id,
        "backbone": row.backbone,
        "status": row.status,
        "earlier_source": row.earlier_source,
        "deterministic": row.deterministic,
        "seeds": row.seeds,
    }


def rounded(value: float | None) -> float | None:
    """To four decimals, never -0."""
    return None if value is None else float(np.around(value, DECIMALS)) + 0.0


def number(value: float | None) -> int | float | None:
    """As :func:`rounded`, whole numbers as such."""
    short = rounded(value)
    return int(short) if short is not None and short.is_integer() else short
