"""Which reference data a method's class declares: as ``reference``, or with the older word ``auxiliary``."""

from __future__ import annotations

from vlcl_bench.errors import MethodError

WORDS = ("reference", "auxiliary")


def declared_reference(cls: type) -> tuple[str, ...]:
    """The kinds of data beside the tasks that a class declares (``pictures``, ``texts``, ``generator``).

    The nearest class in the order of inheritance that has one of the two words decides. A ``reference`` that is no
    tuple or list is a part of the method that happens to be called so. Raises :class:`MethodError` where a class says
    different things with the two words, or ``auxiliary`` is a text.
    """
    for owner in cls.__mro__:
        if isinstance(vars(owner).get("auxiliary"), str):
            raise MethodError(
                f"class {owner.__name__} declares auxiliary = {vars(owner)['auxiliary']!r}, which is no tuple",
                'Write reference = ("pictures",), with the comma.',
            )
        said = [tuple(vars(owner)[word]) for word in WORDS if isinstance(vars(owner).get(word), (tuple, list))]
        if len(set(said)) > 1:
            raise MethodError(
                f"class {owner.__name__} declares reference = {said[0]} and auxiliary = {said[1]}",
                "The two are one thing: leave auxiliary out.",
            )
        if said:
            return said[0]
    return ()


class AsDeclared:
    """``auxiliary`` of a class that does not set it: what it declares, for code that reads the older word."""

    def __get__(self, instance: object, owner: type) -> tuple[str, ...]:
        return declared_reference(owner)
