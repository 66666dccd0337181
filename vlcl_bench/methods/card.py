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
            return cls.model_validate(said)
        except ValidationError as error:
            raise MethodError(f"the method does not describe itself correctly: {first_invalid(error)}") from error


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


def make_settings(cls: type[Method], settings: Mapping[str, Any], scale: str) -> Any:
    """The method's settings: its defaults, its values for the world of this scale, then the user's settings."""
    from vlcl_bench.methods.base import Config
    from vlcl_bench.methods.bounds import check_bounds

    if not issubclass(cls.Config, Config):
        raise MethodError(
            f"the settings class of {cls.title} does not derive from vlcl_bench.methods.Config",
            "Without it a misspelt --set would pass unseen.",
        )
    of_world = getattr(cls, f"{world_of(scale).settings}_settings", {})
    fields = cls.Config.model_fields
    for key, value in settings.items():
        if key in fields and not may_be(fields[key].annotation, value):
            raise UsageError(
                f"setting {key}={value!r} of {cls.title}: found {shown(value)}, expected "
                f"{expected_at(cls.Config, (key,))}",
                f"For instance: --set {key}={json.dumps(fields[key].get_default(), default=str)}",
            )
    try:
        values = cls.Config.model_validate({**of_world, **settings})
    except ValidationError as error:
        first, faults = error.errors()[0], schema_faults(error, cls.Config)
        key = ".".join(map(str, first["loc"])) or "settings"
        if first["type"] == "extra_forbidden":
            known = nearest(key, fields) if fields else "It has none."
            raise UsageError(f"{cls.title} has no setting {key!r}", known) from error
        others = "".join(f"\nAnd {place_words(fault.place)}: {fault.said}" for fault in faults[1:])
        raise UsageError(f"setting {key}={first['input']!r} of {cls.title}: {faults[0].said}{others}") from error
    check_bounds(values, cls.title)
    return values
