"""How far the mini streams rank methods as the published tables of the full streams do.

A mini stream is worth its name where it puts methods into the order that the full stream puts them in. That is
measured by Spearman's rank correlation (Spearman, American Journal of Psychology, 1904) over the methods of which
there are both a ranked row of the board and a published row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vlcl_bench.board.published import PublishedRow, derived_values
from vlcl_bench.board.render.tables import table
from vlcl_bench.board.reported import MATRIX_SOURCE
from vlcl_bench.board.rows import BoardRow, preference
from vlcl_bench.scoring.columns import HEADLINES
from vlcl_bench.scoring.metrics import format_metric

TITLE = "Agreement with the published order"
METRICS = tuple(column.id for column in HEADLINES)
FEWEST = 4  # three methods have six orders, one of which is the published one: that would say nothing

STREAMS = {"mini-mtil-1": "mtil-1", "mini-mtil-2": "mtil-2"}
SETTING = "ViT-B/16"

# (method, label on the board) to its names in the published tables; where several have values, the first counts.
# Zero-shot is left out: its place depends on how much the backbone knows, not on how a method learns.
PUBLISHED_NAMES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("finetune", ""): ("Continual Finetune", "Continual-FT"),
    ("l2", ""): ("l2 baseline",),
    ("lwf", ""): ("LwF",),
    ("icarl", ""): ("iCaRL",),
    ("lwf_vr", ""): ("LwF-VR",),
    ("wise_ft", ""): ("WiSE-FT",),
    ("zscl", "l2_weight=0.0"): ("ZSCL*",),
    ("zscl", ""): ("ZSCL",),
    ("moe_adapter", ""): ("MoE-Adapters",),
    ("gift", ""): ("GIFT",),
}
# The method that is not what stands under its name in the tables; its file says why.
ANOTHER_ALGORITHM = "icarl"
WITHOUT = "iCaRL"

INTRO = (
    "Spearman's rank correlation (mid-ranks for ties) over the n learning methods with both a ranked row above and "
    "a published row below, between their measured means and their published values on the full stream: 1 is the same "
    "order, 0 no relation, -1 the opposite order; the published iCaRL is another algorithm than the one measured, so "
    "the numbers are also given without it."
)


@dataclass(frozen=True)
class Pair:
    """One method: its row on the board, and its published Transfer, Avg and Last (percent, one decimal)."""

    row: BoardRow
    published_as: str
    published: Mapping[str, float]
    source: str

    def measured(self, metric: str) -> float:
        """The unrounded mean over seeds, in percent."""
        value = self.row.mean(metric)
        return math.nan if value is None else value


@dataclass(frozen=True)
class Agreement:
    """The correlations of one mini stream and backbone.

    ``spearman`` maps Transfer, Avg and Last to a number in [-1, 1] of four decimals, ``None`` where all methods
    have the same value; ``without`` names the method left out, or is empty.
    """

    protocol: str
    stream: str
    backbone: str
    without: str
    pairs: tuple[Pair, ...]
    spearman: Mapping[str, float | None]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, with the values that were ranked (measured ones to four decimals)."""
        return {
            "protocol": self.protocol,
            "published_stream": self.stream,
            "backbone": self.backbone,
            "without": self.without or None,
            "n": len(self.pairs),
            "spearman": dict(self.spearman),
            "methods": [
                {
                    "method": pair.row.method,
                    "label": pair.row.label,
                    "entry_id": pair.row.entry_id,
                    "measured": {name: float(np.around(pair.measured(name), 4)) + 0.0 for name in METRICS},
                    "published_as": pair.published_as,
                    "published": dict(pair.published),
                    "source": pair.source,
                }
                for pair in self.pairs
            ],
        }


def agreements(rows: Iterable[BoardRow], published: Sequence[PublishedRow]) -> list[Agreement]:
    """Every mini stream and backbone with at least :data:`FEWEST` methods in common with its published table.

    Only ranked rows of the standard track count, with the settings that :data:`PUBLISHED_NAMES` names, and only
    published rows of status ``reported``. Where :data:`ANOTHER_ALGORITHM` is among them, a second entry leaves it
    out. The order of ``rows`` does not matter.
    """
    ranked = [row for row in rows if row.rank is not None and row.track == "standard" and row.protocol in STREAMS]
    measured = []
    for protocol, backbone in sorted({(row.protocol, row.backbone) for row in ranked}):
        pairs = _pairs([row for row in ranked if (row.protocol, row.backbone) == (protocol, backbone)], published)
        others = [pair for pair in pairs if pair.row.method != ANOTHER_ALGORITHM]
        choices = {"": pairs} if len(others) == len(pairs) else {"": pairs, ANOTHER_ALGORITHM: others}
        for without, chosen in choices.items():
            if len(chosen) >= FEWEST:
                rho = _correlations(chosen)
                measured.append(Agreement(protocol, STREAMS[protocol], backbone, without, tuple(chosen), rho))
    return measured


def spearman(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Correlation of the mid-ranks of two (n,) sequences, to four decimals; ``None`` where one is constant."""
    value = float(pd.DataFrame({"one": one, "other": other}).rank().corr().to_numpy()[0, 1])
    return None if math.isnan(value) else float(np.around(value, 4)) + 0.0


def agreement_markdown(found: Sequence[Agreement]) -> str:
    """The section of the board's page; empty where there is nothing to say."""
    if not found:
        return ""
    body = [
        [
            f"{one.protocol} against {one.stream}" + (f", without {WITHOUT}" if one.without else ""),
            one.backbone,
            str(len(one.pairs)),
            *("–" if one.spearman[name] is None else f"{one.spearman[name]:.2f}" for name in METRICS),
            ", ".join(pair.published_as for pair in one.pairs),
        ]
        for one in found
    ]
    return f"## {TITLE}\n\n{INTRO}\n\n" + table(
        ["Streams", "Backbone", "n", *(column.label for column in HEADLINES), "Methods"],
        body,
        right=range(2, 3 + len(HEADLINES)),
    )


def _pairs(rows: Sequence[BoardRow], published: Sequence[PublishedRow]) -> list[Pair]:
    """The methods of one protocol and backbone that were published, in the order of the table of names."""
    pairs = []
    for (method, label), names in PUBLISHED_NAMES.items():
        same = [row for row in rows if (row.method, row.label) == (method, label)]
        able = [row for row in same if all(row.mean(name) is not None for name in METRICS)]
        if not able:
            continue
        row = min(able, key=preference)
        for name in names:
            if known := _published(STREAMS[row.protocol], name, published):
                pairs.append(Pair(row, name, *known))
                break
    return pairs


def _published(stream: str, name: str, published: Sequence[PublishedRow]) -> tuple[dict[str, float], str] | None:
    """Values and source: as printed, or from the released matrix, which is rounded as the tables are."""
    for row in published:
        known = (row.stream, row.setting, row.method, row.status) == (stream, SETTING, name, "reported")
        if known and set(METRICS) <= set(row.printed):
            return {metric: float(row.printed[metric]) for metric in METRICS}, row.source
    derived = derived_values(stream).get(name)
    if derived is None:
        return None
    return {metric: float(format_metric(derived[metric])) for metric in METRICS}, MATRIX_SOURCE


def _correlations(pairs: Sequence[Pair]) -> dict[str, float | None]:
    return {
        name: spearman([pair.measured(name) for pair in pairs], [pair.published[name] for pair in pairs])
        for name in METRICS
    }
