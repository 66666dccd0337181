"""Original pictures: the two transforms against torchvision's own, decoding on demand, and batches made of them."""

import io
import math
import time
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp
from support.fakes import AUGMENTATION, SIDE, FakeBackbone, make_budget, make_context, make_task
from torchvision import transforms

from vlcl_bench.common.fileio import sha256_bytes
from vlcl_bench.data import pictures
from vlcl_bench.data.originals import ArrayPicture, FilePicture, pixels_sha256
from vlcl_bench.data.pictures import EncodedPictures, SmallPictures, SomePictures, in_parallel, some, workers
from vlcl_bench.data.transforms import Augmentation, crop_box, evaluation_crop, training_crop
from vlcl_bench.errors import IntegrityError


def noise(height, width, seed=0):
    """Pixels in which a wrong place or filter shows."""
    return np.random.default_rng([seed, height, width]).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def with_workers(monkeypatch):
    """Sets the number of decoding threads; the pool of before is back afterwards."""
    made = []

    def choose(count):
        monkeypatch.setenv("VLCL_WORKERS", str(count))
        fresh = pictures.ThreadPoolExecutor(count)
        made.append(fresh)
        monkeypatch.setattr(pictures, "pool", lambda: fresh)

    yield choose
    for pool in made:
        pool.shutdown()


@pytest.fixture
def files(tmp_path):
    """Nine picture files of as many sizes, JPEG and PNG, with their content hashes."""
    originals, hashes = [], []
    for i in range(9):
        pixels = noise(7 + i, 15 - i, seed=i)
        path = tmp_path / f"{i}.{'jpg' if i % 2 else 'png'}"
        Image.fromarray(pixels).save(path)
        originals.append(FilePicture(str(path)))
        hashes.append(sha256_bytes(path.read_bytes()) if i % 2 else pixels_sha256(pixels))
    return originals, hashes


@pytest.fixture
def encoded(files):
    return EncodedPictures(*files, SIDE)


# The test transform


@pytest.mark.parametrize("side", [7, 16, 33])
@pytest.mark.parametrize(
    "size", [(16, 16), (33, 7), (7, 33), (50, 51), (51, 50), (101, 40), (40, 101), (5, 6), (16, 17), (3, 90)]
)
def test_the_test_transform_is_torchvisions_resize_and_centre_crop(size, side):
    pixels = noise(*size)
    steps = [transforms.Resize(side, transforms.InterpolationMode.BICUBIC), transforms.CenterCrop(side)]
    expected = np.asarray(transforms.Compose(steps)(Image.fromarray(pixels)))
    found = evaluation_crop(pixels, side)
    assert (found.shape, found.dtype) == ((side, side, 3), np.uint8)
    np.testing.assert_array_equal(found, expected)


def test_a_picture_of_the_right_size_is_not_touched():
    pixels = noise(16, 16)
    assert evaluation_crop(pixels, 16) is pixels


# The training transform


def torchvision_boxes(height, width, augmentation, count):
    image = torch.empty(3, height, width)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        get = transforms.RandomResizedCrop.get_params
        return [get(image, list(augmentation.scale), list(augmentation.ratio)) for _ in range(count)]


def own_boxes(height, width, augmentation, count, seed=1):
    rng = np.random.default_rng(seed)
    return [crop_box(height, width, augmentation, rng.random((10, 4))) for _ in range(count)]


@pytest.mark.parametrize("scale", [(0.9, 1.0), (0.1, 0.6)])
@pytest.mark.parametrize("size", [(300, 300), (300, 260), (200, 390)])
def test_crop_boxes_have_torchvisions_distribution(size, scale):
    augmentation = Augmentation(scale=scale, ratio=(3 / 4, 4 / 3))
    ours, theirs = (np.array(make(*size, augmentation, 3000), float) for make in (own_boxes, torchvision_boxes))
    for measure in (
        lambda b: b[:, 2] * b[:, 3],
        lambda b: b[:, 3] / b[:, 2],
        lambda b: b[:, 0],
        lambda b: b[:, 1],
        lambda b: b[:, 0] + b[:, 2],
        lambda b: b[:, 1] + b[:, 3],
    ):
        assert ks_2samp(measure(ours), measure(theirs)).pvalue > 1e-3


@pytest.mark.parametrize("size", [(100, 10), (10, 100), (101, 10), (17, 200), (400, 3), (64, 31)])
def test_where_no_attempt_fits_the_box_is_torchvisions_middle(size):
    (found,) = own_boxes(*size, AUGMENTATION, 1)
    assert found == torchvision_boxes(*size, AUGMENTATION, 1)[0]
    top, left, height, width = found
    assert min(AUGMENTATION.ratio) - 0.1 < width / height < max(AUGMENTATION.ratio) + 0.1
    assert abs(2 * top + height - size[0]) <= 1
    assert abs(2 * left + width - size[1]) <= 1


def test_fewer_draws_than_attempts_end_in_the_middle_too():
    assert crop_box(48, 48, AUGMENTATION, []) == (0, 0, 48, 48)


def test_a_box_uses_the_first_attempt_that_fits():
    fits, never = [0.0, 0.5, 0.5, 0.25], [1.0, 0.0, 0.0, 0.0]
    side = round(math.sqrt(0.9 * 100 * 100))
    expected = (int(0.5 * (101 - side)), int(0.25 * (101 - side)), side, side)
    assert crop_box(100, 100, AUGMENTATION, [never, fits, [0.5, 0.5, 0, 0]]) == expected


def test_a_training_crop_is_the_cut_picture_resized_by_pillow():
    pixels = noise(20, 31)
    expected = Image.fromarray(pixels[3:15, 5:28]).resize((9, 9), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(training_crop(pixels, (3, 5, 12, 23), 9), np.asarray(expected))


# Threads


def test_results_come_in_the_order_of_the_items_whatever_takes_long(with_workers):
    with_workers(4)
    waits = [0.02, 0, 0.01, 0, 0, 0.015] * 5

    def work(i):
        time.sleep(waits[i])
        return i

    assert list(in_parallel(work, range(30))) == list(range(30))


def test_only_a_few_items_are_taken_ahead(with_workers):
    with_workers(2)
    taken = []

    def items():
        for i in range(1000):
            taken.append(i)
            yield i

    found = in_parallel(lambda i: i, items())
    assert next(found) == 0
    assert len(taken) <= pictures.AHEAD * 2 + 1
    found.close()


def test_an_error_comes_at_its_place(with_workers):
    with_workers(3)

    def work(i):
        if i == 5:
            raise IntegrityError("the sixth")
        return i

    found = in_parallel(work, range(9))
    assert list(islice(found, 5)) == [0, 1, 2, 3, 4]
    with pytest.raises(IntegrityError, match="the sixth"):
        next(found)


@pytest.mark.parametrize(("value", "expected"), [("3", 3), ("", None)])
def test_the_number_of_threads_can_be_chosen(monkeypatch, value, expected):
    monkeypatch.delenv("VLCL_WORKERS", raising=False)
    usual = workers()
    monkeypatch.setenv("VLCL_WORKERS", value)
    assert workers() == (expected or usual)


# Pictures on demand


def test_files_come_under_the_test_transform_in_the_order_asked_for(encoded, files):
    rows = np.array([4, 0, 8, 4, 3])
    expected = [evaluation_crop(files[0][row].load()[1], SIDE) for row in rows]
    assert len(encoded) == 9
    np.testing.assert_array_equal(encoded[rows], np.stack(expected))


def test_files_come_as_the_crops_that_the_draws_give(encoded, files):
    rows, draws = np.array([7, 2, 2]), np.random.default_rng(0).random((3, 10, 4))
    expected = []
    for row, draw in zip(rows, draws, strict=True):
        pixels = files[0][row].load()[1]
        expected.append(training_crop(pixels, crop_box(*pixels.shape[:2], AUGMENTATION, draw), SIDE))
    np.testing.assert_array_equal(encoded.begin(rows, draws, AUGMENTATION)(), np.stack(expected))
    assert not np.array_equal(expected[1], expected[2])


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_number_of_threads_changes_nothing(encoded, with_workers, count):
    rows, draws = np.arange(9)[::-1], np.random.default_rng(3).random((9, 10, 4))
    with_workers(3)
    plain, cropped = encoded[rows], encoded.begin(rows, draws, AUGMENTATION)()
    with_workers(count)
    np.testing.assert_array_equal(encoded[rows], plain)
    np.testing.assert_array_equal(encoded.begin(rows, draws, AUGMENTATION)(), cropped)


def test_a_replaced_file_is_refused_by_name_when_it_is_used(encoded, files):
    originals, hashes = files
    assert encoded[np.array([3])].shape == (1, SIDE, SIDE, 3)
    Image.fromarray(noise(9, 9, seed=77)).save(originals[3].path)
    encoded[np.array([2])]
    with pytest.raises(IntegrityError) as caught:
        encoded[np.array([2, 3])]
    assert f"{originals[3].path} is not the picture in the manifest" in caught.value.message
    assert hashes[3][:12] in caught.value.message


def test_a_truncated_jpeg_is_refused_by_name(tmp_path):
    path = tmp_path / "cut.jpg"
    Image.fromarray(noise(64, 64)).save(path, quality=95)
    data = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(data)
    cut = EncodedPictures([FilePicture(str(path))], [sha256_bytes(data)], SIDE)
    with pytest.raises(IntegrityError) as caught:
        cut[np.array([0])]
    assert f"{path} cannot be decoded" in caught.value.message
    assert f"{len(data)} bytes" in caught.value.message
    assert "cut short" in caught.value.hint


def test_a_file_that_went_away_is_refused_by_name(encoded, files, tmp_path):
    (tmp_path / "5.jpg").unlink()
    with pytest.raises(IntegrityError, match=r"5\.jpg cannot be read: No such file"):
        encoded[np.array([5])]


def test_a_jpegs_content_is_its_bytes_and_a_pngs_its_pixels(tmp_path):
    pixels, jpeg, png = noise(9, 8), tmp_path / "a.jpg", tmp_path / "a.png"
    Image.fromarray(pixels).save(jpeg)
    hashes = []
    for level in (1, 9):
        Image.fromarray(pixels).save(png, compress_level=level)
        hashes.append(FilePicture(str(png)).digest())
    assert FilePicture(str(jpeg)).digest() == sha256_bytes(jpeg.read_bytes())
    assert hashes == [ArrayPicture("row 1", pixels).digest()] * 2 == [pixels_sha256(pixels)] * 2


def test_pictures_of_the_same_bytes_and_another_shape_differ():
    pixels = noise(4, 9)
    assert pixels_sha256(pixels) != pixels_sha256(pixels.reshape(9, 4, 3))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_picture_becomes_rgb(tmp_path, mode):
    path = tmp_path / f"a.{'jpg' if mode == 'CMYK' else 'png'}"
    image = Image.fromarray(noise(6, 5)).convert(mode)
    image.save(path)
    with Image.open(io.BytesIO(path.read_bytes())) as again:
        expected = np.asarray(again.convert("RGB"))
    np.testing.assert_array_equal(FilePicture(str(path)).load()[1], expected)


def test_a_grey_array_becomes_three_equal_channels():
    grey = noise(5, 6)[:, :, 0]
    _, pixels = ArrayPicture("row 1", grey).load()
    np.testing.assert_array_equal(pixels, np.stack([grey] * 3, axis=2))


def test_small_pictures_are_enlarged_on_the_way_out():
    whole = np.stack([noise(3, 3, seed=i) for i in range(5)])
    small = SmallPictures(whole, SIDE)
    expected = np.stack([evaluation_crop(whole[row], SIDE) for row in (4, 1)])
    assert len(small) == 5
    np.testing.assert_array_equal(small[np.array([4, 1])], expected)


def test_some_pictures_are_those_rows_of_the_others(encoded):
    rows = np.array([8, 2, 5])
    part = some(encoded, rows)
    assert isinstance(part, SomePictures)
    assert (len(part), part.side) == (3, SIDE)
    np.testing.assert_array_equal(part[np.array([2, 0])], encoded[np.array([5, 8])])
    deeper = some(part, np.array([1]))
    np.testing.assert_array_equal(deeper[np.array([0])], encoded[np.array([2])])


def test_some_rows_of_an_array_are_an_array():
    whole = np.stack([noise(4, 4, seed=i) for i in range(5)])
    np.testing.assert_array_equal(some(whole, np.array([3, 1])), whole[[3, 1]])


# Batches of them


@pytest.fixture
def backbone():
    return FakeBackbone()


def on_demand(task):
    """The same task, its pictures handed out on demand."""
    return replace(task, images=SmallPictures(task.images, SIDE))


def batches(backbone, task, count, **arguments):
    return list(islice(make_context(backbone, 3).batches(task, **arguments), count))


def test_rows_come_in_the_same_order_as_over_an_array(backbone):
    task = make_task(samples=20)
    for arguments in ({"augment": False}, {"augment": False, "purpose": "reference"}):
        one, two = (batches(backbone, t, 8, **arguments) for t in (task, on_demand(task)))
        for a, b in zip(one, two, strict=True):
            assert a.indices.tolist() == b.indices.tolist()
            assert torch.equal(a.labels, b.labels)
            assert torch.equal(a.images, b.images)


def test_the_first_epoch_of_augmented_rows_is_that_over_an_array(backbone):
    task = make_task(samples=20)
    one, two = (batches(backbone, t, 3) for t in (task, on_demand(task)))
    assert [b.indices.tolist() for b in one] == [b.indices.tolist() for b in two]


def test_every_epoch_holds_every_picture_once(backbone):
    rows = [b.indices.tolist() for b in batches(backbone, on_demand(make_task(samples=20)), 6)]
    assert [len(part) for part in rows] == [8, 8, 4, 8, 8, 4]
    for epoch in (rows[:3], rows[3:]):
        assert sorted(row for part in epoch for row in part) == list(range(20))


def test_labels_and_pictures_belong_to_the_rows(backbone):
    task = make_task(samples=20)
    for batch in batches(backbone, on_demand(task), 5, augment=False):
        assert batch.labels.tolist() == task.labels[batch.indices].tolist()
        assert torch.equal(batch.images, backbone.preprocess(torch.from_numpy(task.images[batch.indices])))


@pytest.mark.parametrize("count", [1, 4])
def test_crops_do_not_depend_on_the_number_of_threads(backbone, encoded, with_workers, count):
    task = replace(make_task(samples=9), images=encoded)
    with_workers(2)
    expected = batches(backbone, task, 5)
    with_workers(count)
    found = batches(backbone, task, 5)
    assert all(torch.equal(a.images, b.images) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("ahead", [0, 1, 7])
def test_crops_do_not_depend_on_how_far_ahead_is_decoded(backbone, encoded, monkeypatch, ahead):
    task = replace(make_task(samples=9), images=encoded)
    expected = batches(backbone, task, 5)
    monkeypatch.setattr("vlcl_bench.methods.context.DECODED_AHEAD", ahead)
    found = batches(backbone, task, 5)
    assert all(torch.equal(a.images, b.images) for a, b in zip(expected, found, strict=True))


def test_crops_differ_from_epoch_to_epoch_and_from_the_test_transform(backbone, encoded):
    task = replace(make_task(samples=8), images=some(encoded, np.arange(8)))
    first, second = batches(backbone, task, 2)
    plain = encoded[np.arange(8)]
    one, two = (batch.images[np.argsort(batch.indices)] for batch in (first, second))
    assert not torch.equal(one, two)
    assert not torch.equal(one, backbone.preprocess(torch.from_numpy(plain)))


@pytest.mark.parametrize(("purpose", "expected"), [("train", (20, 0)), ("reference", (0, 20))])
def test_only_what_was_handed_out_is_metered(backbone, purpose, expected):
    ctx = make_context(backbone, budget=make_budget(batch_size=8))
    stream = ctx.batches(on_demand(make_task(samples=20)), purpose=purpose)
    assert (ctx.meter.task_pictures, ctx.meter.reference_pictures) == (0, 0)
    handed = [next(stream) for _ in range(3)]
    assert sum(len(batch.labels) for batch in handed) == 20
    assert (ctx.meter.task_pictures, ctx.meter.reference_pictures) == expected


def test_a_replaced_file_stops_the_batches(backbone, files, tmp_path):
    originals, hashes = files
    Image.fromarray(noise(9, 9, seed=77)).save(tmp_path / "4.png")
    task = replace(make_task(samples=9), images=EncodedPictures(originals, hashes, SIDE))
    with pytest.raises(IntegrityError, match=r"4\.png is not the picture"):
        batches(backbone, task, 2)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 3)])
@pytest.mark.parametrize("ratio", [(0.01, 0.01), (100.0, 100.0), (0.01, 100.0)])
def test_the_middle_of_the_smallest_picture_has_a_pixel_at_least(size, ratio):
    for scale in ((1e-9, 1e-9), (1.0, 1.0)):
        for top, left, height, width in own_boxes(*size, Augmentation(scale=scale, ratio=ratio), 20):
            assert 1 <= height <= size[0] - top
            assert 1 <= width <= size[1] - left
