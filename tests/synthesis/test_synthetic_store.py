"""The store of synthetic pictures: nothing twice, shares, interruptions, blank and damaged pictures, recipes."""

import io
import json
import multiprocessing
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from support.harness import flip
from support.synthetic import FakeGenerator, make_store, make_synthesis

from vlcl_bench.errors import IntegrityError, MachineError, MethodError
from vlcl_bench.synthesis.prompts import Ordered
from vlcl_bench.synthesis.store import ATTEMPTS, REFILL


def some_orders(count=10):
    return [Ordered(f"a photo of a thing {number % 4}.", 100 + number) for number in range(count)]


def files_of(store):
    return sorted(path for path in store.root.rglob("*") if path.is_file())


# Nothing twice


def test_every_picture_is_made_once_and_found_ever_after(tmp_path):
    store, orders = make_store(tmp_path), some_orders()
    first, second = store.fill(orders, 4), store.fill(orders, 4)
    assert (first.made, first.found, first.blank) == (10, 0, 0)
    assert (second.made, second.found, second.blank) == (0, 10, 0)
    assert store.generator.asked == orders
    assert len(files_of(store)) == 10


def test_the_pictures_are_those_that_the_generator_made(tmp_path):
    store, orders = make_store(tmp_path), some_orders()
    store.fill(orders, 3)
    for order in orders:
        np.testing.assert_array_equal(store.read(order), store.generator.picture(order))


def test_an_order_given_twice_is_made_once(tmp_path):
    store, orders = make_store(tmp_path), some_orders(3)
    made = store.fill([*orders, *orders], 8)
    assert (made.made, made.found) == (3, 0)


def test_a_larger_set_makes_only_what_is_new(tmp_path):
    store = make_store(tmp_path)
    store.fill(some_orders(6), 4)
    made = store.fill(some_orders(10), 4)
    assert (made.made, made.found) == (4, 6)
    assert store.generator.asked == some_orders(10)


def test_another_store_of_the_same_generator_finds_them(tmp_path):
    make_store(tmp_path).fill(some_orders(), 4)
    other = make_store(tmp_path)
    assert other.fill(some_orders(), 4).made == 0
    assert other.generator.asked == []


@pytest.mark.parametrize("change", [{"prompt": "another"}, {"seed": 1}], ids=["prompt", "seed"])
def test_another_prompt_or_seed_is_another_picture(tmp_path, change):
    store = make_store(tmp_path)
    facts = {"prompt": "a", "seed": 0}
    assert store.path(Ordered(**facts)) != store.path(Ordered(**facts | change))


def test_another_generator_is_another_picture(tmp_path):
    order = some_orders(1)[0]
    stores = [make_store(tmp_path, FakeGenerator(identity=identity)) for identity in ("one", "two")]
    assert stores[0].path(order) != stores[1].path(order)
    stores[0].fill([order], 1)
    assert stores[1].fill([order], 1).made == 1
    assert not np.array_equal(stores[0].read(order), stores[1].read(order))


def test_the_generator_is_let_go_once_a_set_is_there(tmp_path):
    synthesis = make_synthesis(tmp_path)
    synthesis.make(5, (), 1, 0, lambda done, total: None)
    assert (synthesis.store.generator.released, len(synthesis.store.generator.asked)) == (1, 5)


def test_progress_counts_found_and_made_pictures_up_to_the_whole(tmp_path):
    store, told = make_store(tmp_path), []
    store.fill(some_orders(4), 4)
    store.fill(some_orders(10), 4, lambda done, total: told.append((done, total)))
    assert told == [(4, 10), (8, 10), (10, 10)]


# Interruptions


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_an_interrupted_filling_is_continued(tmp_path, batches):
    store, orders = make_store(tmp_path), some_orders()
    make, calls = store.generator.make, []

    def interrupted(part):
        if len(calls) == batches:
            raise KeyboardInterrupt
        calls.append(part)
        return make(part)

    store.generator.make = interrupted
    with pytest.raises(KeyboardInterrupt):
        store.fill(orders, 4)
    assert len(files_of(store)) == 4 * batches
    store.generator.make = make
    made = store.fill(orders, 4)
    assert (made.found, made.made) == (4 * batches, 10 - 4 * batches)
    assert store.generator.asked == orders


def test_killed_between_two_pictures_of_a_batch_only_the_written_ones_are_kept(tmp_path, monkeypatch):
    store, orders, written = make_store(tmp_path), some_orders(), []
    write = store._write

    def killed(order, pixels, attempt):
        if len(written) == 6:
            raise KeyboardInterrupt
        written.append(write(order, pixels, attempt))

    monkeypatch.setattr(store, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        store.fill(orders, 4)
    monkeypatch.undo()
    assert store.fill(orders, 4).found == 6
    for order in orders:
        np.testing.assert_array_equal(store.read(order), store.generator.picture(order))


def test_a_full_disk_is_told_in_plain_words(tmp_path, small_disk):
    place = small_disk(20_000)
    store = make_store(place, FakeGenerator(side=64))
    with pytest.raises(MachineError, match="no space left"):
        store.fill(some_orders(), 4)
    small_disk(1_000_000)
    made = store.fill(some_orders(), 4)
    assert made.found + made.made == 10
    assert not [path for path in files_of(store) if path.suffix == ".tmp"]


# Shares and several processes


@pytest.mark.parametrize("parts", [1, 2, 3, 10, 13])
def test_shares_together_are_the_whole_and_have_nothing_in_common(tmp_path, parts):
    orders, asked = some_orders(), []
    for part in range(1, parts + 1):
        store = make_store(tmp_path)
        made = store.fill(orders, 4, share=(part, parts))
        assert (made.made, made.found) == (len(store.generator.asked), 0)
        assert len(store.generator.asked) in (10 // parts, 10 // parts + 1)
        asked += store.generator.asked
    assert Counter(asked) == Counter(orders)
    assert make_store(tmp_path).fill(orders, 4).made == 0


def test_shares_made_in_any_order_give_the_same_files(tmp_path):
    for root, order_of_parts in (("whole", None), ("backwards", (3, 1, 2))):
        for part in order_of_parts or ():
            make_store(tmp_path / root).fill(some_orders(), 4, share=(part, 3))
        make_store(tmp_path / root).fill(some_orders(), 4)
    found = [{p.name: p.read_bytes() for p in files_of(make_store(tmp_path / r))} for r in ("whole", "backwards")]
    assert found[0] == found[1]


def _fill(root):
    make_store(root, FakeGenerator(side=24)).fill(some_orders(60), 4)


def test_two_processes_at_once_leave_a_whole_set(tmp_path):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_fill, args=(tmp_path,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    store = make_store(tmp_path, FakeGenerator(side=24))
    assert len(files_of(store)) == 60
    for order in some_orders(60):
        np.testing.assert_array_equal(store.read(order), store.generator.picture(order))


# Blank pictures


def blank_at_first(times):
    """Every third order is blank in its first attempts."""
    return lambda order: order.seed < times * REFILL and (order.seed % REFILL) % 3 == 0


def test_blank_pictures_are_made_again_from_other_seeds_and_counted(tmp_path):
    store, orders = make_store(tmp_path, FakeGenerator(blank=blank_at_first(2))), some_orders()
    made = store.fill(orders, 4)
    touched = [order for order in orders if order.seed % 3 == 0]
    assert (made.made, made.blank) == (10, 2 * len(touched))
    for order in orders:
        moved = Ordered(order.prompt, order.seed + (2 * REFILL if order in touched else 0))
        np.testing.assert_array_equal(store.read(order), store.generator.picture(moved))
        assert store.recipe(order)["attempt"] == (2 if order in touched else 0)


def test_a_picture_is_blank_only_where_it_is_black_throughout(tmp_path):
    generator = FakeGenerator()
    dark = np.zeros((4, 4, 3), np.uint8)
    dark[3, 3, 2] = 1
    generator.picture = lambda order: dark
    store = make_store(tmp_path, generator)
    assert store.fill(some_orders(1), 1).blank == 0
    np.testing.assert_array_equal(store.read(some_orders(1)[0]), dark)


def test_pictures_that_stay_blank_are_an_error_that_names_the_prompt(tmp_path):
    store = make_store(tmp_path, FakeGenerator(blank=lambda order: "thing 2" in order.prompt))
    with pytest.raises(MethodError, match=r"blank pictures for the prompt 'a photo of a thing 2\.'") as refused:
        store.fill(some_orders(4), 4)
    assert "safety checker" in refused.value.hint
    assert Counter(order.prompt for order in store.generator.asked)["a photo of a thing 2."] == 1 + ATTEMPTS
    assert len(files_of(store)) == 3


def test_a_set_tells_its_blank_pictures_whether_they_were_made_now_or_found(tmp_path):
    def made():
        synthesis = make_synthesis(tmp_path, FakeGenerator(blank=lambda order: order.seed < REFILL))

        return synthesis.make(5, (), 1, 0, lambda done, total: None)

    first, second = made(), made()
    assert (first.made.made, second.made.made) == (5, 0)
    assert first.blank == second.blank == 5


# What is in a file


@pytest.mark.parametrize(("side", "format_of"), [(4, "PNG"), (128, "PNG"), (129, "JPEG"), (512, "JPEG")])
def test_a_file_tells_its_recipe_as_text(tmp_path, side, format_of):
    store, order = make_store(tmp_path, FakeGenerator(side=side)), Ordered("a photo of a façade.", 41_900_000)
    store.fill([order], 1)
    data = store.path(order).read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        assert (image.format, image.size) == (format_of, (side, side))
        text = image.text["recipe"] if format_of == "PNG" else image.info["comment"].decode()
    expected = {"generator": "fake", "prompt": "a photo of a façade.", "seed": 41_900_000, "attempt": 0}
    assert json.loads(text) == store.recipe(order) == expected
    assert b"41900000" in data


def test_small_pictures_are_kept_without_loss_and_large_ones_nearly(tmp_path):
    smooth = np.linspace(1, 255, 200 * 200 * 3).reshape(200, 200, 3).astype(np.uint8)
    generator = FakeGenerator()
    generator.picture = lambda order: smooth
    store, order = make_store(tmp_path, generator), some_orders(1)[0]
    store.fill([order], 1)
    assert np.abs(store.read(order).astype(int) - smooth).mean() < 3


@pytest.mark.parametrize("side", [4, 200])
@pytest.mark.parametrize("said", [None, b"by hand"])
def test_a_picture_that_does_not_tell_its_recipe_is_refused_with_a_way_out(tmp_path, side, said):
    store, order = make_store(tmp_path, FakeGenerator(side=side)), some_orders(1)[0]
    store.fill([order], 1)
    picture = Image.fromarray(store.read(order))
    with store.path(order).open("wb") as file:
        picture.save(file, "JPEG", **({} if said is None else {"comment": said}))
    assert store.read(order).shape == (side, side, 3)
    with pytest.raises(IntegrityError, match="does not say how it was made") as refused:
        store.recipe(order)
    assert f"Delete {store.path(order)}" in refused.value.hint


# Damage


def cut(path):
    path.write_bytes(path.read_bytes()[:30])


def emptied(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [flip, cut, emptied])
def test_a_damaged_picture_is_refused_with_a_way_out(tmp_path, damage):
    store, order = make_store(tmp_path, FakeGenerator(side=64)), some_orders(1)[0]
    store.fill([order], 1)
    damage(store.path(order))
    with pytest.raises(
        IntegrityError, match=r"\.img (cannot be decoded|is no picture that can be read: .*(empty|cut short))"
    ) as refused:
        store.read(order)
    assert f"Delete {store.path(order)}" in refused.value.hint


def test_a_picture_that_was_never_made_is_refused_with_a_way_out(tmp_path):
    with pytest.raises(IntegrityError, match="cannot be read: No such file") as refused:
        make_store(tmp_path).read(some_orders(1)[0])
    assert "same command again" in refused.value.hint


@pytest.mark.parametrize("damage", [flip, cut, emptied])
def test_a_run_makes_a_damaged_picture_anew(tmp_path, damage):
    def made():
        synthesis = make_synthesis(tmp_path, FakeGenerator(side=64), side=64)
        found = synthesis.make(5, (), 1, 0, lambda done, total: None)
        return synthesis, found.images

    synthesis, before = made()
    damage(synthesis.store.path(synthesis.store.generator.asked[2]))
    again, after = made()
    np.testing.assert_array_equal(after, before)
    assert again.store.generator.asked == [synthesis.store.generator.asked[2]]
