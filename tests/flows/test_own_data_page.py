"""The page on own data: its example runs as it stands there, and it leaves out no key of a protocol's file."""

from __future__ import annotations

import re
import time
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from support.harness import vlcl
from support.own_data import write_own_data, write_own_protocol

from vlcl_bench.data.real.captions import CAPTION_LAYOUTS
from vlcl_bench.data.real.layouts import LAYOUTS
from vlcl_bench.protocols.schema import ProtocolFile

PAGE = Path(__file__).parents[2] / "docs" / "own-data.md"
INSIDE = ("hub", "traps")
"""Tables that have a line, but not one for each of their keys."""


def block(kind: str) -> str:
    """The only block of a kind on the page."""
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return found


def commands() -> list[list[str]]:
    """The commands of the example, as somebody would type them one after the other."""
    found = re.findall(r"^    vlcl (.*)$", PAGE.read_text(), re.MULTILINE)
    return [line.split() for line in found if "my-pictures" in line]


@pytest.mark.slow
def test_the_example_followed_word_by_word_ends_in_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VLCL_STORE", str(tmp_path / "store"))
    began = time.process_time()
    exec(block("python"), {})
    new, *runs = commands()
    assert [line[0] for line in (new, *runs)] == ["protocols", "run", "run"]
    ended = vlcl(*new)
    assert ended.code == 0, ended.err
    assert Path("my-stream.toml").read_text() == block("toml")
    for number, run in enumerate(runs):
        if "finetune" in run:  # the same, in fewer steps
            text = block("toml").replace("steps = 40", "steps = 2").replace("warmup = 4", "warmup = 1")
            Path("my-stream.toml").write_text(text)
        ended = vlcl(*run, "--json")
        assert ended.code == 0, ended.err
        # Of two cores, as the page says; other work on this machine does not count.
        assert number > 0 or time.process_time() - began < 60
        assert 0 <= ended.json["metrics"]["avg"] <= 100
        assert len(ended.json["tasks"]) == 4


def keys(schema: type[BaseModel], before: str = "") -> set[str]:
    """The keys of a table and of the tables in it, with dots."""
    found = set()
    for name, field in schema.model_fields.items():
        key = f"{before}{field.alias or name}"
        inner = [model for model in models(field.annotation) if name not in INSIDE]
        found |= {key} if not inner or key in ("data", "class_groups", "bank", "budget", "augmentation") else set()
        for model in inner:
            found |= keys(model, f"{key}.")
    return found


def models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in models(part)]


def documented() -> set[str]:
    table = PAGE.read_text().partition("## Every key")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*|\*\*`[^|]*) \|", table, re.MULTILINE)
    return {key for cell in cells for key in re.findall(r"`([\w.]+)`", cell)}


def test_the_table_has_every_key_of_a_protocols_file_and_no_other():
    assert documented() == keys(ProtocolFile)


def test_every_layout_is_named():
    text = PAGE.read_text().partition("## Where pictures lie")[2].partition("\n## ")[0]
    assert {*LAYOUTS, *CAPTION_LAYOUTS} == set(re.findall(r"`(\w+)`", text)) & {*LAYOUTS, *CAPTION_LAYOUTS}


def test_the_lines_of_toml_between_the_text_are_toml():
    text = re.sub(r"^```.*?^```$", "", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    for lines in re.findall(r"((?:^    [\w\[].*\n)+)", text, re.MULTILINE):
        if "vlcl " not in lines and "{" not in lines:
            assert tomllib.loads(re.sub(r"^    ", "", lines, flags=re.MULTILINE))


def test_folders_by_number_are_refused_with_the_key_that_maps_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_own_data(tmp_path / "data", classes=("0", "1", "2"), train=1, test=1)
    write_own_protocol(tmp_path / "p.toml")
    ended = vlcl("data", "verify", "--protocol", "p.toml", "--data-root", "data")
    assert ended.code == 3
    assert "folders that are not called like their classes are listed in source_names" in ended.err
