"""`vlcl doctor`: what it finds, what it calls a problem, its exit codes."""

import json
from collections import namedtuple
from pathlib import Path

import pytest
import torch
import typer
from support import tiny_clip
from typer.testing import CliRunner

from vlcl_bench.backbones import load_backbone
from vlcl_bench.cli.diagnostics import doctor, machine, storage
from vlcl_bench.cli.diagnostics.backbone import backbone_works, pictures_per_second
from vlcl_bench.cli.doctor import register
from vlcl_bench.common.places import data_home
from vlcl_bench.data.real.catalogue import catalogue, spec_of
from vlcl_bench.errors import IntegrityError
from vlcl_bench.mini.clip.load import CHECKPOINT
from vlcl_bench.mini.world import BACKBONE

TOPICS = {"processor", "cuda", "fences", "precision", "versions", "disk", "store", "data", "backbone", "speed"}


@pytest.fixture(autouse=True)
def places(monkeypatch, tmp_path):
    monkeypatch.setenv("VLCL_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VLCL_STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments):
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)])


def only(findings):
    found = list(findings)
    assert len(found) == 1
    return found[0]


# The command


def test_json_is_one_object_with_a_finding_for_every_topic():
    ended = run("--json")
    found = json.loads(ended.stdout)
    assert ended.exit_code == 0
    assert {finding["topic"] for finding in found["findings"]} == TOPICS
    assert found["status"] in ("ok", "warning")
    assert all(set(finding) == {"topic", "status", "text", "hint", "facts"} for finding in found["findings"])


def test_every_line_says_how_it_stands():
    lines = [line for line in run().stdout.splitlines() if not line.startswith(" ")]
    assert len(lines) >= len(TOPICS)
    assert {line.split()[0] for line in lines} <= {"ok", "warning"}


def test_a_problem_ends_with_the_code_of_machine_errors():
    ended = run("--backbone", "vlcl-mini/nothing")
    assert ended.exit_code == 5
    assert "problem backbone" in ended.stdout
    assert "neither a checkpoint file nor weights" in ended.stdout


def test_a_problem_in_json_says_what_to_do():
    ended = run("--json", "--backbone", "ViT-B-16/openai")
    found = json.loads(ended.stdout)
    backbone = next(finding for finding in found["findings"] if finding["topic"] == "backbone")
    assert (ended.exit_code, found["status"], backbone["status"]) == (5, "problem", "problem")
    assert backbone["hint"] == "Write ViT-B-16-quickgelu/openai."


def test_canaries_are_written_to_a_folder_on_request(tmp_path):
    ended = run("--write-canary", tmp_path / "out", "--json")
    written = Path(json.loads(ended.stdout)["written"])
    assert written.parent == tmp_path / "out"
    assert json.loads(written.read_text())["backbone"] == BACKBONE


# Backbone


def test_the_mini_clip_is_known_and_timed():
    backbone, speed = backbone_works(BACKBONE)
    assert (backbone.status, backbone.facts["status"]) == ("ok", "known")
    assert speed.facts["pictures_per_second"] > 0


def test_a_first_use_is_a_warning_and_then_fine(monkeypatch, tmp_path):
    tiny_clip.install(monkeypatch)
    name = f"tiny/{tiny_clip.checkpoint(tmp_path / 'w.safetensors')}"
    first, second = (next(backbone_works(name)) for _ in range(2))
    assert (first.status, first.facts["status"]) == ("warning", "first-use")
    assert (second.status, second.facts["status"]) == ("ok", "required")
    assert [path.parent for path in (tmp_path / "home").rglob("*.json")] == [data_home() / "canaries"]


def test_a_failed_canary_is_a_problem(monkeypatch):
    def fail(*_):
        raise IntegrityError("not the right features", "look")

    monkeypatch.setattr("vlcl_bench.backbones.canary.check", fail)
    found = only(backbone_works(BACKBONE))
    assert (found.status, found.text, found.hint) == ("problem", "not the right features", "look")


def test_damaged_weights_are_a_problem(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(CHECKPOINT.read_bytes()[:1000])
    assert only(backbone_works(f"vlcl-mini/{path}")).status == "problem"


def test_timing_leaves_the_mode_as_it_was():
    backbone = load_backbone(BACKBONE).train()
    pictures_per_second(backbone)
    assert backbone.training


# Versions


def locked(monkeypatch, tmp_path, text):
    path = tmp_path / "requirements.lock"
    path.write_text(text)
    monkeypatch.setattr(machine, "LOCK", path)
    monkeypatch.setattr(machine, "version", lambda package: {"torch": "2.9.0+cpu"}.get(package, "1.0"))
    return only(machine.versions())


def test_the_locks_versions_are_fine_whatever_the_build(monkeypatch, tmp_path):
    lock = (
        "torch==2.9.0 \\\n    --hash=sha256:0\nopen-clip-torch==1.0\nnumpy==0.9 ; python_version < '3.12'\nnumpy==1.0\n"
    )
    found = locked(monkeypatch, tmp_path, lock)
    assert (found.status, found.facts["other_than_locked"]) == ("ok", {})


def test_other_versions_than_the_locks_are_a_warning(monkeypatch, tmp_path):
    found = locked(monkeypatch, tmp_path, "torch==2.9.1\nnumpy==1.0\n")
    assert (found.status, found.facts["other_than_locked"]) == ("warning", {"torch": ["2.9.1"]})


def test_the_lock_is_the_one_beside_the_package():
    assert Path(__file__).parents[2] / "requirements.lock" == machine.LOCK


def test_without_a_lock_nothing_is_compared(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "LOCK", tmp_path / "none")
    assert only(machine.versions()).status == "ok"


def test_a_missing_package_is_a_problem(monkeypatch):
    monkeypatch.setattr(machine, "PACKAGES", ("torch", "no-such-package-at-all"))
    found = only(machine.versions())
    assert (found.status, found.facts["missing"]) == ("problem", ["no-such-package-at-all"])


# Precision, devices, disk, store


def test_another_default_type_is_a_problem():
    torch.set_default_dtype(torch.float64)
    try:
        assert only(machine.precision()).status == "problem"
    finally:
        torch.set_default_dtype(torch.float32)


def test_rounded_matrix_products_are_a_warning(monkeypatch):
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    assert only(machine.precision()).status == "warning"


def test_tf32_on_a_gpu_is_a_warning_that_runs_take_care_of(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    before = torch.backends.cudnn.conv.fp32_precision
    try:
        torch.backends.cudnn.conv.fp32_precision = "tf32"
        found = only(machine.precision())
        assert (found.status, found.facts["tf32"]) == ("warning", ["convolutions"])
        assert "switches TF32 off by itself" in found.hint
        torch.backends.cudnn.conv.fp32_precision = "ieee"
        assert only(machine.precision()).status == "ok"
    finally:
        torch.backends.cudnn.conv.fp32_precision = before


def test_tf32_does_not_matter_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "tf32_on", lambda: ["convolutions"])
    assert only(machine.precision()).status == "ok"


def test_no_gpu_is_a_warning(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert only(machine.graphics()).status == "warning"


def test_gpus_are_listed_with_their_memory_and_a_dead_one_is_a_problem(monkeypatch):
    def memory(number):
        if number:
            raise RuntimeError("CUDA error")
        return 3 * 10**9, 8 * 10**9

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: namedtuple("P", "name")("GPU X"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)
    first, second = machine.graphics()
    assert (first.status, first.text) == ("ok", "cuda:0 GPU X, 3.0 GB of 8.0 GB free")
    assert second.status == "problem"


def with_free(monkeypatch, free):
    usage = namedtuple("Usage", "total used free")(10**12, 0, int(free))
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    return {finding.facts["what"]: finding.status for finding in storage.disk()}


def test_a_disk_with_room_for_all_test_pictures_is_fine(monkeypatch):
    assert with_free(monkeypatch, 14.6e9) == {"store": "ok", "runs": "ok", "data home": "ok"}


def test_a_disk_without_room_for_all_test_pictures_is_a_warning(monkeypatch):
    assert with_free(monkeypatch, 14.5e9) == {"store": "warning", "runs": "ok", "data home": "ok"}


def test_the_room_needed_is_that_of_the_protocols_test_pictures():
    # Test counts of the eleven sets in MTIL's order, 224 x 224 pixels, three bytes each.
    counts = (3333, 1736, 10000, 1880, 5400, 6149, 25250, 10000, 3669, 8041, 21751)
    assert abs(sum(counts) * 224 * 224 * 3 - storage.FULL_STORE) < 0.05e9


def test_a_folder_that_cannot_be_written_is_a_problem(monkeypatch):
    monkeypatch.setattr(storage, "writable", lambda _: False)
    assert {finding.status for finding in storage.disk()} == {"problem"}


def test_looking_makes_no_folder(places):
    list(storage.disk())
    assert list(places.iterdir()) == []


def test_the_store_is_counted(places):
    folder = places / "store" / "digits-0123"
    folder.mkdir(parents=True)
    (folder / "test.u8").write_bytes(bytes(990))
    (folder / "index.json").write_text("0123456789")
    found = only(storage.store())
    assert (found.facts["entries"], found.facts["bytes"]) == (["digits-0123"], 1000)


# Data


def test_without_a_data_root_nothing_is_looked_for():
    assert only(storage.data(None)).status == "ok"


def test_a_data_root_that_is_not_there_is_a_problem(tmp_path):
    assert only(storage.data(tmp_path / "none")).status == "problem"


def test_data_sets_are_looked_for_one_by_one(tmp_path):
    place = tmp_path / spec_of("dtd").folders[0]
    place.mkdir(parents=True)
    found = only(storage.data(tmp_path))
    assert found.status == "warning"
    there = {name: place for name, place in found.facts["found"].items() if place}
    assert there == {"dtd": str(place)}
    assert found.facts["found"].keys() == set(catalogue())


def test_the_variables_name_the_roots(monkeypatch, tmp_path):
    (tmp_path / "data" / spec_of("dtd").folders[0]).mkdir(parents=True)
    (tmp_path / "hub" / spec_of("mnist").hub.repo).mkdir(parents=True)
    monkeypatch.setenv("VLCL_HUB_ROOT", str(tmp_path / "hub"))
    found = only(storage.data(None)).facts["found"]
    assert {name for name, place in found.items() if place} == {"mnist"}
    assert "caltech101" not in found  # the hub has no copy of it
    monkeypatch.setenv("VLCL_DATA_ROOT", str(tmp_path / "data"))
    found = only(storage.data(None)).facts["found"]
    assert {name for name, place in found.items() if place} == {"dtd", "mnist"}


def test_a_variable_that_names_no_folder_is_a_problem(monkeypatch, tmp_path):
    monkeypatch.setenv("VLCL_HUB_ROOT", str(tmp_path / "none"))
    assert only(storage.data(None)).status == "problem"


def test_another_store_is_looked_at(tmp_path):
    (tmp_path / "other" / "x").mkdir(parents=True)
    (tmp_path / "other" / "x" / "index.json").write_text("{}")
    assert only(storage.store(tmp_path / "other")).facts["entries"] == ["x"]
    assert next(storage.disk(tmp_path / "other")).facts["path"] == str(tmp_path / "other")


def test_the_command_hands_on_where_to_look(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(doctor, "examine", lambda *given: asked.append(given) or [])
    run("--data-root", "d", "--hub-root", "h", "--store", "s", "--device", "cpu", "--json")
    assert asked == [(BACKBONE, Path("d"), Path("h"), Path("s"), "cpu")]


def test_a_device_that_is_not_there_is_a_problem():
    found = only(backbone_works(BACKBONE, "cuda:99"))
    assert (found.status, found.facts) == ("problem", {"backbone": BACKBONE})
    assert "cuda:99" in found.text


# Places


def test_the_data_home_is_the_variables_then_xdgs_then_the_users(monkeypatch, tmp_path):
    assert data_home() == tmp_path / "home"
    monkeypatch.delenv("VLCL_DATA_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere/share")
    assert data_home() == Path("/somewhere/share/vlcl-bench")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/u")
    assert data_home() == Path("/home/u/.local/share/vlcl-bench")


def test_it_says_what_holds_a_method_here_and_warns_where_that_is_little(monkeypatch):
    found = only(machine.fences())
    assert set(found.facts) == {"seccomp", "landlock", "container"}
    assert (found.status == "ok") == (found.facts["seccomp"] and found.facts["landlock"])
    monkeypatch.setattr("vlcl_bench.engine.sandbox.seccomp.why_not", lambda: "too old")
    without = only(machine.fences())
    assert (without.status, without.facts["seccomp"]) == ("warning", False)
    assert "seccomp: too old" in without.text
    assert "isolation.md" in without.hint
