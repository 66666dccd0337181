"""The mini world: deterministic pictures, clean splits, and two orders that mirror MTIL's."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from vlcl_bench.data.interface import SPLITS
from vlcl_bench.data.manifest import read_manifest
from vlcl_bench.mini import openmoji
from vlcl_bench.mini.corpus import STYLES, corpus
from vlcl_bench.mini.domains import development_domains, domains, sketches
from vlcl_bench.mini.pictures import Picture, drawing_svg, render
from vlcl_bench.mini.renditions import SIZE
from vlcl_bench.protocols.load import load_protocol

DOMAINS = {**domains(), **development_domains()}
ORDER_1 = "Aircraft Caltech101 CIFAR100 DTD EuroSAT Flowers Food MNIST OxfordPet StanfordCars SUN397"
ORDER_2 = "StanfordCars Food MNIST OxfordPet Flowers SUN397 Aircraft Caltech101 DTD EuroSAT CIFAR100"


def some_pictures(name):
    """First, middle and last picture of each split of a domain, with their places."""
    for split in SPLITS:
        pictures = [picture for picture, _ in DOMAINS[name].pictures(split)]
        for place in (0, len(pictures) // 2, len(pictures) - 1):
            yield split, place, pictures[place]


def digest(picture):
    styles = STYLES | {name: domain.style for name, domain in DOMAINS.items()}
    return hashlib.sha256(render(picture, styles).tobytes()).hexdigest()


def chosen_pictures():
    """One picture of every domain and of every style of the corpus."""
    found = [next(DOMAINS[name].pictures("test"))[0] for name in DOMAINS]
    for style in STYLES:
        found += [Picture("openmoji/1F431", style), Picture(f"sketch/scenes/{sketches('scenes')[0]}/3", style)]
    return found


def drawings(domain, split):
    return {picture.drawing for picture, _ in domain.pictures(split)}


@pytest.fixture(scope="module")
def pretraining():
    return [example.picture for example in corpus()]


# Rendering


@pytest.mark.parametrize("name", DOMAINS)
def test_pictures_are_square_and_of_bytes(name):
    picture, _ = next(DOMAINS[name].pictures("train"))
    image = render(picture, {name: DOMAINS[name].style})
    assert (image.shape, image.dtype) == ((SIZE, SIZE, 3), np.uint8)


@pytest.mark.parametrize("name", DOMAINS)
def test_committed_hashes_are_those_of_the_pictures_drawn_now(name):
    manifest = read_manifest(name)
    for split, place, picture in some_pictures(name):
        assert (manifest.samples(split)[place], manifest.hashes(split)[place]) == (picture.id, digest(picture))


def test_drawing_again_gives_the_same_bytes():
    first = [digest(picture) for picture in chosen_pictures()]
    drawing_svg.cache_clear()
    assert [digest(picture) for picture in reversed(chosen_pictures())] == first[::-1]


@pytest.mark.slow
def test_a_fresh_process_draws_the_same_bytes():
    program = (
        "import json, runpy, sys\nthere = runpy.run_path(sys.argv[1])\n"
        "print(json.dumps([there['digest'](picture) for picture in there['chosen_pictures']()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, __file__],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "12345"},
    )  # fmt: skip
    assert json.loads(done.stdout) == [digest(picture) for picture in chosen_pictures()]


def test_another_variation_is_another_picture():
    one, two = (Picture("openmoji/1F431", "plain", variation) for variation in (0, 1))
    assert digest(one) != digest(two)


def test_another_style_is_another_picture():
    assert len({digest(Picture("openmoji/1F431", style)) for style in STYLES}) == len(STYLES)


def test_another_instance_is_another_drawing():
    assert drawing_svg("sketch/plants/rose/1") != drawing_svg("sketch/plants/rose/2")


# Splits


def test_no_picture_of_a_task_is_in_the_corpus(pretraining):
    corpus_ids = {picture.id for picture in pretraining}
    for domain in DOMAINS.values():
        ids = {picture.id for split in SPLITS for picture, _ in domain.pictures(split)}
        assert not ids & corpus_ids, domain.name


def test_no_test_drawing_is_in_the_corpus_in_any_rendition(pretraining):
    seen = {picture.drawing for picture in pretraining}
    for domain in DOMAINS.values():
        assert not drawings(domain, "test") & seen, domain.name


@pytest.mark.parametrize("name", DOMAINS)
def test_training_and_test_drawings_are_disjoint(name):
    assert not drawings(DOMAINS[name], "train") & drawings(DOMAINS[name], "test")


def test_no_test_drawing_of_a_domain_is_a_training_drawing_of_another():
    trained = set().union(*(drawings(domain, "train") for domain in DOMAINS.values()))
    tested = set().union(*(drawings(domain, "test") for domain in DOMAINS.values()))
    assert not trained & tested


def content(drawing):
    if drawing.startswith("digits/"):
        from vlcl_bench.mini.pictures import digit_data

        return digit_data()[0][int(drawing.removeprefix("digits/"))].tobytes()
    return drawing_svg(drawing)


@pytest.mark.parametrize("name", DOMAINS)
def test_no_test_drawing_is_a_training_drawing_under_another_id(name):
    trained = {content(drawing) for drawing in drawings(DOMAINS[name], "train")}
    assert not [drawing for drawing in drawings(DOMAINS[name], "test") if content(drawing) in trained]


def test_no_test_drawing_of_openmoji_is_in_the_corpus_under_another_id(pretraining):
    seen = {content(picture.drawing) for picture in pretraining if picture.drawing.startswith("openmoji/")}
    held = set().union(*(drawings(domain, "test") for domain in DOMAINS.values()))
    assert not [drawing for drawing in held if drawing.startswith("openmoji/") and content(drawing) in seen]


def test_picture_ids_of_the_corpus_are_unique(pretraining):
    assert len({picture.id for picture in pretraining}) == len(pretraining)


def test_handwriting_is_in_no_pretraining_picture(pretraining):
    assert not [picture for picture in pretraining if picture.drawing.startswith("digits/")]


def test_every_caption_of_the_corpus_names_its_concept():
    assert all(example.concept in caption for example in corpus() for caption in example.captions)


# Domains and orders


@pytest.mark.parametrize("name", domains())
def test_a_task_has_eight_to_twelve_classes(name):
    assert 8 <= len(DOMAINS[name].classes) <= 12


@pytest.mark.parametrize("name", DOMAINS)
def test_the_classes_of_a_task_have_different_names(name):
    assert len(set(DOMAINS[name].classes)) == len(DOMAINS[name].classes)


@pytest.mark.parametrize("name", DOMAINS)
def test_a_domains_style_is_none_of_the_corpus(name):
    assert DOMAINS[name].style not in STYLES.values()
    assert name not in STYLES


def test_no_two_domains_share_a_style():
    styles = [domain.style for domain in DOMAINS.values()]
    assert all(styles.count(style) == 1 for style in styles)


@pytest.mark.parametrize(("protocol", "order"), [("mini-mtil-1", ORDER_1), ("mini-mtil-2", ORDER_2)])
def test_an_order_mirrors_mtils(protocol, order):
    assert [domains()[task].stands_for for task in load_protocol(protocol).dataset_names] == order.split()


@pytest.mark.parametrize("protocol", ["mini-mtil-1", "mini-mtil-2"])
def test_an_order_holds_each_of_the_eleven_domains_once(protocol):
    assert sorted(load_protocol(protocol).dataset_names) == sorted(domains())
    assert len(domains()) == 11


def test_the_second_order_is_the_published_permutation_of_the_first():
    first, second = load_protocol("mini-mtil-1").dataset_names, load_protocol("mini-mtil-2").dataset_names
    assert [first.index(task) for task in second] == [9, 6, 7, 8, 5, 10, 0, 1, 3, 4, 2]


def test_every_drawing_of_people_and_hands_is_installed():
    for domain in DOMAINS.values():
        if domain.source.startswith(("people", "hands")):
            codes = {drawing.removeprefix("openmoji/") for split in SPLITS for drawing in drawings(domain, split)}
            assert codes <= openmoji.available()
