"""Markdown tables whose cells cannot break them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from vlcl_bench.common.plain import plain

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~])")


def cell(text: str) -> str:
    """``text`` on one line with Markdown's and HTML's marks made harmless (titles come from submissions)."""
    return _SPECIAL.sub(r"\\\1", plain(" ".join(text.split()))).replace("&", "&amp;")


def table(head: Sequence[str], body: Iterable[Sequence[str]], *, right: Iterable[int] = ()) -> str:
    """A table of plain-text cells; ``right`` lists the columns aligned to the right."""
    aligned = set(right)
    rule = ["---:" if i in aligned else "---" for i in range(len(head))]
    lines = [[cell(x) for x in head], rule, *([cell(x) for x in row] for row in body)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
