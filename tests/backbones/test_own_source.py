"""A backbone in a file of one's own: its source is part of what a run is, its canary can be renewed, its start runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.harness import World, vlcl

from vlcl_bench.backbones import canary, load_backbone, weights_sha256
from vlcl_bench.backbones.from_file import source_digest
from vlcl_bench.backbones.template import rendered, write_template
from vlcl_bench.common.progress import Reporter
from vlcl_bench.engine.prepare import Request, prepare
from vlcl_bench.errors import IntegrityError, UsageError

START = rendered("mine", 48)
AVERAGE, LARGEST = ".mean(dim=(2, 3)))", ".amax(dim=(2, 3)))"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(START)
    return path


def identity(backbone: str):
    return prepare(Request("tiny", "zero_shot", backbone=backbone), Reporter()).identity


def test_an_edited_file_with_the_same_weights_is_another_run(file: Path, world: World) -> None:
    first = identity(str(file))
    file.write_text(START.replace(AVERAGE, LARGEST))
    second = identity(str(file))
    assert first.backbone_sha256 == second.backbone_sha256
    assert first.run_hash != second.run_hash


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda text: text.replace(AVERAGE, LARGEST), False),
        (lambda text: text.replace("mean = std = (0.5", "mean = std = (0.4"), False),
        (lambda text: text.replace("context_length = 77", "context_length = 76"), False),
        (lambda text: text.replace('"""Normalised pictures', '"""Pictures'), True),
        (lambda text: text + "\n\n# A remark.\n", True),
    ],
    ids=["pooling", "normalisation", "length", "docstring", "comment"],
)
def test_the_digest_is_of_what_the_file_says(change, same: bool, file: Path) -> None:
    before = source_digest(file)
    assert change(START) != START
    file.write_text(change(START))
    assert (source_digest(file) == before) is same


@pytest.mark.parametrize(
    ("line", "name"),
    [("from towers import x", "towers.py"), ("import towers.eye", "towers/eye.py"),
     ("from towers import eye", "towers/eye.py"), ("import towers", "towers/__init__.py"),
     ("from first import x", "second.py")],
)  # fmt: skip
def test_modules_beside_the_file_count(line: str, name: str, file: Path) -> None:
    place = file.parent / name
    place.parent.mkdir(exist_ok=True)
    (file.parent / "first.py").write_text("from second import x\n")
    file.write_text(f"{line}\n{START}")
    place.write_text("x = 1\n")
    before = source_digest(file)
    place.write_text("x = 2\n")
    assert source_digest(file) != before
    (file.parent / "unrelated.py").write_text("x = 2\n")
    assert len({source_digest(file), before}) == 2


@pytest.mark.parametrize(
    ("line", "name"),
    [("from .layers import x", "pkg/layers.py"), ("from . import layers", "pkg/layers.py"),
     ("from .deep.eye import x", "pkg/deep/eye.py"), ("from .deep import eye", "pkg/deep/eye.py"),
     ("from .deep import x", "pkg/deep/__init__.py"), ("from ..other import x", "pkg/other.py"),
     ("from .. import other", "pkg/other.py"), ("from ..deep.eye import x", "pkg/deep/eye.py")],
)  # fmt: skip
def test_modules_that_a_package_imports_from_its_own_folder_count(line: str, name: str, file: Path) -> None:
    model = file.parent / ("pkg/part/model.py" if ".." in line else "pkg/model.py")
    place = file.parent / name
    for path in (model, place):
        path.parent.mkdir(parents=True, exist_ok=True)
    model.write_text(f"{line}\n")
    file.write_text(f"from {'.'.join(model.relative_to(file.parent).with_suffix('').parts)} import Net\n{START}")
    place.write_text("x = 1\n")
    before = source_digest(file)
    place.write_text("x = 2\n")
    after = source_digest(file)
    assert after != before
    (file.parent / place.name).write_text("x = 3\n")  # of the same name, outside the package
    assert source_digest(file) == after


def test_an_import_from_above_every_folder_is_left_to_python(file: Path) -> None:
    file.write_text(f"from {'.' * 99} import x\n{START}")
    assert source_digest(file)


def test_backbones_known_by_name_have_no_source_in_their_identity(world: World) -> None:
    assert "backbone_source_sha256" not in identity("vlcl-mini/v1").facts()


def test_weights_drawn_by_a_factory_are_the_same_each_time_and_move_no_other_draw(file: Path) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first = weights_sha256(load_backbone(str(file)))
    assert torch.equal(torch.rand(3), expected)
    assert weights_sha256(load_backbone(str(file))) == first


def test_a_corrected_wrapper_is_told_how_to_renew_its_canary_and_then_passes(file: Path, tmp_path: Path) -> None:
    place = tmp_path / "canaries"
    canary.check(load_backbone(str(file)), place)
    file.write_text(START.replace(AVERAGE, LARGEST))
    changed = load_backbone(str(file))
    with pytest.raises(IntegrityError) as refused:
        canary.check(changed, place)
    assert "file says something else" in str(refused.value.hint)
    assert f"vlcl backbones renew {file}" in str(refused.value.hint)
    canary.renew(changed, place)
    assert canary.check(changed, place).status == "required"


def test_the_command_renews_and_refuses_the_projects_own(file: Path, world: World) -> None:
    assert vlcl("backbones", "renew", file).code == 0
    ended = vlcl("backbones", "renew", "vlcl-mini/v1")
    assert ended.code == 2
    assert "the project's own" in ended.err


@pytest.mark.parametrize("setting", ["mean = (0.4, 0.5, 0.5)", "image_size = 40"])
def test_another_setting_with_the_same_weights_names_the_way_out_too(setting: str, file: Path, tmp_path: Path) -> None:
    place = tmp_path / "canaries"
    canary.check(load_backbone(str(file)), place)
    file.write_text(START.replace("    context_length", f"    {setting}\n    context_length"))
    with pytest.raises(IntegrityError, match="vlcl backbones renew"):
        canary.check(load_backbone(str(file)), place)


def test_the_start_is_written_once_and_only_as_a_python_file(tmp_path: Path) -> None:
    path = tmp_path / "my_backbone.py"
    ended = vlcl("backbones", "new", path, "--image-size", 64)
    assert (ended.code, load_backbone(str(path)).image_size) == (0, 64)
    for wrong in (path, tmp_path / "my_backbone.txt"):
        with pytest.raises(UsageError):
            write_template(wrong, 48)
    with pytest.raises(UsageError, match="too small"):
        write_template(tmp_path / "small.py", 7)


def test_features_of_the_start_do_not_depend_on_the_company_of_a_text(file: Path) -> None:
    backbone = load_backbone(str(file)).eval()
    with torch.no_grad():
        together = backbone.encode_text(backbone.tokenize(["a", "a long text " * 20, "é"]))
        alone = backbone.encode_text(backbone.tokenize(["a"]))
    torch.testing.assert_close(together[0], alone[0])
    assert together.shape == (3, 64)


def test_a_size_that_does_not_fit_is_answered_for_who_chose_it(file: Path, world: World) -> None:
    file.write_text(START.replace("image_size = 48", "image_size = 64"))
    ended = vlcl("run", "--protocol", "tiny", "--backbone", file, "--method", "zero_shot")
    assert ended.code == 2
    assert "set image_size = 48 in the backbone's file" in ended.err
    protocol = Path("mine.toml")
    text = (world.protocols / "tiny.toml").read_text()
    protocol.write_text(text.replace('"vlcl-mini/v1"', f'"{file}"').replace('"tiny"', '"own"'))
    ended = vlcl("run", "--protocol", protocol, "--method", "zero_shot")
    assert ended.code == 2
    assert "--backbone" not in ended.err
    assert "Name another backbone in the protocol's file" in ended.err


def test_the_list_has_whole_names() -> None:
    lines = [line.strip() for line in vlcl("backbones").out.splitlines()]
    assert {"vlcl-mini/v1", "ViT-B-16-quickgelu/openai"} <= set(lines)
    assert "ViT-B-16/openai" not in lines
    assert "vlcl-mini/v1" in vlcl("backbones", "--json").json["shipped"]
