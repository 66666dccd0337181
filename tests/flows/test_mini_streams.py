"""The data sets of mini-c2r and mini-c2f: whose drawings they use, and whether their captions are true."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from vlcl_bench.errors import UsageError
from vlcl_bench.mini.class_stream import FAMILIES, class_streams
from vlcl_bench.mini.contact_sheet import stream_sheet
from vlcl_bench.mini.corpus import STYLES, corpus
from vlcl_bench.mini.domains import development_domains, domains, sketches
from vlcl_bench.mini.pictures import drawing_svg, render
from vlcl_bench.mini.renditions import SIZE
from vlcl_bench.mini.scene_captions import noun_phrase, plural, singular
from vlcl_bench.mini.scene_sets import Group, scene_sets
from vlcl_bench.mini.scene_settings import COLORS, PATTERNS

SPLITS = ("train", "test")
STREAMS = class_streams()
SCENES = scene_sets()
COCO = [name for name in SCENES if name != "mini-stories"]
NUMBERS = {"another": 1, "one": 1, "two": 2, "three": 3}
CONCEPTS = [concept for family in FAMILIES for concept in sketches(family)]


def stream_drawings(name, split):
    return {picture.drawing for picture, _ in STREAMS[name].pictures(split)}


def scene_drawings(name, split):
    return {figure.drawing for scene in SCENES[name].descriptions(split) for figure in scene.figures}


def drawings(split):
    """The drawings of a split, by set."""
    found = {name: stream_drawings(name, split) for name in STREAMS}
    return found | {name: scene_drawings(name, split) for name in SCENES}


def chosen_digests():
    """Hashes of some pictures, with the captions of the scenes among them."""
    found = {}
    for stream in STREAMS.values():
        pictures = [picture for picture, _ in stream.pictures("test")]
        for picture in (pictures[0], pictures[-1]):
            found[picture.id] = hashlib.sha256(render(picture, stream.styles).tobytes()).hexdigest()
    for scenes in SCENES.values():
        for number in (0, 5, 49):
            scene = scenes.scene("test", number)
            found[scene.id] = [hashlib.sha256(scene.render().tobytes()).hexdigest(), *scene.captions]
    return found


def scenes_of(name):
    return [scene for split in SPLITS for scene in SCENES[name].descriptions(split)]


# Pictures are functions of their identifiers


def test_drawing_again_gives_the_same_bytes_and_captions():
    first = chosen_digests()
    drawing_svg.cache_clear()
    assert chosen_digests() == first


@pytest.mark.slow
def test_a_fresh_process_draws_and_tells_the_same():
    program = (
        "import json, runpy, sys\nthere = runpy.run_path(sys.argv[1])\nprint(json.dumps(there['chosen_digests']()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, __file__],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "54321"},
    )  # fmt: skip
    assert json.loads(done.stdout) == chosen_digests()


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_does_not_depend_on_those_before_it(name):
    alone = SCENES[name].scene("train", 77)
    in_turn = list(SCENES[name].descriptions("train"))[77]
    assert alone == in_turn
    assert alone.captions == in_turn.captions


def test_pictures_are_square_and_of_bytes():
    images = [draw() for scenes in SCENES.values() for _, draw, _ in [next(scenes.scenes("train"))]]
    images += [render(next(stream.pictures("train"))[0], stream.styles) for stream in STREAMS.values()]
    assert {(image.shape, image.dtype) for image in images} == {((SIZE, SIZE, 3), np.dtype(np.uint8))}


@pytest.mark.parametrize("found", [*STREAMS.values(), *SCENES.values()], ids=lambda found: found.name)
def test_identifiers_are_unique(found):
    ids = []
    for split in SPLITS:
        if found.name in SCENES:
            ids += [name for name, _, _ in found.scenes(split)]
        else:
            ids += [picture.id for picture, _ in found.pictures(split)]
    assert len(ids) == len(set(ids))


def test_the_pictures_of_a_gallery_are_all_different():
    images = [draw().tobytes() for _, draw, _ in SCENES["mini-stories"].scenes("test")]
    assert len(set(images)) == len(images)


# Whose drawings


@pytest.mark.slow
def test_no_drawing_is_in_the_corpus():
    # Fewer pictures of each emoji change nothing here, and take less time.
    seen = {example.picture.drawing for example in corpus(per_emoji=1)}
    for split in SPLITS:
        for name, found in drawings(split).items():
            assert not found & seen, name


def test_no_drawing_is_in_another_mini_protocol():
    others = {**domains(), **development_domains()}.values()
    seen = {picture.drawing for domain in others for split in SPLITS for picture, _ in domain.pictures(split)}
    for split in SPLITS:
        for name, found in drawings(split).items():
            assert not found & seen, name


def test_no_test_drawing_is_a_training_drawing_of_any_set():
    assert not set().union(*drawings("train").values()) & set().union(*drawings("test").values())


def test_no_two_sets_have_a_drawing_in_common():
    counts = Counter(drawing for split in SPLITS for found in drawings(split).values() for drawing in found)
    assert max(counts.values()) == 1


def test_no_two_things_of_scenes_have_the_same_drawing():
    for name in SCENES:
        counts = Counter(figure.drawing for scene in scenes_of(name) for figure in scene.figures)
        assert max(counts.values()) == 1, name


def test_odd_thousands_are_for_training_and_even_ones_for_testing():
    for split, rest in (("train", 1), ("test", 0)):
        for name, found in drawings(split).items():
            instances = [int(drawing.rsplit("/", 1)[1]) for drawing in found]
            assert min(instances) >= 3_000, name
            assert {instance // 1_000 % 2 for instance in instances} == {rest}, name


def test_some_test_drawings_are_no_training_drawings_under_another_number():
    for name, stream in STREAMS.items():
        concept = stream.classes[0]
        texts = [
            {drawing_svg(d) for d in stream_drawings(name, split) if d.split("/")[2] == concept} for split in SPLITS
        ]
        assert not texts[0] & texts[1]


# Classes


@pytest.mark.parametrize(("name", "classes", "tasks"), [("mini-color", 40, 5), ("mini-renditions", 30, 5)])
def test_a_stream_has_five_tasks_of_mixed_families(name, classes, tasks):
    stream = STREAMS[name]
    assert len(set(stream.classes)) == classes == tasks * stream.group
    for start in range(0, classes, stream.group):
        group = stream.classes[start : start + stream.group]
        assert {family for family in FAMILIES for concept in group if concept in sketches(family)} == set(FAMILIES)


def test_twenty_names_are_in_both_sets():
    assert len(set(STREAMS["mini-color"].classes) & set(STREAMS["mini-renditions"].classes)) == 20


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize(("split", "per_class"), [("train", 20), ("test", 10)])
def test_a_class_has_its_pictures_of_its_own_concept(name, split, per_class):
    stream = STREAMS[name]
    found = list(stream.pictures(split))
    assert Counter(label for _, label in found) == dict.fromkeys(range(len(stream.classes)), per_class)
    assert all(picture.drawing.split("/")[2] == stream.classes[label] for picture, label in found)


def test_a_class_is_shown_in_every_rendition():
    stream = STREAMS["mini-renditions"]
    for split in SPLITS:
        for label in range(len(stream.classes)):
            styles = {picture.style for picture, found in stream.pictures(split) if found == label}
            assert styles == set(stream.styles)


def test_the_styles_are_none_of_the_corpus_or_of_other_protocols():
    known = [*STYLES.values(), *(domain.style for domain in (domains() | development_domains()).values())]
    mine = {name: style for stream in STREAMS.values() for name, style in stream.styles.items()}
    assert not [name for name, style in mine.items() if style in known]
    assert not set(mine) & {*STYLES, *domains(), *development_domains()}


@pytest.mark.parametrize("found", [*STREAMS.values(), *SCENES.values()], ids=lambda found: found.name)
def test_a_split_that_does_not_exist_is_refused(found):
    with pytest.raises(UsageError, match="no split 'validation'"):
        list((found.pictures if found.name in STREAMS else found.scenes)("validation"))


# Scenes


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize(("split", "count"), [("train", 160), ("test", 50)])
def test_a_set_has_its_scenes_with_five_different_captions(name, split, count):
    found = list(SCENES[name].scenes(split))
    assert len(found) == count
    assert all(len(set(captions)) == 5 for _, _, captions in found)


@pytest.mark.parametrize("name", COCO)
def test_a_category_shows_things_of_its_own_family_only(name):
    assert {group.family for scene in scenes_of(name) for group in scene.groups} == set(SCENES[name].families)
    assert len(SCENES[name].families) == 1


def test_the_categories_share_no_family():
    families = [SCENES[name].families[0] for name in COCO]
    assert sorted(families) == sorted(set(families))


def test_stories_mix_the_families():
    pairs = [scene.groups for scene in scenes_of("mini-stories") if len(scene.groups) == 2]
    assert all(one.family != two.family for one, two in pairs)


@pytest.mark.parametrize("name", SCENES)
def test_the_figures_are_those_of_the_description(name):
    for scene in scenes_of(name):
        told = Counter({group.concept: group.count for group in scene.groups})
        assert Counter(figure.concept for figure in scene.figures) == told
        assert all(figure.drawing.split("/")[2] == figure.concept for figure in scene.figures)
        assert 2 <= len(scene.figures) <= 3
        assert all(8 < figure.x < 64 and 8 < figure.y < 64 for figure in scene.figures)


# Captions: read back with rules of our own and compared with where the things are


def mentions(caption, scene):
    """Spans of the scene's nouns in a caption, as (start, end, concept, number)."""
    found = []
    for group in scene.groups:
        for noun, many in ((plural(group.concept), True), (singular(group.concept), False)):
            if any(c == group.concept for _, _, c, _ in found):
                break
            for match in re.finditer(rf"\b(\w+) (?:(?:large|small|huge|tiny) )?{re.escape(noun)}\b", caption):
                word = match[1]
                number = NUMBERS.get(word, 1) if many or word in ("a", "an", "my", "another") else 0
                found.append((match.start(), match.end(), group.concept, number))
    return found


def middle(scene, concept):
    spots = [(figure.x, figure.y) for figure in scene.figures if figure.concept == concept]
    return np.mean(spots, axis=0)


@pytest.mark.parametrize("name", SCENES)
def test_a_caption_names_all_things_with_their_number(name):
    for scene in scenes_of(name):
        for caption in scene.captions:
            told = Counter()
            for _, _, concept, number in mentions(caption, scene):
                told[concept] += number
            told.update({scene.groups[0].concept: 1} if "and one more" in caption else {})
            assert told == Counter({group.concept: group.count for group in scene.groups}), (scene, caption)


@pytest.mark.parametrize("name", SCENES)
def test_a_caption_names_nothing_else(name):
    nouns = {concept: rf"\b(?:{re.escape(singular(concept))}|{re.escape(plural(concept))})\b" for concept in CONCEPTS}
    for scene in scenes_of(name):
        here = {group.concept for group in scene.groups}
        for caption in scene.captions:
            named = {concept for concept, noun in nouns.items() if re.search(noun, caption)}
            assert named == here, (scene, caption)


RELATIONS = {
    "left of": (0, -1), "right of": (0, 1), "above": (1, -1), "below": (1, 1), "underneath": (1, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
def test_a_relation_between_things_holds_in_the_picture(name):
    checked = 0
    for scene in scenes_of(name):
        for caption in scene.captions:
            for words, (axis, sign) in RELATIONS.items():
                for match in re.finditer(rf"\b{words} (?=a |an |my |two )", caption):
                    spans = mentions(caption, scene)
                    before = [span for span in spans if span[1] <= match.start()]
                    after = [span for span in spans if span[0] >= match.end() - 1]
                    if before and after:
                        apart = middle(scene, before[-1][2]) - middle(scene, after[0][2])
                        assert sign * apart[axis] > 8, (scene, caption)
                        checked += 1
    assert checked > 100


SIDES = {
    "on the left": (0, -1), "on the right": (0, 1), "at the top": (1, -1), "at the bottom": (1, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", COCO)
def test_a_side_of_the_picture_is_told_rightly(name):
    checked = 0
    for scene in scenes_of(name):
        for caption in scene.captions:
            for words, (axis, sign) in SIDES.items():
                for match in re.finditer(words, caption):
                    concept = [span for span in mentions(caption, scene) if span[1] <= match.start()][-1][2]
                    assert sign * (middle(scene, concept)[axis] - 36) > 0, (scene, caption)
                    checked += 1
    assert checked > 50


@pytest.mark.parametrize("name", SCENES)
def test_a_size_is_told_rightly(name):
    checked = 0
    for scene in scenes_of(name):
        size = {figure.concept: figure.scale for figure in scene.figures}
        for caption in scene.captions:
            for word, sign in (("large", 1), ("huge", 1), ("small", -1), ("tiny", -1)):
                for match in re.finditer(rf"\b{word} ", caption):
                    concept = next(c for s, e, c, _ in mentions(caption, scene) if s <= match.start() < e)
                    other = next(value for key, value in size.items() if key != concept)
                    assert sign * (size[concept] - other) > 0.2, (scene, caption)
                    checked += 1
    assert checked > 50


@pytest.mark.parametrize("name", SCENES)
def test_a_caption_names_no_other_place_colour_or_sign(name):
    scenes = SCENES[name]
    places = {word for place in scenes.places.values() for word in place.words}
    signs = {sign.word for sign in scenes.signs.values()}
    vocabulary = (places | signs | {pattern for pattern in PATTERNS if pattern}) - set(COLORS)
    for scene in scenes_of(name):
        true = set(scene.place.words) | ({scene.sign.word} if scene.sign else set())
        # Two phrases name what their place has besides, as its drawing shows.
        true |= {"beach", "water"} if "beach" in true else set()
        for caption in scene.captions:
            words = set(re.findall(r"\w+", caption))
            assert words & vocabulary <= true, (scene, caption)
            if {"table", "wall", "fence"} & set(scene.place.words):
                # A white cloud is the only sign that brings a colour along.
                told = set(re.findall(r"\w+", caption.replace("white cloud", "cloud"))) & set(COLORS)
                assert told <= true, (scene, caption)


@pytest.mark.parametrize("name", SCENES)
def test_hardly_any_caption_of_a_gallery_stands_for_two_pictures(name):
    found = list(SCENES[name].scenes("test"))
    owners = Counter(caption for _, _, captions in found for caption in set(captions))
    assert sum(count for count in owners.values() if count > 1) <= 0.02 * 5 * len(found)


@pytest.mark.parametrize("name", SCENES)
def test_no_two_pictures_of_a_gallery_have_the_same_content(name):
    keys = [
        tuple(sorted((group.concept, group.count) for group in scene.groups))
        for scene in SCENES[name].descriptions("test")
    ]
    assert len(set(keys)) == len(keys)


def test_the_two_languages_share_few_sentences():
    def openings(name):
        return {caption.split()[0] for scene in scenes_of(name) for caption in scene.captions}

    assert {"look,", "what", "my"} <= openings("mini-stories")
    assert not {"look,", "what", "my"} & openings("mini-scenes-animals")


@pytest.mark.parametrize(
    ("concept", "count", "phrase"),
    [
        ("umbrella", 1, "an umbrella"), ("apple", 1, "an apple"), ("cat", 2, "two cats"), ("bus", 3, "three buses"),
        ("grapes", 1, "a bunch of grapes"), ("grapes", 2, "two bunches of grapes"), ("fish", 2, "two fish"),
        ("scissors", 2, "two pairs of scissors"), ("sushi", 3, "three pieces of sushi"), ("daisy", 2, "two daisies"),
    ],
)  # fmt: skip
def test_nouns_agree_with_their_number(concept, count, phrase):
    assert noun_phrase(Group(concept, "", count)) == phrase


def test_articles_agree_with_the_sound_that_follows():
    for name in SCENES:
        for scene in scenes_of(name):
            for caption in scene.captions:
                assert not re.search(r"\ba [aeio]|\ba umb|\ban [^aeiou]", caption), caption


def test_the_sheet_of_the_streams_is_a_small_png(tmp_path):
    from PIL import Image

    path = stream_sheet(tmp_path / "sheet.png", columns=3)
    with Image.open(path) as image:
        assert image.width == 6 * SIZE + 6
