"""Output in every encoding that Python knows, on narrow and dumb terminals, and where nobody listens: no traceback."""

from __future__ import annotations

import codecs
import encodings.aliases
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from vlcl_bench.cli import main
from vlcl_bench.cli.options import emit
from vlcl_bench.cli.terminal import say
from vlcl_bench.common.streams import PROBE, settle_streams

RUN = next(Path(__file__).parents[2].glob("submissions/zero_shot/runs/*"))
OURS = "– — ± × · … → ≥ é ü ß 日本 🐦 “quoted” e\u0301 \udce9"
"""Characters of our tables and of people's names, the last one a byte of a path that is no UTF-8."""


def writes_ascii(name: str) -> bool:
    """Whether an encoding is one of texts and can write plain ASCII."""
    try:
        return bool("plain text".encode(name))
    except (UnicodeError, LookupError, TypeError, ValueError):
        return False


ENCODINGS = sorted({name for name in encodings.aliases.aliases.values() if writes_ascii(name)})


def shown(arguments: list[str], encoding: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, bytes, bytes]:
    """``vlcl`` with both outputs in an encoding, and what it wrote."""
    out, err = io.BytesIO(), io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding=encoding, errors="strict"))
        patch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding=encoding, errors="backslashreplace"))
        patch.setattr(sys, "argv", ["vlcl", *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
        written = out.getvalue(), err.getvalue()
    return code, *written


def test_there_are_many_encodings() -> None:
    assert {"ascii", "latin_1", "cp1252", "utf_16", "utf_7", "cp037", "shift_jis", "idna"} <= {*ENCODINGS, "idna"}
    assert len(ENCODINGS) > 80


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_tables_texts_and_json_can_be_written_in_every_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (200, 20):
        out = io.BytesIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding=encoding, errors="strict"))
            settle_streams()
            table = Table("name", "R", title="R: accuracy in % – each task")
            table.add_row(OURS, "71.8 ± 0.3")
            Console(width=width).print(table)
            say(f"wrote {OURS}")
            emit({"name": OURS, "number": 71.8})
            sys.stdout.flush()
            text = out.getvalue().decode(sys.stdout.encoding, "surrogateescape")
        assert "71.8" in text
        written = text[text.index("{") :]
        assert json.loads(written)["number"] == 71.8
        if codecs.lookup(encoding).name not in ("utf-7",):
            assert json.loads(written)["name"] == OURS


COMMANDS = (
    ["show", str(RUN)], ["show", str(RUN), "--json"], ["show", str(RUN), "--drift"], ["score", str(RUN)],
    ["protocols"], ["methods"], ["--help"], ["run", "--help"], ["data", "--help"], ["data", "list"], ["nonsense"],
    ["show", "nothing–here"], ["world", "cards"], ["run", "--protocol", "né", "--method", "l2"],
    ["submit", "check", "né"],
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_every_command_ends_as_it_does_with_utf_8(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = shown(arguments, "utf-8", monkeypatch)
    assert code in (0, 2, 3)
    for encoding in ("ascii", "latin-1", "cp1252", "utf-16"):
        found, other, err = shown(arguments, encoding, monkeypatch)
        assert found == code, encoding
        assert b"Traceback" not in err
        text = other.decode(encoding)  # what is written is in this encoding, whichever library wrote it
        if "--json" in arguments:
            assert json.loads(text) == json.loads(out)


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "idna"},
        {"PYTHONIOENCODING": "utf-16"},
        {"PYTHONIOENCODING": "cp1252:strict"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=str,
)
def test_the_environment_s_encoding_is_met(variables: dict[str, str]) -> None:
    command = [sys.executable, "-c", "from vlcl_bench.cli import main; main()", "show", str(RUN)]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)


def test_the_probe_is_plain() -> None:
    assert PROBE.isascii()
