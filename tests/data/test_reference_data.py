"""Reference data: the mini world's pretraining pictures, the full protocols' trees, and the hashes of runs."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.layouts_fixture import EACH, build, shrunken

from vlcl_bench.common.fileio import canonical_json, sha256_bytes, sha256_text
from vlcl_bench.common.progress import Reporter
from vlcl_bench.data.interface import Places
from vlcl_bench.data.manifest import FOLDER, read_manifest
from vlcl_bench.data.open import open_dataset
from vlcl_bench.data.pictures import SomePictures, UncheckedPictures
from vlcl_bench.data.real.captions import TEXTS
from vlcl_bench.data.real.catalogue import spec_of
from vlcl_bench.data.real.dataset import RealDataSet
from vlcl_bench.data.real.world import RealWorld
from vlcl_bench.data.reference import plan_reference
from vlcl_bench.data.store import Store
from vlcl_bench.errors import IntegrityError, UsageError
from vlcl_bench.mini.datasets import REFERENCE_SIZE
from vlcl_bench.mini.world import REFERENCE
from vlcl_bench.protocols.load import load_protocol
from vlcl_bench.records.files import read_record
from vlcl_bench.records.schema import Identity

ROOT = Path(__file__).parents[2]
COMMITTED = sorted(path.parent for path in ROOT.glob("submissions/*/runs/*/run.json"))


# The mini protocols


@pytest.fixture(scope="module")
def listed() -> list[str]:
    return read_manifest(REFERENCE).samples("train")


@pytest.fixture(scope="module")
def pretrained() -> dict[str, Any]:
    from vlcl_bench.mini.corpus import corpus

    return {example.picture.id: example for example in corpus()}


def test_the_mini_reference_has_4000_different_pictures(listed: list[str]) -> None:
    assert len(listed) == len(set(listed)) == REFERENCE_SIZE == 4_000
    assert read_manifest(REFERENCE).samples("test") == []


def test_every_mini_reference_picture_was_seen_in_pretraining(listed: list[str], pretrained: dict[str, Any]) -> None:
    assert set(listed) <= pretrained.keys()


def test_every_mini_reference_text_is_a_pretraining_caption_of_its_picture(
    listed: list[str], pretrained: dict[str, Any]
) -> None:
    for sample, texts in zip(listed, read_manifest(REFERENCE).captions("train"), strict=True):
        assert len(texts) == 1
        assert texts[0] in pretrained[sample].captions


def test_no_mini_reference_picture_is_in_any_task(listed: list[str]) -> None:
    own = set(listed)
    manifests = [read_manifest(path.stem) for path in sorted(FOLDER.glob("*.parquet")) if path.stem != REFERENCE]
    assert len(manifests) >= 15
    for manifest in manifests:
        for split in ("train", "test"):
            assert own.isdisjoint(manifest.samples(split)), manifest.dataset


def test_no_test_drawing_of_a_task_is_in_the_mini_reference(listed: list[str]) -> None:
    from vlcl_bench.mini.corpus import held_drawings

    assert held_drawings().isdisjoint(sample.rpartition("@")[0] for sample in listed)


def test_no_mini_reference_picture_has_the_content_of_a_tasks_picture() -> None:
    own = set(read_manifest(REFERENCE).hashes("train"))
    for path in sorted(FOLDER.glob("*.parquet")):
        if path.stem != REFERENCE:
            manifest = read_manifest(path.stem)
            assert own.isdisjoint(manifest.hashes("train") + manifest.hashes("test")), path.stem


def test_the_mini_reference_is_what_its_manifest_says(listed: list[str]) -> None:
    manifest, dataset = read_manifest(REFERENCE), open_dataset("mini", REFERENCE)
    entries = [dataset.collect(Places()).entries for _ in range(2)]
    for found in entries:
        assert [entry.sample for entry in found] == listed
        assert [entry.captions for entry in found] == manifest.captions("train")
    for row in range(0, len(listed), 199):
        pixels = entries[0][row].original.load()[1]
        assert sha256_bytes(np.ascontiguousarray(pixels).tobytes()) == manifest.hashes("train")[row]


# Identities


def hashed_as_before(identity: Identity) -> str:
    """The run hash as it was before there was auxiliary data, computed by hand."""
    names = (
        "protocol", "protocol_version", "protocol_fingerprint", "method", "method_source_sha256", "backbone",
        "backbone_sha256", "seed",
    )  # fmt: skip
    facts = {name: getattr(identity, name) for name in names} | {"config": identity.settings}
    return sha256_text(canonical_json(facts))[:16]


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: f"{folder.parent.parent.name}-{folder.name}")
def test_committed_records_still_have_their_run_hash(folder: Path) -> None:
    record = read_record(folder)
    assert record.run_hash == record.identity.run_hash == folder.name
    if not record.identity.reference:
        assert record.run_hash == hashed_as_before(record.identity)


def test_committed_records_name_auxiliary_data_exactly_where_the_method_declares_them() -> None:
    from vlcl_bench.methods.declaration import declared_reference
    from vlcl_bench.methods.registry import load_method

    for folder in COMMITTED:
        identity = read_record(folder).identity
        own = folder.parents[1] / "method.py"
        cls = load_method(str(own) if own.exists() else identity.method)
        assert identity.reference.keys() == set(declared_reference(cls)), folder


def test_the_mini_reference_is_named_as_the_hashes_of_runs_require() -> None:
    protocol = load_protocol("mini-mtil-1")
    lends = partial(protocol.world.plan_reference, places=Places(), side=protocol.side)
    planned = plan_reference(lends, ("pictures", "texts"), protocol.budget.auxiliary_size, {})
    assert planned is not None
    named = {kind: f"mini-reference {count} d268c8d9ab1df5b3" for kind, count in (("pictures", 4000), ("texts", 2703))}
    assert planned.identity == named


def identity(**reference: str) -> Identity:
    return Identity(
        protocol="p", protocol_version=1, protocol_fingerprint="f", method="m", method_source_sha256="s",
        settings={"weight": 1.0}, backbone="b", backbone_sha256="w", seed=0, reference=reference,
    )  # fmt: skip


def test_a_run_without_auxiliary_data_hashes_as_if_there_were_none() -> None:
    assert "auxiliary" not in identity().facts()
    assert identity().run_hash == hashed_as_before(identity())


def test_a_runs_hash_depends_on_its_auxiliary_data() -> None:
    some = [identity(), identity(pictures="a"), identity(pictures="b"), identity(texts="a")]
    some.append(identity(pictures="a", texts="a"))
    assert len({one.run_hash for one in some}) == len(some)


def test_a_record_written_before_there_was_auxiliary_data_is_read() -> None:
    facts = json.loads(canonical_json(identity().facts()))
    assert Identity.model_validate(facts) == identity()


# The full protocols


CAPTIONS = ["a dog on a sofa", "two boats", "a dog on a sofa", "rain over the old town"]
FULL = SimpleNamespace(scale="full", side=8, budget=SimpleNamespace(auxiliary_size=10_000))


@pytest.fixture
def trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with three classes of ImageNet and four captions."""
    pictures = shrunken("imagenet", train=3 * EACH)
    texts = spec_of("conceptual_captions").model_copy(update={"train": len(CAPTIONS)})
    build(tmp_path, pictures)
    folder = tmp_path / texts.folders[0]
    folder.mkdir()
    (folder / TEXTS).write_text("".join(f"{text}\thttp://example.org/{i}\n" for i, text in enumerate(CAPTIONS)))
    monkeypatch.setattr(RealWorld, "open_dataset", lambda world, name: RealDataSet(pictures))
    monkeypatch.setattr("vlcl_bench.data.real.catalogue.spec_of", lambda name: texts)
    return tmp_path


def opened(root: Path, *kinds: str, **settings: Any) -> Any:
    lends = partial(RealWorld().plan_reference, places=Places.given(root, None), side=FULL.side)
    planned = plan_reference(lends, kinds, FULL.budget.auxiliary_size, settings)
    assert planned is not None
    return planned.open(Store(root / "store"), Reporter())


def test_no_more_pictures_are_lent_than_the_protocol_allows(trees: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FULL.budget, "auxiliary_size", 5)
    found = opened(trees, "pictures", "texts")
    assert len(found.pictures) == 5
    assert len(found.texts) == 3
    assert found.identity["pictures"].endswith(f", 5 of {3 * EACH}")
    assert len(opened(trees, "pictures", reference_pictures=2).pictures) == 2


@pytest.mark.parametrize("kind", ["pictures", "texts"])
@pytest.mark.parametrize("count", [0, -3])
def test_a_setting_that_leaves_nothing_to_lend_is_refused(kind: str, count: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"reference_{kind} is {count}") as refused:  # before any data are looked for
        opened(tmp_path, "pictures", "texts", **{f"reference_{kind}": count})
    assert f"reference_{kind}" in refused.value.hint


def test_a_protocol_that_lends_no_pictures_refuses_a_method_that_needs_them(
    trees: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FULL.budget, "auxiliary_size", 0)
    with pytest.raises(UsageError, match="auxiliary_size"):
        opened(trees, "pictures", "texts")
    assert len(opened(trees, "texts").texts) == 3


def test_the_full_reference_is_imagenets_training_pictures_decoded_on_demand(trees: Path) -> None:
    found = opened(trees, "pictures", "texts")
    assert isinstance(found.pictures, UncheckedPictures)
    assert len(found.pictures) == 3 * EACH
    pixels = found.pictures[np.array([0, 7, 14])]
    assert (pixels.shape, pixels.dtype) == ((3, 8, 8, 3), np.uint8)
    # The pictures of a tree are of one colour, whose red says which they are, as far as JPEG keeps it.
    reds = found.pictures[np.arange(3 * EACH)][:, 4, 4, 0].tolist()
    assert sorted(reds) == pytest.approx(list(range(1, 3 * EACH + 1)), abs=2)
    assert not (trees / "store").exists()


def test_the_full_references_texts_are_the_captions_each_once(trees: Path) -> None:
    assert opened(trees, "texts").texts == ("a dog on a sofa", "two boats", "rain over the old town")


def test_the_full_reference_is_named_with_its_size_and_fingerprint(trees: Path) -> None:
    found = opened(trees, "pictures", "texts").identity
    assert found["pictures"].startswith(f"imagenet {3 * EACH} ")
    assert found["texts"].startswith("conceptual_captions 3 ")
    assert found == opened(trees, "pictures", "texts").identity


def test_another_list_of_pictures_has_another_fingerprint(trees: Path) -> None:
    before = opened(trees, "pictures").identity
    path = sorted((trees / "imagenet/train").glob("*/*.jpg"))[3]
    path.rename(path.with_name("image_9999.jpg"))
    assert opened(trees, "pictures").identity != before


def test_another_caption_has_another_fingerprint(trees: Path) -> None:
    before = opened(trees, "texts").identity
    path = trees / "conceptual_captions" / TEXTS
    path.write_text(path.read_text().replace("boats", "ships"))
    assert opened(trees, "texts").identity != before


def test_a_subset_of_the_full_pictures_is_drawn_with_seed_42_and_named(trees: Path) -> None:
    every, found = opened(trees, "pictures"), opened(trees, "pictures", reference_pictures=4)
    rows = np.sort(np.random.default_rng(42).permutation(3 * EACH)[:4])
    assert isinstance(found.pictures, SomePictures)
    np.testing.assert_array_equal(found.pictures[np.arange(4)], every.pictures[rows])
    assert found.identity == {"pictures": f"{every.identity['pictures']}, 4 of {3 * EACH}"}


def test_a_method_of_texts_only_needs_no_pictures(trees: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RealWorld, "open_dataset", lambda *given: pytest.fail("pictures were opened"))
    assert len(opened(trees, "texts").pictures) == 0


def test_a_method_of_pictures_only_needs_no_texts(trees: Path) -> None:
    (trees / "conceptual_captions" / TEXTS).unlink()
    assert opened(trees, "pictures").texts == ()


def test_captions_that_are_cut_short_are_refused(trees: Path) -> None:
    path = trees / "conceptual_captions" / TEXTS
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(IntegrityError, match="3 captions, expected 4"):
        opened(trees, "texts")


def test_a_missing_imagenet_says_where_it_belongs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="imagenet") as refused:
        opened(tmp_path, "pictures")
    assert str(tmp_path / "imagenet/train") in refused.value.hint


def test_a_broken_reference_picture_is_refused_when_it_is_drawn(trees: Path) -> None:
    found = opened(trees, "pictures")
    path = sorted((trees / "imagenet/train").glob("*/*.jpg"))[0]
    path.write_bytes(b"no picture")
    with pytest.raises(IntegrityError, match=path.name):
        found.pictures[np.arange(3 * EACH)]
