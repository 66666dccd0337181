"""A short share of the attack on records; the long one is a command (see ``tests/support/mutated_records.py``)."""

import pytest
from support.mutated_records import attack

SHARE = 60


@pytest.mark.slow
def test_no_changed_record_ends_in_an_exception_or_with_other_scores(tmp_path, capsys):
    counts = attack(SHARE, tmp_path).counts
    with capsys.disabled():
        print(f"\n{counts['records']} changed records: ", end="")
        print(", ".join(f"{number} {what}" for what, number in sorted(counts.items()) if ": " in what))
    assert counts["records"] == SHARE
    assert counts["board: left out"] + counts["board: shown"] == SHARE
