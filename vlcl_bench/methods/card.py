"""What a method says of itself, as plain data: all that the rest of the project knows of a method's class."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vlcl_bench.common.faults import expected_at, may_be, place_words, schema_faults, shown
from vlcl_bench.data.world import world_of
from vlcl_bench.errors import MethodError, UsageError, first_invalid, nearest
from vlcl_bench.methods.declaration import declared_reference

if TYPE_CHECKING:
    from vlcl_bench.methods.base import Method

MOST_TITLE = 200
MOST_NAME = 4096


REFERENCE_KINDS = ("pictures", "texts", "generator")


class _OurSettings(BaseModel):
    """Settings that the harness reads, where a method has any of that name: of the types that it can use."""

    model_config = ConfigDict(strict=True)

    reference_pictures: int | None = None
    reference_texts: int | None = None
    generator: Annotated[str, Field(max_length=MOST_NAME)] | None = None
    denoising_steps: Annotated[int, Field(ge=1, le=10_000)] | None = None
    guidance: Annotated[float, Field(allow_inf_nan=False)] | None = None
    picture_size: Annotated[int, Field(ge=1, le=1 << 16)] | None = None
    pictures: int | None = None


class MethodCard(BaseModel):
    """A method with certain settings in a certain world.

    ``title`` is its name in tables; ``deterministic`` says that the seed changes nothing; ``reference`` lists the data
    beside the tasks that it declares (``pictures``, ``texts``, ``generator``). ``settings`` are all values that it runs
    with and ``defaults`` those that it has in this world where nobody sets any. ``unranked_because`` says why these
    settings must not be ranked, and is empty where they may.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    title: Annotated[str, Field(min_length=1, max_length=MOST_TITLE)]
    deterministic: bool
    reference: list[str]
    settings: dict[str, Any]
    defaults: dict[str, Any]
    unranked_because: str

    @classmethod
    def of(cls, method: type[Method], settings: Mapping[str, Any], scale: str) -> MethodCard:
        """The card of a class with a user's settings in the world of this scale.

        Raises :class:`UsageError` for settings that it does not have.
        """
        values = make_settings(method, settings, scale)
        return cls(
            title=method.title,
            deterministic=method.deterministic,
            reference=list(declared_reference(method)),
            settings=values.model_dump(mode="json"),
            defaults=make_settings(method, {}, scale).model_dump(mode="json"),
            unranked_because=method.unranked_because(values),
        )

    @classmethod
    def read(cls, said: object) -> MethodCard:
        """A card that came from a method's own process; raises :class:`MethodError` where it is none."""
        try:
            card = cls.model_validate(said)
            for settings in (card.settings, card.defaults):
                _OurSettings.model_validate(settings)
        except ValidationError as error:
            raise MethodError(f"the method does not describe itself correctly: {first_invalid(error)}") from error
        if strange := sorted(set(card.reference) - set(REFERENCE_KINDS)):
            raise MethodError(
                f"the method does not describe itself correctly: it declares the data {strange}",
                f"A method can declare: {', '.join(REFERENCE_KINDS)}.",
            )
        return card


def parse_settings(pairs: Iterable[str]) -> dict[str, Any]:
    """``key=value`` pairs; values are read as JSON where they are JSON (``0.5``, ``true``), else as text."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {pair!r} is not of the form key=value", "For instance: --set alpha=0.5")
        try:
            settings[key.strip()] = json.loads(value)
        except json.JSONDecodeError:
            settings[key.strip()] = value
    return settings


def _refuse_other_kinds(cls: type[Method], settings: Mapping[str, Any]) -> None:
    """Refuse a text where a number belongs, and the like: pydantic alone reads ``1_0`` as 10 and ``true`` as 1."""
    for key, value in settings.items():
        field = cls.Config.model_fields.get(key)
        if field is not None and not may_be(field.annotation, value):
            wanted = expected_at(cls.Config, (key,))
            raise UsageError(
                f"setting {key}={value!r} of {cls.title}: found {shown(value)}, expected {wanted}",
                f"For instance: --set {key}={json.dumps(field.get_default(), default=str)}",
            )


def _in_words(error: ValidationError, config: type[BaseModel]) -> str:
    """What is wrong with the settings: the first fault, and a line for each other."""
    first, *others = schema_faults(error, config)
    return "".join([first.said, *(f"\nAnd {place_words(fault.place)}: {fault.said}" for fault in others)])


def make_settings(cls: type[Method], settings: Mapping[str, Any], scale: str) -> Any:
    """The method's settings: its defaults, its values for the world of this scale, then the user's settings."""
    from vlcl_bench.methods.base import Config
    from vlcl_bench.methods.bounds import check_bounds

    if not issubclass(cls.Config, Config):
        raise MethodError(
            f"the settings class of {cls.title} does not derive from vlcl_bench.methods.Config",
            "Without it a misspelt --set would pass unseen.",
        )
    _refuse_other_kinds(cls, settings)
    of_world = getattr(cls, f"{world_of(scale).settings}_settings", {})
    merged = {**of_world, **settings}
    try:
        values = cls.Config.model_validate(merged)
    except ValidationError as error:
        first: dict[str, Any] = {**error.errors()[0], "msg": _in_words(error, cls.Config)}
        key = ".".join(map(str, first["loc"])) or "settings"
        fields = cls.Config.model_fields
        if first["type"] == "extra_forbidden":
            known = nearest(key, fields) if fields else "It has none."
            raise UsageError(f"{cls.title} has no setting {key!r}", known) from error
        raise UsageError(f"setting {key}={first['input']!r} of {cls.title}: {first['msg']}") from error
    check_bounds(values, cls.title)
    return values
