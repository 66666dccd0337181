"""Names that the backbone cannot tell apart: refused in one's own data sets, said of those that everybody has."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fakes import FakeDataSet
from support.harness import tree, vlcl
from support.own_data import own_data_set, write_own_data, write_own_protocol

from vlcl_bench.backbones import load_backbone
from vlcl_bench.common.places import data_home
from vlcl_bench.common.progress import Reporter
from vlcl_bench.engine.names import check_names, equal_prompts
from vlcl_bench.engine.prepare import Request, prepare
from vlcl_bench.errors import UsageError
from vlcl_bench.protocols.load import load_protocol, protocol_names

LONG = "very " * 80
LATE = "a photo of " + "a very " * 40 + "{c}."


@pytest.fixture(scope="module")
def clip():
    return load_backbone("vlcl-mini/v1")


class Said(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def named(*names: str, templates: tuple[str, ...] = ("a photo of a {c}.",)) -> FakeDataSet:
    dataset = FakeDataSet("birds")
    dataset.class_names, dataset.templates = names, templates
    return dataset


APART = {
    "other words": ("robin", "wren"),
    "one letter": ("wren", "wrens"),
    "a hyphen": ("t-shirt", "t shirt"),
    "an accent": ("café", "cafe"),
    "the same end": (f"{LONG[:50]}wren", f"{LONG[:50]}robin"),
}
SAME = {
    "capitals": ("Turkey", "turkey"),
    "another end after the cut": (f"{LONG}wren", f"{LONG}robin"),
    "letters of full width": ("wren", "ｗｒｅｎ"),
    "a ligature": ("ﬁnch", "finch"),
    "an entity of HTML": ("salt &amp; pepper", "salt & pepper"),
}


@pytest.mark.parametrize("kind", APART)
def test_names_with_other_tokens_are_told_apart(clip, kind):
    assert equal_prompts(named(*APART[kind]), clip) == ([], [])


@pytest.mark.parametrize("kind", SAME)
def test_names_with_the_same_tokens_are_found(clip, kind):
    names = SAME[kind]
    assert equal_prompts(named("owl", *names, "crow"), clip) == ([names], [])


def test_a_template_whose_name_stands_after_the_cut_makes_all_names_one(clip):
    names = ("owl", "crow", "wren")
    assert equal_prompts(named(*names, templates=(LATE,)), clip) == ([names], [])
    assert equal_prompts(named(*names, templates=("a {c}.", LATE)), clip) == ([], [names])


def test_names_that_are_equal_under_every_template_are_told_from_those_that_are_so_at_times(clip):
    names = ("Owl", "owl", "crow")
    assert equal_prompts(named(*names, templates=("a {c}.", LATE)), clip) == ([("Owl", "owl")], [names])


@pytest.mark.parametrize("name", protocol_names())
def test_no_protocol_of_the_package_has_names_that_clip_cannot_tell_apart(clip, name):
    said = Said()
    check_names(load_protocol(name), clip, said)
    assert said.lines == []


@pytest.mark.parametrize("kind", SAME)
def test_an_own_data_set_with_such_names_is_refused_before_anything_is_written(tmp_path, clip, kind):
    table = own_data_set(classes=("owl", *SAME[kind]), source_names=["a", "b", "c"])
    protocol = load_protocol(write_own_protocol(tmp_path / "p.toml", data=[table]))
    with pytest.raises(UsageError, match="2 class names are the same") as caught:
        check_names(protocol, clip, Said())
    assert "vlcl-mini/v1 under every template" in caught.value.message
    assert "class_names of birds" in (caught.value.hint or "")


def test_names_that_are_equal_at_times_are_said(tmp_path, clip):
    table = own_data_set(classes=("owl", "crow"), templates=["a {c}.", LATE], source_names=["a", "b"])
    said = Said()
    check_names(load_protocol(write_own_protocol(tmp_path / "p.toml", data=[table])), clip, said)
    (line,) = said.lines
    assert "2 class names are the same ('owl' = 'crow')" in line
    assert "under some of 2 templates" in line


@pytest.mark.parametrize(
    ("second", "aliases", "said"),
    [
        (("Wren", "emu"), [], True),
        (("Wren", "emu"), [["wren", "Wren"]], False),
        (("wren", "emu"), [], False),
        (("kiwi", "emu"), [], False),
    ],
)
def test_names_of_two_data_sets_that_are_one_to_the_backbone_only_are_said(tmp_path, clip, second, aliases, said):
    tables = [own_data_set("one", classes=("wren", "owl")), own_data_set("two", classes=second)]
    path = write_own_protocol(tmp_path / "p.toml", data=tables, tasks=["one", "two"], aliases=aliases)
    reporter = Said()
    check_names(load_protocol(path), clip, reporter)
    assert [line.partition(" to vlcl")[0] for line in reporter.lines] == (
        ["over all data sets 2 class names are the same ('wren' = 'Wren')"] * said
    )


def test_a_run_is_refused_before_its_data_are_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_own_data(tmp_path / "data", classes=("Wren", "wren"), train=1, test=1)
    write_own_protocol(tmp_path / "p.toml", data=[own_data_set(classes=("Wren", "wren"))])
    ended = vlcl("run", "--protocol", "p.toml", "--data-root", "data", "--method", "zero_shot")
    assert ended.code == 2
    assert "2 class names are the same ('Wren' = 'wren')" in ended.err
    assert not data_home().exists() or tree(data_home()) == {}


# Tasks that are smaller than a batch


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "said"), [(8, False), (24, False), (25, True)])
def test_tasks_with_fewer_pictures_than_a_batch_are_said(tmp_path, monkeypatch, batch, said):
    monkeypatch.chdir(tmp_path)
    write_own_data(tmp_path / "data")
    write_own_protocol(tmp_path / "p.toml", budget={"batch_size": batch})
    request = Request(protocol="p.toml", method="zero_shot", data_root=Path("data"))
    reporter = Said()
    prepare(request, reporter)
    found = [line for line in reporter.lines if "batch_size" in line]
    assert found == (
        [f"batch_size {batch} is more than the training pictures of birds (24): a step there sees all of them"] * said
    )
