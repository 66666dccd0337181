"""Numbers of a record that cannot all be true: a whole below its parts, more of a part than there is of the whole.

What a run measured of itself nobody can measure again without running it. But what was made up seldom fits together.
"""

from __future__ import annotations

from collections.abc import Iterator

from vlcl_bench.protocols.stream import Protocol
from vlcl_bench.records.schema import Record
from vlcl_bench.submissions.finding import Finding
from vlcl_bench.submissions.submitted_run import EDITED
from vlcl_bench.submissions.text import shown

CANARIES = ("", "known", "required", "first-use")
ISOLATIONS = ("", "inline", "process", "container")
"""Empty: of a version that did not say. Of a run that was continued in another way, several with a plus between."""
FENCES = ("audit", "landlock", "landlock-late", "seccomp", "container")
"""Late: the fence of files, laid when there were other threads already."""
CLOCKS = 1.0
"""Seconds by which a total may lie below its parts, which are rounded and timed one by one."""


def consistency_findings(record: Record, at: str, protocol: Protocol | None) -> Iterator[Finding]:
    """A finding for each contradiction among what the record says of its own cost, weight, samples and stages."""
    contradictions = [*_of_cost(record), *_of_weight(record), *_of_samples(record), *_of_words(record)]
    if protocol is not None:
        contradictions += [*_of_stages(record, len(protocol.tasks)), *_of_protocol(record, protocol)]
    for message in contradictions:
        yield Finding("contradiction", at, message, EDITED)


def _of_cost(record: Record) -> Iterator[str]:
    cost = record.cost
    parts = sum(cost.seconds_learn) + sum(cost.seconds_synthesise) + sum(cost.seconds_evaluate)
    parts += cost.seconds_other + (cost.seconds_prepare or 0.0)  # a total without the time of preparing names none
    # The clock of a run that was continued starts anew; what was done before a kill may be timed twice.
    if not cost.resumed and cost.seconds_total + CLOCKS < parts:
        yield f"it took {cost.seconds_total:,.1f} seconds in all, and {parts:,.1f} in parts"
    if not cost.peak_memory_bytes:
        yield "it says that it needed no memory"


def _of_weight(record: Record) -> Iterator[str]:
    weight = record.footprint
    for kind in ("trained", "added"):
        count = getattr(weight, f"parameters_{kind}")
        if count > weight.parameters_total:
            yield f"it has {weight.parameters_total:,} parameters, and {count:,} of them were {kind}"
    largest = max(weight.bytes_by_stage, default=0)
    if weight.bytes_between_tasks != largest:
        yield f"it kept {weight.bytes_between_tasks:,} bytes between tasks, and by stage {largest:,} at most"


def _of_samples(record: Record) -> Iterator[str]:
    usage = record.usage
    for kind, count in (("made", usage.made_pictures), ("blank", usage.blank_pictures)):
        if count is not None and count > usage.generated_pictures:
            yield f"it asked for {usage.generated_pictures:,} synthetic pictures, and {count:,} of them were {kind}"
    if (usage.own_steps is None) != (usage.own_samples is None):
        yield "of the training of the method's own it states the steps or the samples alone; both are always counted"


def _of_words(record: Record) -> Iterator[str]:
    if record.canary not in CANARIES:
        yield f"its canary is {shown(record.canary)}, which is none of {', '.join(map(repr, CANARIES[1:]))}"
    yield from _of_isolation(record.provenance.isolation, record.provenance.fences)
    if record.provenance.threads < 1:
        yield f"it computed with {record.provenance.threads} threads"
    if not record.title.strip():
        yield "it has no title"


def _of_isolation(isolation: str, fences: list[str]) -> Iterator[str]:
    """Where the method lived, and the fences that held it there at every stage."""
    kinds = isolation.split("+")
    if not set(kinds) <= set(ISOLATIONS) or kinds != sorted(set(kinds)) or (len(kinds) > 1 and "" in kinds):
        yield f"its isolation is {shown(isolation)}, which is none of {', '.join(map(repr, ISOLATIONS[1:]))}"
        return
    unknown = sorted(set(fences) - set(FENCES))
    if unknown or fences != sorted(set(fences)):
        yield f"its fences are {shown(', '.join(fences))}; they are some of {', '.join(FENCES)}, in alphabetic order"
    elif fences and {"", "inline"} & set(kinds):
        yield f"it names fences ({', '.join(fences)}), and its isolation is {shown(isolation)}, which has none"
    elif {"landlock", "landlock-late"} <= set(fences):
        yield "its fence of files was laid early and late at every stage"
    elif fences and ("container" in fences) != (kinds == ["container"]):
        yield f"its isolation is {shown(isolation)}, and its fences are {', '.join(fences)}"


def _of_stages(record: Record, tasks: int) -> Iterator[str]:
    """The stages are those of the protocol: 0, before any task, and one after each."""
    cost, stages = record.cost, tasks + 1
    counts = {
        "seconds of learning": (len(cost.seconds_learn), tasks),
        "seconds of evaluating": (len(cost.seconds_evaluate), stages),
        "seconds of synthesis": (len(cost.seconds_synthesise) or tasks, tasks),
        "bytes that were kept": (len(record.footprint.bytes_by_stage), stages),
    }
    for what, (found, wanted) in counts.items():
        if found != wanted:
            yield f"it states the {what} of {found} stages; there are {wanted}"
    for line in record.log:
        stage = line.get("stage", 0)
        if type(stage) is not int or not 0 <= stage <= tasks:
            yield f"its log speaks of stage {shown(str(stage), 20)}; there are 0 to {tasks}"
            return


def _of_protocol(record: Record, protocol: Protocol) -> Iterator[str]:
    """Which data the run saw, and whether the stream is one that is ranked."""
    known = set(protocol.dataset_names)
    if record.data and set(record.data) != known:
        other = sorted(set(record.data) ^ known)
        yield f"the data it names are not those of {protocol.name}: {shown(', '.join(other))}"
    if record.ranked_protocol != protocol.ranked:
        said = "is" if record.ranked_protocol else "is not"
        yield f"it says that {protocol.name} {said} a stream whose runs are ranked"
