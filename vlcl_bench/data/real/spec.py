"""What the protocol knows of a real data set beforehand: names, prompts, counts, split rule, where copies are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from vlcl_bench.common.faults import Count, Fault, Faults, Flag, Positive, wrong
from vlcl_bench.data.originals import Original
from vlcl_bench.data.real.names import OneLine, Title


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HubFilter(_Frozen):
    """Where a hub joins the official splits in one and tells them in a column: which values stand for which."""

    column: str
    train: tuple[str, ...]
    test: tuple[str, ...]


class HubSpec(_Frozen):
    """A data set on the hub: ``<owner>/<name>``, and what its columns and splits are called.

    ``splits`` gives, for ``train`` and ``test``, the hub's splits to be joined; with a pooled split rule all of
    them go under ``train``. ``sample`` is the column with the file name, where there is one; ``sample_prefix`` is
    put before it, so that it becomes the path inside the official archive. ``captions`` is the column with a
    picture's captions, a list of strings (of texts-only sets: a string). ``revision`` is a commit hash, committed
    only where it was really obtained; else it is resolved on first use and kept in the manifest. ``names`` says
    that the label column's own class names can be compared with the protocol's; ``aliases`` gives the protocol's
    spelling of a class that the hub spells otherwise (a typing error there).
    """

    repo: str
    splits: dict[Literal["train", "test"], tuple[str, ...]]
    image: str = "image"
    label: str = "label"
    sample: str | None = None
    sample_prefix: str = ""
    captions: str | None = None
    config: str | None = None
    revision: str | None = None
    names: bool = True
    aliases: dict[str, str] = {}
    filter: HubFilter | None = None
    notes: str = ""


class Trap(_Frozen):
    """A number that a wrong copy or a wrong reading is known by, and what it means, for an error's explanation.

    ``count`` is the number of pictures found in ``train``, ``test`` or the ``pool``, the number of ``classes``, or a
    ``label`` outside the range.
    """

    what: Literal["train", "test", "pool", "classes", "label"]
    count: int
    why: str


class RealSpec(_Frozen):
    """A real data set as a protocol wants it.

    ``layout`` names a reader of :mod:`vlcl_bench.data.real.layouts`; ``folders`` are the places below the data root
    where the official archive may lie unpacked, the first being the one that messages recommend. ``source_names``
    are the classes as the copy itself spells them, in label order (folder names, a meta file's entries), where
    they differ from ``class_names``. ``split`` is ``official``, or ``pool-42``: all pictures in their fixed base
    order (by label, then sample id), of which the first floor(0.8 n) entries of torch's CPU permutation with seed 42
    are for training; or ``per-class-42``: the same in every class for itself, seeded again. ``sample_pattern`` is a
    regular expression of the sample ids, given where a split rests on them. ``train``, ``test`` and (before such a
    rule) ``pool`` are expected counts and ``train_per_class`` etc. those of each class; ``None`` where nobody stated
    them; ``test`` is 0 where there are training pictures only. ``traps`` explain wrong counts.
    ``min_side`` and ``max_side`` bound a picture's shorter and longer side in pixels, where the data set's paper or
    page is sure of them; where both are equal, all pictures are squares of that size. ``small`` sets are kept decoded
    as a whole. Captioned sets have no classes: ``gallery`` test pictures (all, if ``None``) are sampled once with
    seed 42. ``texts`` marks a set of captions
    without pictures, of which ``train`` counts the texts. ``options`` are the reader's.
    """

    name: str
    title: Title
    layout: str
    folders: tuple[OneLine, ...] = Field(min_length=1)
    class_names: tuple[OneLine, ...] = ()
    source_names: tuple[str, ...] | None = None
    templates: tuple[OneLine, ...] = ()
    split: Literal["official", "pool-42", "per-class-42"] = "official"
    sample_pattern: str | None = None
    train: Count | None = None
    test: Count | None = None
    pool: Count | None = None
    train_per_class: tuple[Count, ...] | None = None
    test_per_class: tuple[Count, ...] | None = None
    pool_per_class: tuple[Count, ...] | None = None
    traps: tuple[Trap, ...] = ()
    min_side: Positive | None = None
    max_side: Positive | None = None
    small: Flag = False
    captioned: Flag = False
    gallery: Positive | None = None
    texts: Flag = False
    options: dict[str, str] = {}
    hub: HubSpec | None = None
    description: str = ""
    licence: str
    source: str
    citation: str = ""
    notes: tuple[str, ...] = ()

    _own: bool = PrivateAttr(default=False)

    def as_own(self) -> Self:
        """The same, described by a protocol's own file: no message then speaks of an official archive."""
        own = self.model_copy()
        own._own = True
        return own

    @property
    def is_own(self) -> bool:
        """Whether a protocol's own file describes the data set, and not the catalogue."""
        return self._own

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        Faults.raised([*_source_name_faults(self), *_count_faults(self)])
        return self

    @property
    def names_in_source(self) -> tuple[str, ...]:
        """The classes as the official copy spells them."""
        return self.class_names if self.source_names is None else self.source_names


def _source_name_faults(spec: RealSpec) -> list[Fault]:
    names = spec.source_names
    if names is None:
        return []
    faults = []
    if len(names) != len(spec.class_names):
        wanted = f"as many as class_names has ({len(spec.class_names)}): the folder of each class, in that order"
        faults.append(Fault(("source_names",), f"found {len(names)}, expected {wanted}"))
    if "" in names:
        faults.append(wrong("source_names", "", "the name of a folder"))
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        faults.append(wrong("source_names", twice, "every folder once"))
    return faults


def _count_faults(spec: RealSpec) -> list[Fault]:
    """Numbers that contradict each other, or a pattern that is none."""
    faults = []
    for split in ("train", "test", "pool"):
        each: tuple[int, ...] | None = getattr(spec, f"{split}_per_class")
        total: int | None = getattr(spec, split)
        if each is not None and len(each) != len(spec.class_names):
            said = f"found {len(each)} numbers, expected one for each of the {len(spec.class_names)} classes"
            faults.append(Fault((f"{split}_per_class",), said))
        elif each is not None and total is not None and sum(each) != total:
            faults.append(wrong(split, total, f"the sum of {split}_per_class ({sum(each)})"))
    if spec.min_side is not None and spec.max_side is not None and spec.min_side > spec.max_side:
        faults.append(wrong("min_side", spec.min_side, f"no more than max_side ({spec.max_side})"))
    try:
        re.compile(spec.sample_pattern or "")
    except re.error as error:
        faults.append(wrong("sample_pattern", spec.sample_pattern, f"a regular expression ({error})"))
    return faults


@dataclass(frozen=True)
class Entry:
    """A picture that a reader found.

    ``sample`` does not depend on the machine: the path inside the official archive with forward slashes, or
    ``<split>/<index>`` for packed arrays. ``split`` is ``train``, ``test``, or ``pool`` under the rules
    ``pool-42`` and ``per-class-42``. ``label`` indexes the class names (-1 in captioned sets).
    """

    sample: str
    split: Literal["train", "test", "pool"]
    label: int
    original: Original
    captions: tuple[str, ...] = ()
