"""ImageNet-R divided by a list of the user's, in the format of RAPF's."""

import pytest
from support.layouts_fixture import build, shrunken

from vlcl_bench.data.real.assemble import assemble
from vlcl_bench.data.real.catalogue import spec_of
from vlcl_bench.data.real.layouts import LAYOUTS
from vlcl_bench.errors import IntegrityError
from vlcl_bench.protocols.load import load_protocol

LIST = "imgr_train_test_split.txt"


@pytest.fixture
def spec():
    return shrunken("imagenet_r-rapf")


@pytest.fixture
def folder(tmp_path, spec):
    return build(tmp_path, spec)


def collect(folder, spec):
    return assemble(spec, LAYOUTS[spec.layout](folder, spec))


def test_the_list_says_which_picture_is_for_what(folder, spec):
    names = spec.names_in_source
    (folder / LIST).write_text(
        f"train\n{names[2]}/image_0005.jpg\n{names[0]}/image_0001.jpg\n{names[1]}/image_0002.jpg\n"
        f"test\n{names[1]}/image_0001.jpg\n{names[0]}/image_0002.jpg\n{names[2]}/image_0001.jpg\n"
    )
    entries = collect(folder, spec.model_copy(update={"train": 3, "test": 3}))
    assert [(entry.split, entry.label, entry.sample) for entry in entries] == [
        ("train", 2, f"{names[2]}/image_0005.jpg"), ("train", 0, f"{names[0]}/image_0001.jpg"),
        ("train", 1, f"{names[1]}/image_0002.jpg"), ("test", 1, f"{names[1]}/image_0001.jpg"),
        ("test", 0, f"{names[0]}/image_0002.jpg"), ("test", 2, f"{names[2]}/image_0001.jpg"),
    ]  # fmt: skip
    assert entries[0].original.load()[1].shape[2] == 3


def test_a_whole_tree_is_read(folder, spec):
    assert [entry.split for entry in collect(folder, spec)] == ["train"] * 9 + ["test"] * 6


def test_without_the_list_its_place_is_told(folder, spec):
    (folder / LIST).unlink()
    with pytest.raises(IntegrityError, match=LIST) as caught:
        collect(folder, spec)
    assert f"put it into {folder}" in caught.value.hint


@pytest.mark.parametrize(
    "line", ["n00000000/art_0.jpg", "validation", "image_0001.jpg", "{0}/", "{0}/x/y.jpg", "Train"]
)
def test_a_line_of_another_kind_is_named(folder, spec, line):
    line = line.format(spec.names_in_source[0])
    path = folder / LIST
    path.write_text(path.read_text() + f"{line}\n")
    with pytest.raises(IntegrityError) as caught:
        collect(folder, spec)
    assert f"has the line {line!r}" in caught.value.message


def test_pictures_before_the_first_heading_are_refused(folder, spec):
    path = folder / LIST
    path.write_text(path.read_text().removeprefix("train\n"))
    with pytest.raises(IntegrityError, match="expected 'train' or 'test'"):
        collect(folder, spec)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text + text.splitlines()[1] + "\n", "are listed twice"),
        (lambda text: "\n".join(text.splitlines()[:-1]), "found 5 test pictures, expected 6"),
        (lambda text: text.replace("image_0001", "image_0009"), "image_0009.jpg is missing"),
    ],
)
def test_a_list_that_does_not_fit_the_pictures_is_refused(folder, spec, change, said):
    path = folder / LIST
    path.write_text(change(path.read_text()))
    with pytest.raises(IntegrityError, match=said):
        collect(folder, spec)


def test_the_data_set_is_imagenet_r_in_all_but_the_split():
    ours, rapf = spec_of("imagenet_r"), spec_of("imagenet_r-rapf")
    assert (rapf.class_names, rapf.source_names, rapf.templates) == (
        ours.class_names,
        ours.source_names,
        ours.templates,
    )
    assert (rapf.train, rapf.test, ours.pool) == (24_000, 6_000, 30_000)


def test_the_protocol_is_c2r_in_all_but_that_data_set():
    ours, rapf = load_protocol("c2r"), load_protocol("c2r@rapf")
    assert rapf.dataset_names == ("cifar100", "imagenet_r-rapf")
    for field in ("budget", "augmentation", "aliases", "picture_size", "evaluation_batch", "backbone", "source"):
        assert getattr(rapf, field) == getattr(ours, field)
    assert [step.classes for step in rapf.tasks] == [step.classes for step in ours.tasks]
    assert "Not comparable with c2r" in rapf.description
    assert "imagenet_r-rapf" in {dataset.name for dataset in rapf.datasets}
