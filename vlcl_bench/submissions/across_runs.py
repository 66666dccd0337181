"""What only several runs of a submission tell: seeds that count twice, seeds that are missing, promises about them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from vlcl_bench.board.rows import SEEDS_NEEDED
from vlcl_bench.board.seeds import picked_seeds
from vlcl_bench.common.fileio import canonical_json, sha256_text
from vlcl_bench.scoring.first_answers import agreement
from vlcl_bench.submissions.finding import Finding
from vlcl_bench.submissions.submitted_run import SubmittedRun
from vlcl_bench.submissions.text import shown


DETERMINISTIC = "A method whose seed changes nothing says deterministic = True, and needs one run only."


def across_findings(runs: Sequence[SubmittedRun]) -> Iterator[Finding]:
    """What is wrong among runs that differ in their seeds only; their ``answers`` and ``scores`` must be set."""
    groups: defaultdict[str, list[SubmittedRun]] = defaultdict(list)
    for run in runs:
        facts = {key: value for key, value in run.record.identity.facts().items() if key != "seed"}
        groups[sha256_text(canonical_json(facts))].append(run)
    for group in groups.values():
        yield from _repetitions(group)
        yield from _seed_promises(group)


def _repetitions(group: Sequence[SubmittedRun]) -> Iterator[Finding]:
    """Seeds that stand there twice, and answers that do."""
    deterministic = all(run.record.deterministic for run in group)
    seeds, answers = dict[int, SubmittedRun](), dict[str, SubmittedRun]()
    for place, run in enumerate(group):
        identity = run.record.identity
        if identity.seed in seeds:
            there = seeds[identity.seed].where
            message = f"seed {identity.seed} stands in {there} too, with the same settings on {identity.protocol}"
            yield Finding("repeated-seed", run.where, message, "Delete one of the two; a seed counts once.")
        elif run.answers in answers and not deterministic:
            other = answers[run.answers]
            message = (
                f"seed {identity.seed} has the very same answers as seed {other.record.identity.seed} ({other.where})"
            )
            yield Finding("repeated-answers", run.where, message, DETERMINISTIC)
        elif not deterministic and (same := _same_first(run, group[:place])) is not None:
            message = (
                f"seed {identity.seed} has the same first answers after stage 0 as seed {same.record.identity.seed} "
                f"({same.where})"
            )
            yield Finding("repeated-answers", run.where, message, DETERMINISTIC)
        seeds.setdefault(identity.seed, run)
        answers.setdefault(run.answers, run)


def _same_first(run: SubmittedRun, others: Sequence[SubmittedRun]) -> SubmittedRun | None:
    """One of the others that gives the same first answers at every stage after 0."""
    for other in others:
        if run.first is not None and other.first is not None and agreement(run.first, other.first) == 100.0:
            return other
    return None


def _seed_promises(group: Sequence[SubmittedRun]) -> Iterator[Finding]:
    """Whether there are as many seeds as ranking needs, and whether they change nothing where that is said."""
    deterministic = all(run.record.deterministic for run in group)
    protocol, name = group[0].protocol, group[0].record.identity.protocol
    if deterministic and len({canonical_json(run.scores) for run in group if run.scores}) > 1:
        message = f"the method says that its seed changes nothing; its {len(group)} runs on {name} differ"
        yield Finding("not-deterministic", "runs", message, "Leave deterministic = True out, and run three seeds.")
    seeds, needed = len({run.record.identity.seed for run in group}), 1 if deterministic else SEEDS_NEEDED
    if picked := picked_seeds([run.record.identity.seed for run in group], needed):
        message = f"its seeds on {shown(name)} are {picked}, where 0, 1 and 2 are asked for: the board says so"
        yield Finding("picked-seeds", "runs", message, "Run the seeds 0, 1 and 2; further ones follow them.", "remark")
    if seeds < needed and (protocol is None or protocol.ranked):
        message = f"{seeds} of {needed} seeds on {shown(name)}: the row will not be ranked yet"
        yield Finding("few-seeds", "runs", message, "Run the other seeds with the same settings.", "remark")
