"""Protocols of one's own: every fault of a file is named at once, in our words, before anything is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.harness import tree, vlcl
from support.own_data import CLASSES, own_data_set, write_own_data, write_own_protocol

from vlcl_bench.common.places import data_home
from vlcl_bench.errors import UsageError
from vlcl_bench.protocols.load import FOLDER, load_protocol, protocol_names

GROUPS = "[class_groups.birds]\nsize = {size}\norder = {order}\n"


def refusal(path: Path) -> str:
    """What is said of a file that is refused; none of it may be pydantic's, or Python's."""
    with pytest.raises(UsageError) as caught:
        load_protocol(path)
    message = caught.value.message
    assert message.startswith(f"{path} is not a valid protocol: ")
    assert caught.value.hint
    for foreign in ("validation error", "Input should", "pydantic", "type=", "Traceback", "Field required"):
        assert foreign not in message
    return message


def test_the_base_case_is_a_protocol(tmp_path):
    protocol = load_protocol(write_own_protocol(tmp_path / "p.toml"))
    assert (protocol.datasets[0].class_names, protocol.side) == (CLASSES, 48)


# Single keys

KEYS = {
    "a word for a number": ({"version": "first"}, "version: found 'first', expected a whole number above 0"),
    "a number in quotes": ({"evaluation_batch": "16"}, "evaluation_batch: found '16', expected a whole number"),
    "an underscore in quotes": ({"budget": {"steps": "1_0"}}, "budget.steps: found '1_0', expected a whole number"),
    "a part of a step": ({"budget": {"steps": 2.5}}, "budget.steps: found 2.5, expected a whole number above 0"),
    "a whole number with a point": ({"budget": {"steps": 2.0}}, "budget.steps: found 2.0"),
    "true for a number": ({"budget": {"batch_size": True}}, "budget.batch_size: found true"),
    "true for a rate": ({"budget": {"learning_rate": True}}, "budget.learning_rate: found true, expected a number"),
    "no finite rate": ({"budget": {"learning_rate": float("inf")}}, "budget.learning_rate: found inf"),
    "no number": ({"budget": {"learning_rate": float("nan")}}, "budget.learning_rate: found nan"),
    "a rate below 0": ({"budget": {"learning_rate": -1e-4}}, "expected a number above 0"),
    "a rate of 0": ({"budget": {"learning_rates": {"birds": 0.0}}}, "budget.learning_rates.birds: found 0.0"),
    "a rate that overflows": ({"budget": {"learning_rate": 1e300}}, "of at most 100"),
    "a number that no machine counts": ({"budget": {"steps": 10**20}}, "2,147,483,647 at most"),
    "a number in place of yes or no": ({"ranked": 1}, "ranked: found 1, expected true or false"),
    "yes in quotes": ({"ranked": "no"}, "ranked: found 'no', expected true or false"),
    "a list for a text": ({"name": ["a"]}, "name: found ['a'], expected a text"),
    "a text for a list": ({"tasks": "birds"}, "tasks: found 'birds', expected a list of texts"),
    "no task": ({"tasks": []}, "tasks: found an empty list"),
    "a data set twice": ({"tasks": ["birds", "birds"]}, "tasks: 'birds' is there 2 times"),
    "an unknown data set": ({"tasks": ["bird"]}, "tasks: no real data set 'bird'. Did you mean 'birds'?"),
    "an unknown world": ({"scale": "large"}, "scale: found 'large', expected 'full' or 'mini'"),
    "an unknown source": ({"source": "reall"}, "source: no data source 'reall'. Did you mean 'real'?"),
    "no size of pictures": ({"picture_size": None}, "picture_size: missing, expected the side in pixels"),
    "a size of nothing": ({"picture_size": 0}, "picture_size: found 0, expected a whole number above 0"),
    "a misspelt key": ({"picturesize": 48}, "picturesize: unknown key; did you mean 'picture_size'?"),
    "a misspelt key of a table": ({"budget": {"warm_up": 1}}, "budget.warm_up: unknown key; did you mean 'warmup'?"),
    "a key of nothing": ({"augmentation": {"zzz": 1}}, "augmentation.zzz: unknown key; known here: ratio, scale"),
    "an empty backbone": ({"backbone": ""}, "backbone: found '', expected a text that is not empty"),
    "a backbone of blanks": ({"backbone": "  "}, "backbone: found '  ', expected a text that is not empty"),
    "a backbone with a line end": ({"backbone": "ViT-B-16\n"}, "backbone: found 'ViT-B-16\\n', which holds a line end"),
    "a blank before a backbone": ({"backbone": " vlcl-mini/v1"}, "expected no blanks at the beginning or the end"),
    "no name for a backbone": ({"backbone": 3}, "backbone: found 3, expected a text"),
    "a title of two lines": ({"title": "a\nb"}, "title: found 'a\\nb', which holds a line end"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_wrong_key_is_named_with_what_was_found_and_what_was_expected(tmp_path, kind):
    changes, said = KEYS[kind]
    assert said in refusal(write_own_protocol(tmp_path / "p.toml", **changes))


# What cannot work, although every key has the right form

PARTS = {
    "scale above 1": ({"augmentation": {"scale": [0.9, 1.5]}}, "augmentation.scale: found [0.9, 1.5]"),
    "scale far above 1": ({"augmentation": {"scale": [2.0, 3.0]}}, "augmentation.scale"),
    "scale of nothing": ({"augmentation": {"scale": [0.0, 1.0]}}, "shares of the area above 0 and up to 1"),
    "scale turned round": ({"augmentation": {"scale": [1.0, 0.5]}}, "the smaller first"),
    "one scale": ({"augmentation": {"scale": [0.9]}}, "augmentation.scale: found [0.9], expected a list of two"),
    "three scales": ({"augmentation": {"scale": [0.1, 0.2, 0.3]}}, "expected a list of two numbers"),
    "ratio of 0": ({"augmentation": {"ratio": [0.0, 1.0]}}, "augmentation.ratio: found [0.0, 1.0]"),
    "ratio below 0": ({"augmentation": {"ratio": [-1.0, 1.0]}}, "augmentation.ratio"),
    "ratio turned round": ({"augmentation": {"ratio": [2.0, 0.5]}}, "augmentation.ratio"),
    "ratio without end": ({"augmentation": {"ratio": [1.0, float("inf")]}}, "augmentation.ratio (item 2): found inf"),
    "ratio of a line": ({"augmentation": {"ratio": [1.0, 1e300]}}, "from 0.01 to 100"),
    "longer warm-up than steps": ({"budget": {"warmup": 3}}, "budget.warmup: found 3, expected no more steps than"),
    "a rate of no task": ({"budget": {"learning_rates": {"bird": 1.0}}}, "no such task. Did you mean 'birds'?"),
    "groups that do not divide": (
        {"tables": GROUPS.format(size=2, order=[0, 1, 2])},
        "class_groups.birds.size: found 2, expected a number that divides the 3 classes",
    ),
    "a group larger than the classes": ({"tables": GROUPS.format(size=6, order=[0, 1, 2])}, "class_groups.birds.size"),
    "groups of too few classes": (
        {"tables": GROUPS.format(size=1, order=[0, 1])},
        "class_groups.birds.order: found 2 classes, expected all 3 of birds",
    ),
    "a bank over classes": (
        {"tables": '[bank]\nsize = 4\nseed = 0\ngroups = [["birds"]]\n'},
        "bank.groups: birds has classes and no captions",
    ),
    "a bank of nothing": ({"tables": "[bank]\nsize = 4\nseed = 0\ngroups = []\n"}, "bank.groups: found an empty list"),
    "a bank with less than a caption a group": (
        {"tables": '[bank]\nsize = 1\nseed = 0\ngroups = [["a"], ["birds"]]\n'},
        "bank.size: found 1, expected a caption for each of the 2 groups",
    ),
}


@pytest.mark.parametrize("kind", PARTS)
def test_what_cannot_work_is_refused_when_it_is_read(tmp_path, kind):
    changes, said = PARTS[kind]
    assert said in refusal(write_own_protocol(tmp_path / "p.toml", **changes))


@pytest.mark.parametrize("side", [40, 224])
def test_drawings_of_another_size_than_theirs_are_refused(tmp_path, side):
    path = tmp_path / "p.toml"
    write_own_protocol(path, data=[], source="mini", tasks=["dev-food"], picture_size=side)
    assert f"picture_size: found {side}, expected 48" in refusal(path)


# Data sets, and the names in them

SETS = {
    "an empty name": ({"class_names": ["robin", "", "wren"]}, "class_names (item 2): found '', expected a text that"),
    "a name of blanks": ({"class_names": ["robin", "  "]}, "expected a text that is not empty"),
    "a name that nobody sees": ({"class_names": ["robin", "\u200b"]}, "expected a text that is not empty"),
    "a name of two lines": ({"class_names": ["robin", "wr\nen"]}, "class_names (item 2): found 'wr\\nen', which holds"),
    "another line end": ({"class_names": ["robin", "wr\u2028en"]}, "which holds a line end"),
    "a tab": ({"class_names": ["robin\twren"]}, "which holds a tab"),
    "a control character": ({"class_names": ["robin\u0000"]}, "which holds the control character U+0000"),
    "a blank before": ({"class_names": [" robin"]}, "expected no blanks at the beginning or the end"),
    "a blank after": ({"class_names": ["robin\u00a0"]}, "expected no blanks at the beginning or the end"),
    "a template with a line end": ({"templates": ["a photo\nof a {c}."]}, "templates (item 1): found"),
    "an empty template": ({"templates": [""]}, "templates (item 1): found ''"),
    "a template without a place": ({"templates": ["a photo of a {}."]}, "has no place {c}"),
    "no template": ({"templates": []}, "data.birds: class_names and templates are needed"),
    "no classes": ({"class_names": []}, "data.birds: class_names and templates are needed"),
    "two equal names": ({"class_names": ["robin", "wren", "robin"]}, "the items 1 and 3 are one name ('robin'"),
    "two spellings of an accent": ({"class_names": ["café", "cafe\u0301"]}, "the items 1 and 2 are one name"),
    "two blanks for one": ({"class_names": ["blue tit", "blue  tit"]}, "the items 1 and 2 are one name"),
    "a letter without width": ({"class_names": ["wren", "wre\u200bn"]}, "the items 1 and 2 are one name"),
    "folders of other classes": ({"source_names": ["0", "1"]}, "source_names: found 2, expected as many as"),
    "a folder twice": ({"source_names": ["0", "0", "1"]}, "source_names: found ['0'], expected every folder once"),
    "a folder elsewhere": ({"source_names": ["../x", "1", "2"]}, "found '../x', expected a folder's name"),
    "a class that is no folder": ({"class_names": ["and/or"]}, "source_names says which folder is which class"),
    "an unknown layout": ({"layout": "folders"}, "layout: found 'folders'", "Did you mean 'folder'?"),
    "captions in folders of classes": ({"captioned": True}, "captioned: found true, expected false"),
    "an unknown option": ({"options": {"ignored": "x"}}, "options.ignored: unknown key; known for the layout 'folder'"),
    "no folder": ({"folders": []}, "folders: found an empty list"),
    "a path for a name": ({"name": "../../evil"}, "name: found '../../evil'; a name has small letters"),
    "a capital": ({"name": "Birds"}, "name: found 'Birds'; a name has small letters"),
    "the name of another": ({"name": "mnist"}, "data.mnist: there is a data set of this name already"),
    "no test pictures": ({"test": 0}, "data.birds.test: found 0, expected some pictures"),
    "counts that do not add up": ({"train": 9, "train_per_class": [1, 2, 3]}, "train: found 9, expected the sum"),
    "counts of other classes": ({"train_per_class": [1]}, "found 1 numbers, expected one for each of the 3 classes"),
    "sides turned round": ({"min_side": 9, "max_side": 4}, "min_side: found 9, expected no more than max_side (4)"),
    "no pattern": ({"sample_pattern": "("}, "sample_pattern: found '(', expected a regular expression"),
    "an unknown split": ({"split": "half"}, "split: found 'half', expected 'official' or 'pool-42'"),
    "a misspelt key": ({"class_name": ["a"]}, "data.birds.class_name: unknown key; did you mean 'class_names'?"),
}


@pytest.mark.parametrize("kind", SETS)
def test_a_data_set_that_cannot_work_is_refused_before_anything_is_written(tmp_path, monkeypatch, kind):
    changes, *said = SETS[kind]
    table = own_data_set(**changes)
    path = write_own_protocol(tmp_path / "p.toml", data=[table], tasks=[table["name"]])
    message = refusal(path)
    assert [words for words in said if words not in message] == []
    monkeypatch.chdir(tmp_path)
    write_own_data(tmp_path / "data")
    ended = vlcl("run", "--protocol", path, "--data-root", "data", "--method", "zero_shot")
    assert ended.code == 2
    assert not data_home().exists() or tree(data_home()) == {}
    assert not Path("runs").exists()


def test_two_data_sets_of_one_name_are_refused(tmp_path):
    path = write_own_protocol(tmp_path / "p.toml", data=[own_data_set(), own_data_set()])
    assert "data: 2 data sets are called 'birds'" in refusal(path)


def test_a_data_set_that_is_called_like_a_group_of_another_is_refused(tmp_path):
    tables = [own_data_set(), own_data_set("birds-01")]
    path = tmp_path / "p.toml"
    write_own_protocol(
        path, data=tables, tasks=["birds", "birds-01"], tables=GROUPS.format(size=1, order=[0, 1, 2])
    )  # fmt: skip
    assert "2 tasks are called 'birds-01'" in refusal(path)


def test_classes_and_captions_do_not_go_into_one_stream(tmp_path):
    captions = own_data_set("said", layout="flickr30k_karpathy", captioned=True, class_names=None, templates=None)
    path = write_own_protocol(tmp_path / "p.toml", data=[own_data_set(), captions], tasks=["birds", "said"])
    assert "'said' has captions and 'birds' has classes" in refusal(path)


# The name of the protocol

NAMES = [
    "../mine", "mine/1", "mine\\\\1", "My-Stream", "mine 1", "", ".mine", "mine\nyours", "c2r@mine", "größe", "a" * 65,
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_with_a_path_or_odd_characters_is_refused(tmp_path, name):
    assert "name: found" in refusal(write_own_protocol(tmp_path / "p.toml", name=name.replace("\\\\", "\\")))


@pytest.mark.parametrize("name", protocol_names())
def test_an_own_protocol_cannot_take_the_name_of_a_frozen_one(tmp_path, name):
    assert f"name: found {name!r}, which is another protocol" in refusal(
        write_own_protocol(tmp_path / "p.toml", name=name)
    )


@pytest.mark.parametrize("name", protocol_names())
def test_the_packages_own_files_and_copies_of_them_still_load(tmp_path, name):
    copy = Path(shutil.copy(FOLDER / f"{name}.toml", tmp_path / "copy.toml"))
    assert load_protocol(name) == load_protocol(FOLDER / f"{name}.toml") == load_protocol(copy)


# All at once


def test_all_faults_of_a_file_are_named_at_once(tmp_path):
    path = write_own_protocol(
        tmp_path / "p.toml",
        name="mtil-1", version=None, evaluation_batch="16", scale="tiny", source="reall", colour="red",
        budget={"steps": 0, "warmup": None, "warm_up": 1}, augmentation={"scale": [2.0, 1.0]},
        tables="[class_groups.cats]\nsize = 1\norder = [0]\n",
        data=[own_data_set(class_names=["a", "", "b"], templates=["no place"], licence=None)],
    )  # fmt: skip
    message = refusal(path)
    head, *lines = message.splitlines()
    assert head.endswith(f"{len(lines)} things are wrong")
    wanted = {
        "name", "version", "evaluation_batch", "scale", "source", "colour", "budget.steps", "budget.warmup",
        "budget.warm_up", "augmentation.scale", "class_groups.cats", "data.birds.class_names (item 2)",
        "data.birds.templates", "data.birds.licence",
    }  # fmt: skip
    assert {line.strip().partition(": ")[0] for line in lines} == wanted


def test_missing_keys_are_listed_with_what_belongs_there(tmp_path):
    (tmp_path / "p.toml").write_text('name = "mine"\n')
    message = refusal(tmp_path / "p.toml")
    assert "version: missing, expected a whole number above 0" in message
    assert "budget: missing, expected a table with steps, batch_size" in message
    assert message.count("missing, expected") == 10


FILES = {
    "no TOML": (b"name = \n", "it is not TOML: Invalid value (at line 1"),
    "JSON": (b'{"name": "mine"}', "it is not TOML"),
    "no text": (b"\xff\xfe\x00", "byte 0xff at place 0 is not text in UTF-8"),
    "half a file": (b'name = "mi', "it is not TOML"),
    "a key twice": (b'name = "a"\nname = "b"\n', "it is not TOML: Cannot overwrite a value"),
    "a number of 5,000 digits": (b"version = " + b"9" * 5000, "it is not TOML"),
    "lists in lists": (b"version = " + b"[" * 20000, "it is not TOML"),
    "nothing": (b"", "name: missing, expected a text"),
    "a list of tables for a table": (b"[[budget]]\nsteps = 1\n", "budget: found a list of 1, expected a table"),
    "a value for the tables": (b"data = 3\n", "data: found 3, expected a list of tables"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_no_table_of_keys_is_refused_in_our_words(tmp_path, kind):
    content, said = FILES[kind]
    (tmp_path / "p.toml").write_bytes(content)
    assert said in refusal(tmp_path / "p.toml")


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "p.toml").mkdir()
    with pytest.raises(UsageError, match=r"p\.toml cannot be read: Is a directory"):
        load_protocol(tmp_path / "p.toml")


@pytest.mark.parametrize("change", [lambda text: b"\xef\xbb\xbf" + text, lambda text: text.replace(b"\n", b"\r\n")])
def test_marks_and_line_ends_of_other_editors_change_nothing(tmp_path, change):
    path = write_own_protocol(tmp_path / "p.toml")
    before = load_protocol(path)
    path.write_bytes(change(path.read_bytes()))
    assert load_protocol(path) == before
