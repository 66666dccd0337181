"""Which isolation is taken, and what is said where it is not available."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from support.harness import method_file, vlcl

from vlcl_bench.engine.prepare import Request
from vlcl_bench.engine.sandbox import container
from vlcl_bench.engine.sandbox.supervisor import check_generator, hidden_from, supervised
from vlcl_bench.errors import MachineError, MethodError, UsageError
from vlcl_bench.methods.card import MethodCard
from vlcl_bench.methods.registry import MethodRef
from vlcl_bench.protocols.load import load_protocol

SAID = {
    "title": "T", "deterministic": False, "reference": [], "settings": {"a": 0.1}, "defaults": {"a": 0.2},
    "unranked_because": "",
}  # fmt: skip


def test_what_comes_from_a_file_or_folder_is_isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    method_file(tmp_path / "entry", "    pass\n", name="method.py")
    method_file(tmp_path, "    pass\n", name="my.py")
    (tmp_path / "finetune").mkdir()
    kinds = {name: MethodRef.parse(name).default_isolation for name in ("finetune", "my.py", "my.py:Mine", "./entry")}
    assert kinds == {"finetune": "inline", "my.py": "process", "my.py:Mine": "process", "./entry": "process"}


def test_a_method_is_found_without_being_imported(tmp_path: Path) -> None:
    path = method_file(tmp_path / "entry", "    raise_me = 1 / 0\n", name="method.py")
    method = MethodRef.parse(str(path.parent))
    assert (method.name, method.path, method.folder) == ("entry", path, path.parent)
    mine = method_file(tmp_path, "    pass\n")
    for spec in ("finetune", "auto_seed_vl2", str(mine), f"{mine}:Mine"):
        method = MethodRef.parse(spec)
        again = MethodRef.parse(method.specification)
        assert (again.path, again.class_name, again.source_sha256) == (
            method.path, method.class_name, method.source_sha256,
        )  # fmt: skip
    with pytest.raises(UsageError, match="no method file"):
        MethodRef.parse("nothing.py")
    with pytest.raises(UsageError, match="unknown method 'finetun'"):
        MethodRef.parse("finetun")


def test_an_entry_point_can_only_be_inline(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name, value = "theirs", "their.module"

    monkeypatch.setattr("vlcl_bench.methods.registry.entry_points", lambda group: [Point])
    request = Request("mini-dev", "theirs", isolation="process")
    with supervised(request, torch.device("cpu")) as supervisor, pytest.raises(UsageError, match="installed package"):
        supervisor.describe(MethodRef.parse("theirs"), load_protocol("mini-dev"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--isolation", "jail"), "isolation (--isolation) 'jail' is not one of inline, process, container"),
        (("--time-limit", "soon"), "--time-limit 'soon' is not a number of seconds"),
        (("--memory-limit", "much"), "--memory-limit 'much' is not an amount of memory"),
    ],
)
def test_options_that_make_no_sense(arguments: tuple[str, ...], said: str) -> None:
    ended = vlcl("run", "--protocol", "mini-dev", "--method", "finetune", *arguments)
    assert (ended.code, said in ended.err) == (2, True), ended.err


def test_without_bubblewrap_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="no `bwrap` here") as caught:
        container.require_bwrap()
    assert "apt-get install bubblewrap" in str(caught.value.hint)
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho no permission >&2; exit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    with pytest.raises(MachineError, match="may not make a container here: no permission"):
        container.require_bwrap()


def test_a_container_binds_only_what_is_named(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    line = container.contained(["python"], tmp_path / "scratch", [tmp_path / "own", tmp_path / "gone"], [tmp_path])
    text = " ".join(line)
    assert "--unshare-all" in line
    assert f"--ro-bind {tmp_path / 'own'} {tmp_path / 'own'}" in text
    assert "gone" not in text
    assert f"--bind {tmp_path / 'scratch'}" in text
    assert str(Path.home() / ".ssh") not in text
    assert not any(line[i : i + 3] == ["--ro-bind", "/", "/"] for i in range(len(line)))


@pytest.mark.parametrize(
    "change",
    [{"title": 3}, {"title": ""}, {"title": "x" * 300}, {"deterministic": 1}, {"reference": [1]}, {"settings": []},
     {"unranked_because": None}, {"defaults": None}, {"more": 1}, {"reference": ["labels"]},
     *({name: {key: value}} for name in ("settings", "defaults") for key, value in (
         ("reference_pictures", "x"), ("reference_texts", [1]), ("generator", 5), ("generator", "x" * 5000),
         ("denoising_steps", 0), ("denoising_steps", 2.5), ("guidance", "much"), ("picture_size", -1), ("pictures", {}),
     ))],
)  # fmt: skip
def test_a_card_that_is_none(change: dict[str, object]) -> None:
    with pytest.raises(MethodError, match="does not describe itself correctly"):
        MethodCard.read(SAID | change)
    with pytest.raises(MethodError):
        MethodCard.read(None)


def test_a_card_is_plain_data_that_crosses_as_it_is() -> None:
    card = MethodCard.of(MethodRef.parse("l2").load(), {"weight": 0.5}, "mini")
    assert (card.title, card.settings["weight"], card.defaults["weight"]) == ("l2 baseline", 0.5, 0.1)
    assert MethodCard.read(json.loads(json.dumps(card.model_dump(mode="json")))) == card


@pytest.mark.parametrize("needed", ["method", "file", "python", "package"])
def test_what_is_hidden_never_holds_what_the_method_needs(
    needed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = method_file(tmp_path / "all" / "entry", "    pass\n", name="method.py").parent
    for name in ("data", "other", "entry/runs/1", "entry/tried/2"):
        (tmp_path / "all" / name).mkdir(parents=True)
    for name in ("entry/runs/1/run.json", "entry/tried/2/journal.jsonl", "entry/notes.json"):
        (tmp_path / "all" / name).write_text("{}")
    (tmp_path / "all" / "python").mkdir()
    if needed == "python":
        monkeypatch.setattr("sys.prefix", str(tmp_path / "all" / "python"))
    if needed == "package":
        monkeypatch.setattr("vlcl_bench.engine.sandbox.supervisor.package_root", lambda: tmp_path / "all" / "python")
    method = MethodRef.parse(str(entry / "method.py") if needed == "file" else str(entry))
    request = Request("mini-dev", str(entry), runs=tmp_path / "all", out=tmp_path / "out", store=tmp_path / "store")
    hidden = {path.resolve() for path in hidden_from(request, method)}
    whole = {tmp_path / "all" / name for name in ("data", "other")} | {tmp_path / "out", tmp_path / "store"}
    assert whole <= hidden
    assert not {entry, entry / "method.py", tmp_path / "all"} & hidden
    assert (tmp_path / "all" / "python" in hidden) == (needed in ("method", "file"))
    below = {entry / "runs", entry / "tried" / "2"} if needed != "file" else {entry / "runs", entry / "tried"}
    assert below <= hidden
    assert (entry / "notes.json" in hidden) == (needed == "file")


def test_originals_of_real_data_are_hidden(tmp_path: Path) -> None:
    entry = method_file(tmp_path / "entry", "    pass\n", name="method.py").parent
    (entry / "photos").mkdir()
    request = Request("mini-dev", str(entry), data_root=entry / "photos", hub_root=tmp_path / "entry")
    hidden = hidden_from(request, MethodRef.parse(str(entry)))
    assert entry / "photos" in hidden
    assert entry not in hidden


@pytest.mark.parametrize("place", ["pipe", "entry/pipe", "file.py"])
def test_a_method_does_not_choose_what_the_harness_loads(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "entry" / "pipe").mkdir(parents=True)
    (tmp_path / "pipe").mkdir()
    (tmp_path / "file.py").touch()
    for named in (place, str(tmp_path / place)):
        card = MethodCard.read(SAID | {"settings": {"generator": named}})
        with pytest.raises(MethodError, match="outside of its process") as caught:
            check_generator(card, {})
        assert f"--set generator={named}" in str(caught.value.hint)
        check_generator(card, {"generator": named})  # the user's word
    for named in (None, "vlcl-mini-diffusion/v1", "stabilityai/stable-diffusion-2-1"):
        check_generator(MethodCard.read(SAID | {"settings": {"generator": named}}), {})
