"""Real data sets as a world: the catalogue, ImageNet and Conceptual Captions as reference, Stable Diffusion 1.5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vlcl_bench.data.world import World

if TYPE_CHECKING:
    from vlcl_bench.data.interface import DataSet, Places
    from vlcl_bench.data.originals import Original
    from vlcl_bench.data.reference import ReferencePlan

REFERENCE_PICTURES, REFERENCE_TEXTS = "imagenet", "conceptual_captions"


class RealWorld(World):
    """Photographs in folders or on the hub."""

    source = "real"
    scale = "full"
    generator = "stable-diffusion-v1-5/stable-diffusion-v1-5"

    def open_dataset(self, name: str) -> DataSet:
        """See :meth:`World.open_dataset`."""
        from vlcl_bench.data.real.catalogue import spec_of
        from vlcl_bench.data.real.dataset import RealDataSet

        return RealDataSet(spec_of(name))

    def plan_reference(self, kinds: Sequence[str], places: Places, side: int) -> ReferencePlan:
        """ImageNet's training pictures and Conceptual Captions' validation captions (Zheng et al., ZSCL, ICCV 2023).

        Of 1.28 million pictures the list is fingerprinted (of a hub copy, its commit too) and not every file's content:
        one that cannot be decoded is refused when it is drawn, one that was replaced is not noticed.
        """
        from vlcl_bench.common.fileio import sha256_text
        from vlcl_bench.data.pictures import UncheckedPictures
        from vlcl_bench.data.real.catalogue import spec_of
        from vlcl_bench.data.reference import ReferencePlan
        from vlcl_bench.data.texts import find_texts

        originals: list[Original] = []
        texts: tuple[str, ...] = ()
        named = {}
        if "pictures" in kinds:
            collection = self.open_dataset(REFERENCE_PICTURES).collect(places)
            originals = [entry.original for entry in collection.entries]
            listed = sha256_text("\n".join(entry.sample for entry in collection.entries))
            facts = (REFERENCE_PICTURES, str(len(originals)), listed[:16], collection.revision)
            named["pictures"] = " ".join(fact for fact in facts if fact)
        if "texts" in kinds:
            texts = tuple(dict.fromkeys(find_texts(spec_of(REFERENCE_TEXTS), places)[0]))
            named["texts"] = f"{REFERENCE_TEXTS} {len(texts)} {sha256_text(chr(10).join(texts))[:16]}"
        return ReferencePlan(named, texts, len(originals), lambda store, reporter: UncheckedPictures(originals, side))

    def prompt_names(self) -> Sequence[str]:
        """ImageNet's thousand names."""
        from open_clip import IMAGENET_CLASSNAMES

        return IMAGENET_CLASSNAMES
