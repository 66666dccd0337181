"""What a protocol's file may say beyond the form of single keys: its parts must fit each other and what there is.

Everything that comes from a protocol is checked here, when it is read. Whatever can still go wrong in a run is then
not the file's fault.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any

from vlcl_bench.common.faults import Fault, shown, wrong
from vlcl_bench.data.manifest import FOLDER as MANIFESTS
from vlcl_bench.data.real.catalogue import FOLDER as CATALOGUE
from vlcl_bench.data.real.names import looking_equal
from vlcl_bench.data.real.spec import RealSpec
from vlcl_bench.data.world import world_names
from vlcl_bench.errors import nearest

if TYPE_CHECKING:
    from vlcl_bench.protocols.budget import Budget
    from vlcl_bench.protocols.schema import CaptionBank, ClassGroups

OWN_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
ALLOWED = (
    "a name has small letters, digits, dots, hyphens and underscores only, begins with a letter or digit, and "
    "has 64 at most"
)
OPTIONS = {
    "class_folders": ("ignore", "inside", "split_list"),
    "coco_karpathy": ("category", "rule"),
    "dtd": ("partition",),
}
"""What the readers of layouts can be told; the others take no options."""
Parts = Mapping[str, Any]
"""What is known of a file: the values of its keys, as far as they have the right form."""


def stream_faults(parts: Parts) -> list[Fault]:
    """What does not fit together in a protocol; a check is left out where a part that it needs is missing."""
    known = {"data": (), **parts}  # groups and banks may also name data sets that are described elsewhere
    faults = [] if "data" not in parts else _own_data(parts["data"])
    for needs, check in (
        (("dataset_names",), _once),
        (("task_names",), _distinct),
        (("scale",), _scale),
        (("budget",), _budget),
        (("dataset_names", "data"), _learnable),
        (("dataset_names", "task_names", "budget"), _rates),
        (("dataset_names", "class_groups", "data"), _groups),
        (("aliases",), _aliases),
        (("dataset_names", "bank", "data"), _bank),
    ):
        if all(key in known for key in needs):
            faults += check(*(known[key] for key in needs))
    return faults


def _once(names: tuple[str, ...]) -> Iterator[Fault]:
    for name, count in Counter(names).items():
        if count > 1:
            yield Fault(("tasks",), f"{name!r} is there {count} times; a data set can be in a stream once only")


def _distinct(tasks: tuple[str, ...]) -> Iterator[Fault]:
    for name, count in Counter(tasks).items():
        if count > 1 and re.search(r"-\d\d+$", name):  # the others are the same data set twice
            yield Fault(("tasks",), f"{count} tasks are called {name!r}: a data set, and a group of another's classes")


def _scale(scale: str) -> Iterator[Fault]:
    if scale not in world_names():
        yield wrong("scale", scale, f"{' or '.join(map(repr, world_names()))}. {nearest(scale, world_names())}")


def _budget(budget: Budget) -> Iterator[Fault]:
    if budget.warmup > budget.steps:
        wanted = f"no more steps than there are ({budget.steps})"
        yield wrong(("budget", "warmup"), budget.warmup, wanted)


def _own_data(data: tuple[RealSpec, ...]) -> list[Fault]:
    faults = []
    for name, count in Counter(spec.name for spec in data).items():
        if count > 1:
            faults.append(Fault(("data",), f"{count} data sets are called {name!r}; each needs a name of its own"))
    for place, spec in enumerate(data):
        faults += [fault.under(("data", place)) for fault in own_faults(spec, set(RealSpec.model_fields))]
    return faults


def own_faults(spec: RealSpec, known: Set[str]) -> list[Fault]:
    """What would make a data set of a protocol's own pass for another, or of no use.

    ``known`` are the attributes that have the right form; a check that needs another is left out.
    """
    faults: list[Fault] = []
    for needs, check in (
        ({"name"}, _own_name),
        ({"layout", "captioned", "texts", "options"}, _layout),
        ({"class_names", "templates", "captioned", "texts"}, _classes),
        ({"templates"}, _templates),
        ({"class_names"}, _looks),
        ({"class_names", "source_names", "layout"}, _folders),
    ):
        if needs <= known:
            faults += check(spec)
    return faults


def _own_name(spec: RealSpec) -> Iterator[Fault]:
    if not OWN_NAME.fullmatch(spec.name):
        yield Fault(("name",), f"found {shown(spec.name)}; {ALLOWED}")
    elif spec.name in {path.stem for folder in (CATALOGUE, MANIFESTS) for path in folder.iterdir()}:
        yield Fault((), "there is a data set of this name already; choose another")


def _classes(spec: RealSpec) -> Iterator[Fault]:
    if spec.captioned and spec.class_names:
        yield Fault(("class_names",), "a set with captions has no classes; leave it out, or captioned")
    if not spec.captioned and not spec.texts and not (spec.class_names and spec.templates):
        yield Fault((), "class_names and templates are needed where there are no captions")


def _templates(spec: RealSpec) -> Iterator[Fault]:
    for template in spec.templates:
        if "{c}" not in template:
            yield Fault(("templates",), f"the template {template!r} has no place {{c}} for the class name")


def _looks(spec: RealSpec) -> Iterator[Fault]:
    for group in looking_equal(spec.class_names):
        names = " and ".join(repr(spec.class_names[place]) for place in group)
        items = " and ".join(str(place + 1) for place in group)
        said = f"the items {items} are one name ({names}): no prompt can tell such classes apart"
        yield Fault(("class_names",), f"{said}; expected a name of its own for each")


def _layout(spec: RealSpec) -> Iterator[Fault]:
    from vlcl_bench.data.real.captions import CAPTION_LAYOUTS
    from vlcl_bench.data.real.layouts import LAYOUTS

    if spec.texts:
        return
    known = {**LAYOUTS, **CAPTION_LAYOUTS}
    if spec.layout not in known:
        yield wrong("layout", spec.layout, f"a layout that can be read. {nearest(spec.layout, known)}")
        return
    if spec.captioned != (spec.layout in CAPTION_LAYOUTS):
        kind = "captions" if spec.layout in CAPTION_LAYOUTS else "classes"
        yield wrong("captioned", spec.captioned, f"{str(not spec.captioned).lower()}: {spec.layout!r} has {kind}")
    taken = OPTIONS.get(spec.layout, ())
    for key in sorted(set(spec.options) - set(taken)):
        yield Fault(
            ("options", key), f"unknown key; known for the layout {spec.layout!r}: {', '.join(taken) or 'none'}"
        )


def _folders(spec: RealSpec) -> Iterator[Fault]:
    """Where a class is a folder, its name must be able to be one."""
    mapped = spec.source_names is not None
    for name in spec.names_in_source if spec.layout in ("folder", "class_folders") else ():
        if "/" in name or name in (".", ".."):
            extra = "" if mapped else "; source_names says which folder is which class"
            yield Fault(
                ("source_names" if mapped else "class_names",), f"found {name!r}, expected a folder's name{extra}"
            )


def _learnable(names: tuple[str, ...], data: tuple[RealSpec, ...]) -> Iterator[Fault]:
    """Data sets of the stream have something to learn and to test, all of one kind."""
    kinds: dict[bool, str] = {}
    for place, spec in enumerate(data):
        if spec.name not in names:
            continue
        kinds.setdefault(spec.captioned, spec.name)
        if spec.texts:
            yield Fault(("data", place, "texts"), "texts without pictures cannot be a task; take it out of tasks")
        for split in ("train", "test"):
            if getattr(spec, split) == 0:
                yield wrong(("data", place, split), 0, f"some pictures: {spec.name} is a task")
    if len(kinds) > 1:
        said = f"{kinds[True]!r} has captions and {kinds[False]!r} has classes; expected one kind in a stream"
        yield Fault(("tasks",), said)


def _rates(names: tuple[str, ...], tasks: tuple[str, ...], budget: Budget) -> Iterator[Fault]:
    for name in sorted(set(budget.learning_rates) - set(names) - set(tasks)):
        yield Fault(
            ("budget", "learning_rates", name), f"the stream has no such task. {nearest(name, {*names, *tasks})}"
        )


def _groups(names: tuple[str, ...], groups: Mapping[str, ClassGroups], data: tuple[RealSpec, ...]) -> Iterator[Fault]:
    own = {spec.name: spec for spec in data}
    for name, group in groups.items():
        place, count = ("class_groups", name), len(group.order)
        if name not in names:
            yield Fault(place, f"the stream has no data set of this name. {nearest(name, names)}")
        if sorted(group.order) != list(range(count)):
            yield Fault((*place, "order"), f"expected every class id from 0 to {max(count - 1, 0)} once")
        if count % group.size:
            yield wrong((*place, "size"), group.size, f"a number that divides the {count} classes of order")
        if name in own and own[name].captioned:
            yield Fault(place, f"{name} has captions and no classes")
        elif name in own and count != len(own[name].class_names):
            said = f"found {count} classes, expected all {len(own[name].class_names)} of {name}"
            yield Fault((*place, "order"), said)


def _aliases(aliases: tuple[tuple[str, ...], ...]) -> Iterator[Fault]:
    for name, count in Counter(name for group in aliases for name in group).items():
        if count > 1:
            yield Fault(("aliases",), f"{name!r} is there {count} times; a name can be in one group only")


def _bank(names: tuple[str, ...], bank: CaptionBank | None, data: tuple[RealSpec, ...]) -> Iterator[Fault]:
    if bank is None:
        return
    own = {spec.name: spec for spec in data}
    for name, count in Counter(name for group in bank.groups for name in group).items():
        if name not in names:
            yield Fault(("bank", "groups"), f"the stream has no data set {name!r}. {nearest(name, names)}")
        if name in own and not own[name].captioned:
            yield Fault(("bank", "groups"), f"{name} has classes and no captions")
        if count > 1:
            yield Fault(("bank", "groups"), f"{name!r} is there {count} times; expected every data set once")
    if not bank.groups or not all(bank.groups):
        yield Fault(("bank", "groups"), "found an empty list, expected lists of data sets")
    elif bank.size < len(bank.groups):
        wanted = f"a caption for each of the {len(bank.groups)} groups at least"
        yield wrong(("bank", "size"), bank.size, wanted)
