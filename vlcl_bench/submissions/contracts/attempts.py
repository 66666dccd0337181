"""Does a method keep to what it is given, or does its code reach for files, processes or the network?"""

from __future__ import annotations

from vlcl_bench.submissions.contracts.contract import contract
from vlcl_bench.submissions.contracts.trial import Trial
from vlcl_bench.submissions.finding import Finding

MOST_SHOWN = 3


@contract(
    "peeking", "files, processes and network", "contract-peeking",
    follows=["import", "learning", "repeat", "seed", "resume", "state", "deterministic", "groups", "captions"],
)  # fmt: skip
def peeking(trial: Trial) -> list[Finding]:
    """While its code is imported, learns, scores, saves and loads, it tries nothing that a run would refuse: no file
    but its own and those of libraries, no process, no socket.
    """
    seen = trial.attempts
    if not seen:
        return []
    more = f" and {len(seen) - MOST_SHOWN} more" if len(seen) > MOST_SHOWN else ""
    message = f"its code reaches out of what it is given: it {'; it '.join(seen[:MOST_SHOWN])}{more}"
    hint = (
        "Use the task, the context and the query only; keep what a later task needs in buffers, not in files. "
        "Files beside the method may be read."
    )
    return [Finding("contract-peeking", trial.where, message, hint)]
