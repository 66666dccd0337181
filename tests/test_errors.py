"""Suggestions for unknown names, and what messages must not contain."""

from __future__ import annotations

import pytest

from vlcl_bench.errors import VlclError, nearest

METHODS = ("auto_seed_vl2", "finetune", "gift", "l2", "lwf", "lwf_vr", "moe_adapter", "zscl")
STREAMS = ("mini-mtil-1", "mini-mtil-2", "mini-dev", "mtil-1", "mtil-2", "c2r@rapf")
DATA = ("cifar100", "caltech101", "imagenet", "imagenet_r", "flowers102", "mnist", "aircraft")
MEANT = [
    ("ZSCL", METHODS, "zscl"),
    ("MoE-Adapter", METHODS, "moe_adapter"),
    ("MoE-Adapters", METHODS, "moe_adapter"),
    ("Auto-Seed VL2", METHODS, "auto_seed_vl2"),
    ("AutoSeed", METHODS, "auto_seed_vl2"),
    ("LwF-VR", METHODS, "lwf_vr"),
    ("GIFT (ours)", METHODS, "gift"),
    ("fintune", METHODS, "finetune"),
    ("mtil-I", STREAMS, "mtil-1"),
    ("MTIL Order II", STREAMS, "mtil-2"),
    ("mini MTIL, order I", STREAMS, "mini-mtil-1"),
    ("mimi-mtil-1", STREAMS, "mini-mtil-1"),
    ("C2R@RAPF", STREAMS, "c2r@rapf"),
    ("CIFAR-100", DATA, "cifar100"),
    ("ImageNet-R", DATA, "imagenet_r"),
    ("FGVC Aircraft", DATA, "aircraft"),
    ("Flowers", DATA, "flowers102"),
    ("mnist\u0301", DATA, "mnist"),
]


@pytest.mark.parametrize(("typed", "known", "meant"), MEANT)
def test_a_name_in_the_fields_spelling_is_recognised(typed, known, meant):
    assert nearest(typed, known) == f"Did you mean {meant!r}?"


@pytest.mark.parametrize(
    ("typed", "known", "other"),
    [("cifar10", DATA, "cifar100"), ("Caltech-256", DATA, "caltech101"), ("ImageNet-A", DATA, "imagenet"),
     ("mtil-3", STREAMS, "mtil-1"), ("auto_seed_vl3", METHODS, "auto_seed_vl2")],
)  # fmt: skip
def test_a_name_with_another_number_or_letter_is_not_suggested_as_meant(typed, known, other):
    said = nearest(typed, known)
    assert said.startswith("Similar in name, but something else: ")
    assert repr(other) in said


def test_a_part_of_several_names_offers_all_of_them():
    assert nearest("MTIL", STREAMS) == "Did you mean one of 'mtil-1', 'mtil-2', 'mini-mtil-1', 'mini-mtil-2'?"


def test_a_title_counts_as_a_word_for_its_name():
    assert nearest("Continual-FT", METHODS, {"Continual-FT": "finetune"}) == "Did you mean 'finetune'?"


def test_a_name_like_no_other_gets_the_list():
    assert nearest("qqq", ("a1", "b2")) == "Known: a1, b2."


def test_a_message_does_not_say_where_an_object_lies_in_memory():
    said = f"setting f={nearest} and {object()} of {VlclError('x').__init__}"
    assert " at 0x" in said
    error = VlclError(said)
    assert " at 0x" not in str(error)
    assert "<function nearest>" in error.message
