"""Methods are found by name, file, folder and entry point; what cannot be used is refused with what to do next."""

import json
import re
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from vlcl_bench.errors import MethodError, UsageError
from vlcl_bench.methods import registry
from vlcl_bench.methods.card import make_settings, parse_settings
from vlcl_bench.methods.registry import MethodRef, list_methods, load_method
from vlcl_bench.methods.source import source_digest

BASELINES = {"finetune", "icarl", "l2", "lwf", "lwf_vr", "moe_adapter", "wise_ft", "zero_shot", "zscl"}

METHOD = '''"""A method of a test."""
from vlcl_bench.methods import Method


class {name}(Method):
    title = "{title}"

    def learn(self, task, ctx):
        pass
'''


def method_file(folder, name="Mine", file="mine.py", text=None):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file
    path.write_text(METHOD.format(name=name, title=f"title of {name}") if text is None else text)
    return path


def refusal(spec, kind=MethodError):
    with pytest.raises(kind) as caught:
        load_method(str(spec))
    return str(caught.value)


# By name


def test_the_baselines_are_listed_with_title_and_summary():
    found = {info.name: info for info in list_methods()}
    assert found.keys() >= BASELINES
    assert found["finetune"].title == "Continual-FT"
    assert found["finetune"].summary.startswith("Continual fine-tuning: ")


def test_methods_are_listed_in_alphabetical_order():
    names = [info.name for info in list_methods()]
    assert names == sorted(names)


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_a_baseline_is_loaded_by_its_name(name):
    loaded = load_method(name)
    listed = next(info for info in list_methods() if info.name == name)
    assert (MethodRef.parse(name).name, loaded.title) == (name, listed.title)


@pytest.mark.parametrize(
    ("wrong", "right"), [("finetun", "finetune"), ("wise-ft", "wise_ft"), ("zeroshot", "zero_shot")]
)
def test_an_unknown_name_is_refused_with_the_nearest(wrong, right):
    assert f"Did you mean {right!r}?" in refusal(wrong, UsageError)


def test_a_name_like_no_other_is_refused_with_all_of_them():
    message = refusal("qqqqqq", UsageError)
    assert all(name in message for name in BASELINES)


def test_an_unknown_name_points_at_the_list():
    assert "vlcl methods" in refusal("finetun", UsageError)


# By file


def test_a_method_is_loaded_from_its_file(tmp_path):
    loaded = load_method(str(method_file(tmp_path)))
    assert (loaded.__name__, loaded.title) == ("Mine", "title of Mine")
    assert MethodRef.parse(str(tmp_path / "mine.py")).name == "mine"


def test_a_class_of_a_file_is_loaded_by_its_name(tmp_path):
    text = METHOD.format(name="One", title="1") + METHOD.format(name="Two", title="2")
    assert load_method(f"{method_file(tmp_path, text=text)}:Two").title == "2"


def test_an_edited_file_is_loaded_anew(tmp_path):
    load_method(str(method_file(tmp_path)))
    assert load_method(str(method_file(tmp_path, name="Other"))).__name__ == "Other"


def test_files_of_the_same_name_do_not_get_in_each_others_way(tmp_path):
    one, two = method_file(tmp_path / "a"), method_file(tmp_path / "b", name="Other")
    assert [load_method(str(path)).__name__ for path in (one, two, one)] == ["Mine", "Other", "Mine"]


def test_a_class_with_two_names_in_its_file_is_one_class(tmp_path):
    text = METHOD.format(name="Mine", title="mine") + "\nAlias = Mine\n"
    assert load_method(str(method_file(tmp_path, text=text))).__name__ == "Mine"


def test_an_abstract_base_in_the_file_is_passed_over(tmp_path):
    text = (
        "from vlcl_bench.methods import Method\n\nclass Base(Method):\n    title = 'base'\n\n"
        "class Mine(Base):\n    title = 'mine'\n    def learn(self, task, ctx):\n        pass\n"
    )
    assert load_method(str(method_file(tmp_path, text=text))).__name__ == "Mine"


def test_a_method_may_build_on_a_baseline(tmp_path):
    text = "from baselines.l2 import L2\n\nclass Mine(L2):\n    title = 'l2 and more'\n"
    assert load_method(str(method_file(tmp_path, text=text))).title == "l2 and more"


def test_a_missing_file_is_refused_with_how_to_write_one(tmp_path):
    assert "vlcl methods new" in refusal(tmp_path / "none.py", UsageError)


def test_an_unknown_class_is_refused_with_the_nearest(tmp_path):
    message = refusal(f"{method_file(tmp_path)}:Mina")
    assert "no method class 'Mina'" in message
    assert "Did you mean 'Mine'?" in message


def test_several_classes_are_refused_with_their_names(tmp_path):
    text = METHOD.format(name="One", title="1") + METHOD.format(name="Two", title="2")
    path = method_file(tmp_path, text=text)
    assert "several method classes: One, Two" in refusal(path)


def test_of_several_classes_a_usable_one_is_proposed(tmp_path):
    base = "from vlcl_bench.methods import Method\n\nclass Abstract(Method):\n    title = 'base'\n\n"
    text = base + METHOD.format(name="One", title="1") + METHOD.format(name="Two", title="2")
    path = method_file(tmp_path, text=text)
    assert refusal(path).endswith(f"{path}:One")


def test_a_file_without_a_class_is_refused_with_what_is_expected(tmp_path):
    message = refusal(method_file(tmp_path, text="x = 1\n"))
    assert "no method class" in message
    assert "vlcl_bench.methods.Method or LossMethod" in message


def test_an_imported_class_is_not_the_files_own(tmp_path):
    text = "from baselines.l2 import L2\nfrom vlcl_bench.methods import LossMethod\n"
    assert "no method class" in refusal(method_file(tmp_path, text=text))


def test_an_abstract_class_is_refused_with_what_it_lacks(tmp_path):
    text = "from vlcl_bench.methods import Method\n\nclass Mine(Method):\n    title = 'x'\n"
    assert "class Mine" in refusal(method_file(tmp_path, text=text))
    assert "does not define learn" in refusal(method_file(tmp_path, text=text))


def test_a_class_without_a_title_is_refused(tmp_path):
    text = METHOD.format(name="Mine", title="x").replace('title = "x"', "")
    assert "class Mine" in refusal(method_file(tmp_path, text=text))
    assert "has no title" in refusal(method_file(tmp_path, text=text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\n\ny = undefined\n", "line 3, does not import: NameError"),
        ("x = 1\ndef broken(:\n", "line 2, does not import: SyntaxError"),
        ("import numpy\n\n\nimport no_such_package\n", "line 4, does not import: ModuleNotFoundError"),
        ("def inner():\n    raise KeyError('k')\n\ninner()\n", "line 2, does not import: KeyError"),
        ("import sys\nsys.exit(3)\n", "line 2, does not import: SystemExit"),
    ],
)
def test_a_file_that_does_not_import_is_refused_with_the_line(tmp_path, text, expected):
    path = method_file(tmp_path, text=text)
    assert f"{path}, {expected}" in refusal(path)


def test_the_line_is_named_for_a_relative_path_too(tmp_path, monkeypatch):
    method_file(tmp_path, file="bad.py", text="\n1 / 0\n")
    monkeypatch.chdir(tmp_path)
    assert "bad.py, line 2, does not import: ZeroDivisionError" in refusal("bad.py")


def test_the_line_is_the_files_own_where_another_file_is_broken(tmp_path, monkeypatch):
    (tmp_path / "broken_helper_of_a_test.py").write_text("\n\n\n\n\nx = = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = method_file(tmp_path / "sub", text="\nimport broken_helper_of_a_test\n")
    assert f"{path}, line 2, does not import: SyntaxError" in refusal(path)


def test_a_file_that_did_not_import_leaves_no_module_behind(tmp_path):
    before = set(sys.modules)
    refusal(method_file(tmp_path, text="1 / 0\n"))
    assert not [name for name in set(sys.modules) - before if name.startswith("vlcl_method_")]


# By folder


def test_a_folder_with_a_method_file_is_a_submission(tmp_path):
    method_file(tmp_path / "entry", file="method.py")
    loaded = load_method(str(tmp_path / "entry"))
    assert (MethodRef.parse(str(tmp_path / "entry")).name, loaded.__name__) == ("entry", "Mine")


def test_a_submission_may_point_at_its_method(tmp_path):
    method_file(tmp_path / "code", file="idea.py")
    (tmp_path / "entry").mkdir()
    (tmp_path / "entry" / "submission.toml").write_text('method = "../code/idea.py"\n')
    assert MethodRef.parse(str(tmp_path / "entry")).name == "entry"


def test_a_class_of_a_submission_is_loaded_by_its_name(tmp_path):
    text = METHOD.format(name="One", title="1") + METHOD.format(name="Two", title="2")
    method_file(tmp_path / "entry", file="method.py", text=text)
    assert load_method(f"{tmp_path / 'entry'}:One").title == "1"


@pytest.mark.parametrize("text", [None, 'title = "x"\n', 'method = "gone.py"\n'])
def test_a_folder_without_a_method_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "submission.toml").write_text(text)
    assert "holds no method" in refusal(tmp_path, UsageError)


def test_a_submission_that_is_not_toml_is_refused(tmp_path):
    (tmp_path / "submission.toml").write_text("method = \n")
    assert "not valid TOML" in refusal(tmp_path, UsageError)


# By entry point


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A function that pretends that a package offers an entry point."""
    method_file(tmp_path, file="a_package_of_a_test.py")
    monkeypatch.syspath_prepend(tmp_path)

    def offer(value):
        point = EntryPoint("offered", value, registry.ENTRY_POINTS)
        monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == point.group else [])

    yield offer
    sys.modules.pop("a_package_of_a_test", None)


def test_entry_points_are_listed(installed):
    installed("a_package_of_a_test:Mine")
    assert [info.source for info in list_methods() if info.name == "offered"] == ["entry point"]


def test_entry_points_are_listed_without_importing_them(installed):
    installed("no_such_package:Mine")
    assert "offered" in [info.name for info in list_methods()]


@pytest.mark.parametrize("value", ["a_package_of_a_test:Mine", "a_package_of_a_test"])
def test_a_method_is_loaded_from_an_entry_point(installed, value):
    installed(value)
    loaded = load_method("offered")
    assert (MethodRef.parse("offered").name, loaded.__name__) == ("offered", "Mine")


def test_an_entry_points_source_hash_is_that_of_its_file(installed, tmp_path):
    installed("a_package_of_a_test:Mine")
    expected = source_digest(tmp_path / "a_package_of_a_test.py")
    assert MethodRef.parse("offered").source_sha256 == expected


def test_an_entry_point_that_does_not_import_is_refused(installed):
    installed("no_such_package:Mine")
    assert "no_such_package:Mine) does not import" in refusal("offered")


def test_the_group_of_entry_points_is_the_documented_one():
    assert registry.ENTRY_POINTS == "vlcl_bench.methods"


# Settings


def test_settings_are_read_as_json_or_else_as_text():
    pairs = ["a=0.5", "b=true", "c=3", "d=zero_shot", 'e="7"', "f=[1, 2]", "g=x=y", " h =1", "i="]
    expected = {"a": 0.5, "b": True, "c": 3, "d": "zero_shot", "e": "7", "f": [1, 2], "g": "x=y", "h": 1, "i": ""}
    assert parse_settings(pairs) == expected


@pytest.mark.parametrize("pair", ["alpha", "=3", " =3"])
def test_a_setting_that_is_no_pair_is_refused(pair):
    with pytest.raises(UsageError, match="key=value"):
        parse_settings([pair])


def config(settings, scale="full", name="wise_ft"):
    return make_settings(load_method(name), settings, scale)


def test_settings_replace_defaults():
    assert config({"alpha": 0.7}).model_dump() == {"alpha": 0.7, "anchor": "previous", "label_smoothing": 0.2}


def test_an_unknown_setting_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"WiSE-FT has no setting 'alhpa'\nDid you mean 'alpha'\?"):
        config({"alhpa": 0.7})


def test_a_setting_of_a_method_without_settings_is_refused():
    with pytest.raises(UsageError, match="It has none"):
        config({"alpha": 0.7}, name="zero_shot")


NO_NUMBERS = [
    "1_0",
    "1_0.5",
    "true",
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    "inf",
    "0x10",
    "1,5",
    "١",
    '"0.5"',
    "10%",
    "",
]


@pytest.mark.parametrize("text", NO_NUMBERS)
@pytest.mark.parametrize(("name", "key"), [("l2", "weight"), ("lwf_vr", "texts"), ("zscl", "reference_pictures")])
def test_what_is_no_number_is_not_read_as_one(name, key, text):
    with pytest.raises(UsageError) as caught:
        make_settings(load_method(name), parse_settings([f"{key}={text}"]), "full")
    assert re.search(rf"setting {key}=.*: found .*, expected a (whole|finite)? ?number", caught.value.message)
    assert "Input should" not in caught.value.message


@pytest.mark.parametrize("text", ["1", "0", "1.0", "yes", "True", '"true"'])
def test_only_true_and_false_are_yes_and_no(text):
    with pytest.raises(UsageError, match=r"setting cache=.*: found .*, expected true or false"):
        make_settings(load_method("zscl"), parse_settings([f"cache={text}"]), "full")


@pytest.mark.parametrize(("text", "value"), [("10", 10.0), (" 0.5 ", 0.5), ("1e-3", 0.001), ("-0", 0.0)])
def test_numbers_are_read_as_they_are_written(text, value):
    assert make_settings(load_method("l2"), parse_settings([f"weight={text}"]), "full").weight == value


def test_a_text_may_look_like_a_number():
    assert make_settings(load_method("coop"), parse_settings(["words=1_0"]), "full").words == "1_0"


@pytest.mark.parametrize(
    "settings", [{"alpha": "much"}, {"anchor": "nearest"}, {"alpha": None}, {"alpha": float("nan")}]
)
def test_a_setting_of_the_wrong_type_is_refused_with_its_name(settings):
    (key,) = settings
    with pytest.raises(UsageError, match=f"setting {key}="):
        config(settings)


def tuned(tmp_path):
    text = (
        "from vlcl_bench.methods import LossMethod\nfrom vlcl_bench.methods.base import FineTuneConfig\n\n"
        "class Mine(LossMethod):\n    title = 'mine'\n    mini_settings = {'strength': 2.0}\n\n"
        "    class Config(FineTuneConfig):\n        strength: float = 1.0\n        other: float = 5.0\n"
    )
    return load_method(str(method_file(tmp_path, text=text)))


def test_on_a_full_protocol_the_published_values_stand(tmp_path):
    assert make_settings(tuned(tmp_path), {}, "full").strength == 1.0


def test_on_a_mini_protocol_the_mini_values_replace_the_published(tmp_path):
    found = make_settings(tuned(tmp_path), {}, "mini")
    assert (found.strength, found.other) == (2.0, 5.0)


def test_a_users_setting_replaces_the_mini_value(tmp_path):
    assert make_settings(tuned(tmp_path), {"strength": 3.0}, "mini").strength == 3.0


def test_a_configuration_cannot_be_changed_later():
    with pytest.raises(ValueError, match="frozen"):
        config({}).alpha = 1.0


# What is imported when


def modules_after(statement):
    program = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_listing_methods_does_not_import_torch():
    found = modules_after("from vlcl_bench.methods.registry import list_methods\nassert list_methods()")
    assert "vlcl_bench.methods.registry" in found
    assert "torch" not in found


def test_the_command_line_does_not_import_torch():
    found = modules_after("import vlcl_bench.cli.app")
    assert "vlcl_bench.cli.app" in found
    assert "torch" not in found
