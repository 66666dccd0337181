"""The process in which a submission's code is tried: ``python -m vlcl_bench.submissions.contracts.examiner FOLDER``.

It writes one JSON object a line to its standard output: ``step``, ``of`` and ``word`` while it goes, ``findings`` at
the end. What the method prints goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any


def main(arguments: Sequence[str]) -> int:
    """Examine the submission that the arguments name."""
    parser = argparse.ArgumentParser(description="Try a submission's method out.")
    parser.add_argument("folder", type=Path, help="folder of the submission")
    parser.add_argument("--store", type=Path, help="folder of decoded pictures, which the method may not read")
    parser.add_argument("--only", action="append", default=[], help="a contract to be examined; may be repeated")
    chosen = parser.parse_args(arguments)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr

    def tell(**facts: Any) -> None:
        answers.write(json.dumps(facts) + "\n")
        answers.flush()

    from vlcl_bench.engine.provenance import settle_determinism
    from vlcl_bench.submissions.contracts.examination import examine

    settle_determinism()
    with tempfile.TemporaryDirectory(prefix="vlcl-check-") as work:
        findings = examine(
            chosen.folder, Path(work), chosen.store,
            lambda done, total, word: tell(step=done, of=total, word=word), only=chosen.only,
        )  # fmt: skip
    tell(findings=[asdict(finding) for finding in findings])
    return 0


if __name__ == "__main__":
    # Not through sys.exit: threads that the method left running would keep the process alive.
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)
