"""Which reference data a method declares: two words for one thing, of which the nearest in its bases decides."""

from __future__ import annotations

import pytest
from support.fakes import FakeBackbone
from torch import nn

from vlcl_bench.errors import MethodError
from vlcl_bench.methods import LossMethod, Method
from vlcl_bench.methods.card import MethodCard
from vlcl_bench.methods.declaration import declared_reference
from vlcl_bench.methods.synthetic import SyntheticMethod


class New(LossMethod):
    title = "new"
    reference = ("pictures", "texts")


class Old(LossMethod):
    title = "old"
    auxiliary = ("pictures",)


class OldOnNew(New):
    auxiliary = ("texts",)


class NewOnOld(Old):
    reference = ()


class Heir(OldOnNew):
    pass


class Mixin:
    reference = ("texts",)


class Mixed(Mixin, LossMethod):
    title = "mixed"


class Both(LossMethod):
    reference = ("pictures",)
    auxiliary = ("pictures",)


@pytest.mark.parametrize(
    ("cls", "declared"),
    [(New, ("pictures", "texts")), (Old, ("pictures",)), (OldOnNew, ("texts",)), (NewOnOld, ()), (Heir, ("texts",)),
     (Mixed, ("texts",)), (Both, ("pictures",)), (LossMethod, ()), (Method, ()), (SyntheticMethod, ("generator",))],
)  # fmt: skip
def test_the_nearest_declaration_decides_whichever_its_word(cls: type, declared: tuple[str, ...]) -> None:
    assert declared_reference(cls) == declared


@pytest.mark.parametrize("cls", [New, Old, Mixed])
def test_a_card_has_what_is_declared(cls: type[Method]) -> None:
    assert MethodCard.of(cls, {}, "full").reference == list(declared_reference(cls))


def test_the_older_word_can_be_read_of_a_class_that_declares_with_the_newer() -> None:
    assert (New.auxiliary, LossMethod.auxiliary, Mixed.auxiliary) == (("pictures", "texts"), (), ("texts",))
    assert New(FakeBackbone(), New.Config()).auxiliary == ("pictures", "texts")


def test_a_part_or_a_function_called_reference_is_no_declaration() -> None:
    class WithPart(Old):
        def __init__(self) -> None:
            super().__init__(FakeBackbone(), Old.Config())
            self.reference = nn.Linear(1, 1)

    class WithFunction(Old):
        def reference(self) -> str:
            return "Zhou et al., 2022"

    assert isinstance(WithPart().reference, nn.Linear)
    assert declared_reference(WithPart) == declared_reference(WithFunction) == ("pictures",)


def test_one_class_cannot_say_two_things() -> None:
    class Torn(LossMethod):
        reference = ("pictures",)
        auxiliary = ("texts",)

    with pytest.raises(MethodError, match=r"reference = \('pictures',\) and auxiliary = \('texts',\)") as refused:
        declared_reference(Torn)
    assert "leave auxiliary out" in str(refused.value.hint)


def test_a_comma_that_is_missing_is_noticed() -> None:
    class Text(LossMethod):
        auxiliary = "pictures"

    with pytest.raises(MethodError, match="auxiliary = 'pictures', which is no tuple"):
        declared_reference(Text)
