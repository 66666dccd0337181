"""The process in which a submission's code is tried: ``python -m vlcl_bench.submissions.contracts.examiner FOLDER [STORE]``.

It writes one JSON object a line to its standard output: ``step``, ``of`` and ``word`` while it goes, ``faults`` at the
end. What the method prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any


def main(arguments: list[str]) -> int:
    """Examine the submission that the arguments name."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr

    def tell(**facts: Any) -> None:
        answers.write(json.dumps(facts) + "\n")
        answers.flush()

    from vlcl_bench.engine.provenance import settle_determinism
    from vlcl_bench.submissions.contracts.examination import examine

    settle_determinism()
    store = Path(arguments[1]) if len(arguments) > 1 else None
    with tempfile.TemporaryDirectory(prefix="vlcl-check-") as work:
        faults = examine(
            Path(arguments[0]), Path(work), store, lambda done, total, word: tell(step=done, of=total, word=word)
        )
    tell(faults=[asdict(fault) for fault in faults])
    return 0


if __name__ == "__main__":
    # Not through sys.exit: threads that the method left running would keep the process alive.
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)
