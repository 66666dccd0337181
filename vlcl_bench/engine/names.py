"""Names as the backbone reads them: classes that no prompt can tell apart, because of their spelling or of the cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from vlcl_bench.backbones.base import Backbone
from vlcl_bench.common.progress import Reporter
from vlcl_bench.data.interface import DataSet
from vlcl_bench.errors import UsageError

if TYPE_CHECKING:
    from vlcl_bench.protocols.stream import Protocol

SHOWN, LETTERS = 5, 60
"""Groups of names that a message shows, and letters of a name."""
ENDS = 2
"""Tokens of a text that are no part of its words: the start and the end."""

Group = tuple[str, ...]


def check_names(protocol: Protocol, backbone: Backbone, reporter: Reporter) -> None:
    """Compare the prompts of each data set as tokens, before anything is written.

    Classes that have the same tokens under every template are one class to the backbone: which of them it answers is
    chance. Raises :class:`UsageError` for such classes in a data set of a protocol's own. Those in data sets that
    everybody has, and prompts that are equal under some templates only, are said, with their number and names.
    """
    if protocol.data and not protocol.captioned:
        say_equal_elsewhere(protocol, backbone, reporter)
    for dataset in protocol.datasets:
        if dataset.captioned:
            continue
        always, at_times = equal_prompts(dataset, backbone)
        why = f"texts are cut after {backbone.context_length} tokens, and many tokenizers know no capitals"
        if always and getattr(dataset, "own", False):
            raise UsageError(
                f"{dataset.name}: {_said(always)} to {backbone.name} under every template: which of them a picture is, "
                f"would be chance ({why})",
                f"Change these names in class_names of {dataset.name}, or put {{c}} nearer to the beginning of its "
                "templates.",
            )
        if always:
            reporter.say(f"{dataset.name}: {_said(always)} to {backbone.name} under every template")
        if at_times:
            count = len(dataset.templates)
            reporter.say(
                f"{dataset.name}: {_said(at_times)} to {backbone.name} under some of {count} templates ({why})"
            )


def say_equal_elsewhere(protocol: Protocol, backbone: Backbone, reporter: Reporter) -> None:
    """Say which names of one's own stream are the same to the backbone, but not to the score over all names."""
    apart = {name: protocol.merged_place[name] for name in protocol.distinct_names}
    inside = [set(dataset.class_names) for dataset in protocol.datasets]
    groups = [
        group
        for group in _equal(protocol.distinct_names, "{c}", backbone)
        if len({apart[name] for name in group}) > 1 and not any(names >= set(group) for names in inside)
    ]
    if groups:
        reporter.say(
            f"over all data sets {_said(groups)} to {backbone.name}: where all names compete, aliases = [[…]] makes "
            "them one, else either answer is right by chance"
        )


def equal_prompts(dataset: DataSet, backbone: Backbone) -> tuple[list[Group], list[Group]]:
    """Groups of names whose prompts are the same tokens: under every template, and under some of them only.

    Names are compared under the first template. Under the others only those can be equal that are so there, and those
    whose prompt may be cut; a text has no more tokens than bytes.
    """
    names, (first, *rest) = dataset.class_names, dataset.templates
    found = [_equal(names, first, backbone)]
    suspects = {name for group in found[0] for name in group}
    for template in rest:
        room = backbone.context_length - ENDS
        long = {name for name in names if len(_prompt(template, name).encode()) > room}
        found.append(_equal([name for name in names if name in suspects | long], template, backbone))
    places = [{name: number for number, group in enumerate(groups) for name in group} for groups in found]
    alike: dict[tuple[int, ...], list[str]] = {}
    for name in dict.fromkeys(names):
        if all(name in place for place in places):
            alike.setdefault(tuple(place[name] for place in places), []).append(name)
    always = [tuple(group) for group in alike.values() if len(group) > 1]
    at_times = dict.fromkeys(group for groups in found for group in groups if group not in always)
    return always, list(at_times)


def _equal(names: Iterable[str], template: str, backbone: Backbone) -> list[Group]:
    distinct = list(dict.fromkeys(names))
    if not distinct:
        return []
    by_tokens: dict[tuple[int, ...], list[str]] = {}
    for name, row in zip(distinct, backbone.tokenize([_prompt(template, n) for n in distinct]).tolist(), strict=True):
        by_tokens.setdefault(tuple(row), []).append(name)
    return [tuple(group) for group in by_tokens.values() if len(group) > 1]


def _prompt(template: str, name: str) -> str:
    return template.replace("{c}", name)


def _said(groups: Sequence[Group]) -> str:
    """How many names cannot be told apart, and which."""
    shown = "; ".join(" = ".join(_cut(name) for name in group) for group in groups[:SHOWN])
    more = f" and {len(groups) - SHOWN} more groups" if len(groups) > SHOWN else ""
    return f"{sum(map(len, groups))} class names are the same ({shown}{more})"


def _cut(name: str) -> str:
    return repr(name if len(name) <= LETTERS else name[: LETTERS // 2] + " … " + name[-LETTERS // 2 :])
