"""The store of synthetic pictures: a file each, named by what decides its pixels (but for rounding by machine).

A picture's key is the SHA-256 of the generator's identity, the prompt and the seed, so nothing is made twice, a set
that was interrupted is continued, and several processes can fill one set. A file also holds its recipe, as text.
Blank pictures, which a safety checker leaves behind, are made again from other seeds.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from vlcl_bench.common.fileio import canonical_json, sha256_text, write_atomic
from vlcl_bench.data.originals import decode
from vlcl_bench.errors import IntegrityError, MethodError
from vlcl_bench.synthesis.generator import Generator
from vlcl_bench.synthesis.prompts import Ordered

FOLDER = "synthetic"
REFILL = 1_000_000_000
"""Added to the seed of a picture that came out blank, once for each attempt."""
ATTEMPTS = 5
LOSSLESS_UP_TO = 128
"""Pictures with longer sides are kept as JPEG, as the released code of GIFT keeps them."""
QUALITY = 95
DELETE = "Delete {path} and give the same command again: the picture is made again."


@dataclass(frozen=True)
class Made:
    """What filling a set took: pictures made now, pictures in the store, and blank ones that were replaced."""

    made: int
    found: int
    blank: int


class SyntheticStore:
    """Synthetic pictures of one generator below ``root``."""

    def __init__(self, root: Path, generator: Generator) -> None:
        self.root, self.generator = root / FOLDER, generator

    def path(self, order: Ordered) -> Path:
        """Where a picture lies or will lie."""
        key = sha256_text(canonical_json([self.generator.identity, order.prompt, order.seed]))
        return self.root / key[:2] / f"{key}.img"

    def fill(
        self,
        orders: Sequence[Ordered],
        batch: int,
        progress: Callable[[int, int], None] = lambda done, total: None,
        share: tuple[int, int] = (1, 1),
    ) -> Made:
        """Make what is missing of these pictures, ``batch`` at once; with ``share`` (k, n) only the k-th of n parts.

        Raises :class:`MethodError` for a prompt whose pictures stay blank.
        """
        wanted = list(dict.fromkeys(orders))[share[0] - 1 :: share[1]]
        missing = [order for order in wanted if not self.path(order).exists()]
        present, blank = len(wanted) - len(missing), 0
        for start in range(0, len(missing), batch):
            progress(present + start, len(wanted))
            part = missing[start : start + batch]
            for attempt in range(1 + ATTEMPTS):
                part = self._attempt(part, attempt)
                blank += len(part)
                if not part:
                    break
            else:
                raise MethodError(
                    f"the generator gave {1 + ATTEMPTS} blank pictures for the prompt {part[0].prompt!r}",
                    "Its safety checker seems to refuse the prompt, or its weights are damaged.",
                )
        progress(len(wanted), len(wanted))
        return Made(len(missing), present, blank)

    def _attempt(self, orders: Sequence[Ordered], attempt: int) -> list[Ordered]:
        """Make pictures and keep them; returns those that came out blank."""
        moved = [Ordered(order.prompt, order.seed + attempt * REFILL) for order in orders]
        blank = []
        for order, pixels in zip(orders, self.generator.make(moved), strict=True):
            if pixels.any():
                self._write(order, pixels, attempt)
            else:
                blank.append(order)
        return blank

    def _write(self, order: Ordered, pixels: np.ndarray, attempt: int) -> None:
        recipe = {"generator": self.generator.identity, "prompt": order.prompt, "seed": order.seed, "attempt": attempt}
        image, buffer = Image.fromarray(pixels), io.BytesIO()
        if max(pixels.shape[:2]) <= LOSSLESS_UP_TO:
            about = PngImagePlugin.PngInfo()
            about.add_text("recipe", json.dumps(recipe))
            image.save(buffer, "PNG", pnginfo=about)
        else:
            image.save(buffer, "JPEG", quality=QUALITY, comment=json.dumps(recipe).encode())
        write_atomic(self.path(order), buffer.getvalue())

    def read(self, order: Ordered) -> np.ndarray:
        """A picture ``(h, w, 3)`` uint8; raises :class:`IntegrityError` where it is missing or damaged."""
        path = self.path(order)
        hint = DELETE.format(path=path)
        try:
            return decode(path.read_bytes(), str(path))
        except OSError as error:
            raise IntegrityError(f"the synthetic picture {path} cannot be read: {error.strerror}", hint) from error
        except IntegrityError as error:
            raise IntegrityError(error.message, hint) from error

    def restored(self, order: Ordered) -> np.ndarray:
        """As :meth:`read`, but a damaged picture is made again from its recipe.

        Where it was made on another machine, or by other versions of the libraries, its pixels may differ slightly.
        """
        try:
            return self.read(order)
        except IntegrityError:
            self.path(order).unlink(missing_ok=True)
            self.fill([order], 1)
            return self.read(order)

    def recipe(self, order: Ordered) -> dict[str, Any]:
        """What a picture's file says of its making: ``generator``, ``prompt``, ``seed``, ``attempt``.

        Raises :class:`IntegrityError` where it says nothing.
        """
        path = self.path(order)
        try:
            with Image.open(path) as image:
                return dict(json.loads(image.info.get("recipe") or image.info["comment"]))
        except (KeyError, TypeError, ValueError, OSError) as error:
            hint = DELETE.format(path=path)
            raise IntegrityError(f"the synthetic picture {path} does not say how it was made", hint) from error
