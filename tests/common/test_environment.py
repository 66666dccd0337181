"""Variables of the environment: all are listed, what is set wrong is said, and numbers are those that people write."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from support.harness import vlcl

from vlcl_bench.cli.options import whole
from vlcl_bench.common import environment, places
from vlcl_bench.common.environment import VARIABLES, check_environment, traceback_wanted, value_of
from vlcl_bench.common.seeds import LARGEST, check_seed
from vlcl_bench.data import pictures
from vlcl_bench.engine.sandbox.kinds import KINDS
from vlcl_bench.engine.sandbox.limits import parse_bytes, parse_seconds
from vlcl_bench.errors import UsageError
from vlcl_bench.synthesis.prompts import picture_seed

REPOSITORY = Path(__file__).parents[2]


def test_the_documented_variables_are_those_of_the_code() -> None:
    section = (REPOSITORY / "docs/commands.md").read_text().partition("## Variables of the environment")[2]
    documented = re.findall(r"^\| `(VLCL_[A-Z_]+)` \|", section, re.MULTILINE)
    files = [*(REPOSITORY / "vlcl_bench").rglob("*.py"), *(REPOSITORY / "baselines").rglob("*.py")]
    used = {name for file in files for name in re.findall(r"\bVLCL_[A-Z]+(?:_[A-Z]+)*\b", file.read_text())}
    assert sorted(documented) == sorted(VARIABLES) == sorted(used)
    assert environment.ISOLATIONS == KINDS


BAD = {
    "VLCL_WORKERS": ("two", "0", "-1", "1.5", "1_0", "²", "1e3", "999999999", " "),
    "VLCL_ISOLATION": ("none", "Inline", "docker", " "),
    "VLCL_STORE": (" ", "\t"),
    "VLCL_DATA_HOME": ("  ",),
    "VLCL_DATA_ROOT": (" ",),
    "VLCL_HUB_ROOT": (" ",),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_value_that_cannot_be_used_is_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    for asked in (check_environment, lambda: value_of(name)):
        with pytest.raises(UsageError, match=f"{name}=.* is not (.|\n)*Set {name}"):
            asked()


def test_every_command_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLCL_WORKERS", "many")
    ended = vlcl("protocols")
    assert (ended.code, "VLCL_WORKERS='many' is not a whole number from 1 to 1024" in ended.err) == (2, True)
    with pytest.raises(UsageError, match="VLCL_WORKERS"):
        pictures.workers()
    monkeypatch.setenv("VLCL_WORKERS", "3")
    assert pictures.workers() == 3
    monkeypatch.setenv("VLCL_WORKERS", "")
    assert pictures.workers() == pictures.processors()


def test_a_misspelt_variable_is_said_and_nothing_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLCL_WORKER", "2")
    ended = vlcl("methods", "--json")
    assert ended.code == 0
    assert "VLCL_WORKER is no variable of vlcl-bench. Did you mean 'VLCL_WORKERS'?" in ended.err


@pytest.mark.parametrize(("value", "wanted"), [("", False), ("0", False), ("no", False), ("1", True), ("yes", True)])
def test_the_traceback_can_be_switched_off_by_its_variable(
    value: str, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLCL_TRACEBACK", value)
    assert traceback_wanted() is wanted


def test_a_tilde_stands_for_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, asked in (("VLCL_STORE", places.store_home), ("VLCL_DATA_HOME", places.data_home)):
        monkeypatch.setenv(name, "~/mine")
        assert asked() == tmp_path / "mine"
        monkeypatch.setenv(name, "~nobody-of-this-name/mine")
        with pytest.raises(UsageError, match=name):
            asked()


@pytest.mark.parametrize("seed", [0, -1, 7, LARGEST, -LARGEST])
def test_seeds_that_a_record_can_hold_are_taken(seed: int) -> None:
    assert check_seed(seed) == seed
    assert abs(picture_seed(3, 5, seed)) < 2**63


@pytest.mark.parametrize(
    "seed", ["99999999999999999999999", "-99999999999999999999999", "1_0", "1.5", "1e3", "", "nan", "9" * 5000]
)
@pytest.mark.parametrize("command", ["run", "synthesise"])
def test_seeds_that_are_none_are_refused(seed: str, command: str) -> None:
    ended = vlcl(command, "--protocol", "mini-dev", "--method", "gift", f"--seed={seed}")
    assert ended.code == 2
    assert "Traceback" not in ended.err


WHOLE = {
    "99999999999999999999999": "99999999999999999999… is not from -{0} to {0}.",
    "-99999999999999999999999": "-99999999999999999999… is not from -{0} to {0}.",
    "+99999999999999999999999": "99999999999999999999… is not from -{0} to {0}.",
    "9" * 5000: "99999999999999999999… is not from -{0} to {0}.",
    "12345678901234567890": "12345678901234567890 is not from -{0} to {0}.",
    "1152921504606846977": "1152921504606846977 is not from -{0} to {0}.",
    "1_0": "'1_0' is not a whole number.",
    "\u0661": "'\u0661' is not a whole number.",
    "--1": "'--1' is not a whole number.",
    "": "'' is not a whole number.",
}


@pytest.mark.parametrize(("text", "said"), WHOLE.items(), ids=lambda text: text[:24])
def test_a_whole_number_that_is_too_large_is_called_that(text: str, said: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        whole()(text)
    assert refused.value.message == said.format(LARGEST)


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("-0", 0), ("+7", 7), (" 7 ", 7), ("0" * 30 + "12", 12), ("-" + "0" * 30, 0), (str(-LARGEST), -LARGEST)],
)
def test_whole_numbers_are_read_as_people_write_them(text: str, number: int) -> None:
    assert whole()(text) == number


def test_a_seed_from_a_file_or_a_notebook_is_refused_too() -> None:
    for seed in (LARGEST + 1, -LARGEST - 1, 10**5000):
        with pytest.raises(UsageError, match="too large"):
            check_seed(seed)


SILLY = ("0", "-1", "1_0", "1.5", "nan", "inf", "", "many", "99999999999999999999999", "²")


@pytest.mark.parametrize("value", SILLY)
@pytest.mark.parametrize(
    "line",
    [
        ("sweep", "none.toml", "--jobs"),
        ("sweep", "none.toml", "--threads"),
        ("regress", "--jobs"),
        ("regress", "--threads"),
    ],
    ids=" ".join,
)
def test_counts_that_are_none_are_refused_by_name(line: tuple[str, ...], value: str) -> None:
    ended = vlcl(*line[:-1], f"{line[-1]}={value}")
    assert ended.code == 2
    assert line[-1] in ended.err


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("run", "--protocol", "mini-dev", "--method", "l2", "--backbone", ""), "the argument of --backbone is empty"),
        (("run", "--protocol", "mini-dev", "--method", "l2", "--store="), "the argument of --store is empty"),
        (("data", "gc", "--store", " "), "the argument of --store is empty"),
        (("data", "list", "--data-root", ""), "the argument of --data-root is empty"),
        (("show", ""), "an argument is empty"),
        (("",), "an argument is empty"),
    ],
)  # fmt: skip
def test_an_empty_argument_is_not_taken_for_the_current_folder(line: tuple[str, ...], said: str) -> None:
    ended = vlcl(*line)
    assert (ended.code, said in ended.err) == (2, True), ended.err


@pytest.mark.parametrize("value", ["0/2", "3/2", "1_0/20", "²/2", "1/", "/2", "1", "-1/2", "1.0/2", "1/" + "9" * 5000])
def test_a_share_that_is_none_is_refused(value: str) -> None:
    ended = vlcl("synthesise", "--protocol", "mini-dev", "--method", "gift", "--share", value)
    assert (ended.code, "is not of the form K/N" in ended.err) == (2, True)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1_0", "soon", ""])
def test_limits_that_are_none_are_refused(value: str) -> None:
    with pytest.raises(UsageError, match="--time-limit"):
        parse_seconds(value)
    with pytest.raises(UsageError, match="--memory-limit"):
        parse_bytes(value)
