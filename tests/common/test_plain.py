"""Texts of others are shown as they are, and nothing in them is acted on."""

import json

import pytest
from rich.table import Table

from vlcl_bench.cli.terminal import terminal
from vlcl_bench.common.plain import plain, plain_json, spreadsheet_cell

HOSTILE = {
    "a colour": "\x1b[31mred",
    "a title of the window": "\x1b]0;mine\x07",
    "one byte that begins a sequence": "\x9b31m",
    "the direction of writing": "a\u202eb\u2066c",
    "no width": "Z\u200bS\u200cC\ufeffL",
    "a backspace over the number": "99.9\b\b\b\b10.0",
    "a return to the line's beginning": "99.9\r10.0",
    "half a character": "\ud83d",
    "an unseen letter of the tag block": "a\U000e0041",
    "another blank": "a\u00a0b\u2003c",
    "markup": "[bold]loud[/bold] [link=https://x]here[/link] :smiley:",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_text_is_printed_without_anything_that_a_terminal_acts_on(kind, capsys):
    text = HOSTILE[kind]
    assert plain(text).isprintable()
    table = Table("name", title=text)
    table.add_row(text)
    console = terminal()
    console.print(text)
    console.print(table)
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert plain(text).replace(" ", "")[:4] in out.replace(" ", "").replace("\n", "")


def test_lines_and_tabs_stay_where_they_may():
    assert plain("a\n\tb\x1b", lines=True) == "a\n\tb\\x1b"
    assert plain("a\n") == "a\\n"
    assert plain("Größe ± 1 – 日本 🙂") == "Größe ± 1 – 日本 🙂"


@pytest.mark.parametrize("kind", HOSTILE)
def test_json_keeps_its_value_and_loses_what_a_terminal_acts_on(kind):
    text = plain_json(json.dumps({"title": HOSTILE[kind]}, ensure_ascii=False, indent=2))
    assert json.loads(text) == {"title": HOSTILE[kind]}
    assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", " =1", "\n@x", "＝1", "－1"])
def test_a_text_that_begins_like_a_formula_is_a_text_in_a_spreadsheet(text):
    assert spreadsheet_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["ZSCL", "l2 baseline", "a=1", "1-2", "learning_rate=0.1", ""])
def test_other_texts_stay_as_they_are(text):
    assert spreadsheet_cell(text) == text
