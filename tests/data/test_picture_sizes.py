"""What tells a copy of thumbnails: the smallest and largest side that a data set's pictures have."""

import numpy as np
import pytest
from support.layouts_fixture import shrunken

from vlcl_bench.data.real.assemble import check_size
from vlcl_bench.data.real.catalogue import catalogue, spec_of
from vlcl_bench.errors import IntegrityError

EXACT = {"cifar100": 32, "eurosat": 64, "mnist": 28, "tiny_imagenet": 64}


def pixels(height, width):
    return np.zeros((height, width, 3), np.uint8)


@pytest.mark.parametrize("name", EXACT)
def test_pictures_of_one_size_must_have_it(name):
    side, spec = EXACT[name], spec_of(name)
    check_size(spec, pixels(side, side), "a.png")
    for height, width in ((side - 1, side), (side, side + 1), (2 * side, 2 * side)):
        with pytest.raises(
            IntegrityError, match=rf"a\.png has {width} x {height} .*expected {side} x {side}"
        ) as caught:
            check_size(spec, pixels(height, width), "a.png")
        assert spec.source in caught.value.hint


def test_a_photograph_is_judged_by_its_shorter_side():
    spec = shrunken("dtd", min_side=200)
    check_size(spec, pixels(200, 640), "a.jpg")
    for size in ((199, 640), (640, 199), (64, 64)):
        with pytest.raises(IntegrityError, match="at least 200 on the shorter side: this copy was resized"):
            check_size(spec, pixels(*size), "a.jpg")


def test_a_largest_side_may_be_given_alone():
    spec = shrunken("dtd", max_side=512)
    check_size(spec, pixels(1, 512), "a.jpg")
    with pytest.raises(IntegrityError, match="expected at most 512 on the longer side"):
        check_size(spec, pixels(300, 513), "a.jpg")


@pytest.mark.parametrize("name", ["oxford_pets", "stanford_cars", "coco", "imagenet_r"])
def test_what_nobody_has_stated_is_not_judged(name):
    check_size(spec_of(name), pixels(1, 9000), "a.jpg")


def test_thumbnails_of_64_pixels_pass_for_no_set_with_a_bound_but_those_of_that_size():
    for spec in map(spec_of, catalogue()):
        if spec.min_side is not None and EXACT.get(spec.name) != 64:
            with pytest.raises(IntegrityError):
                check_size(spec, pixels(64, 64), "a.jpg")
