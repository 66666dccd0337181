"""Reference data: pictures and texts beside the tasks, which a method declares that it uses.

A method with ``auxiliary = ("pictures",)``, ``("texts",)`` or both is lent them through its context, metered. They are
ImageNet's training pictures and the validation captions of Conceptual Captions on the full protocols (Zheng et al.,
ZSCL, ICCV 2023), and pictures and captions that the mini CLIP was pretrained on, on the mini ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vlcl_bench.data.pictures import Pictures

KINDS = ("pictures", "texts")
GENERATOR = "generator"
"""What a method declares, beside these, that wants synthetic pictures: see :meth:`Context.synthesise`."""


@dataclass(frozen=True, eq=False)
class Reference:
    """``pictures`` ``(n, s, s, 3)`` uint8 or decoded on demand, ``texts``, and what identifies them in a record."""

    pictures: np.ndarray | Pictures
    texts: tuple[str, ...]
    identity: dict[str, str]
