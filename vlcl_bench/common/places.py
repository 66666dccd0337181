"""Where the project keeps things on a machine, and which setting moves each folder elsewhere.

A folder of the user's that cannot be written is only of use in a message together with the setting that moves it:
:func:`moving` knows it for the folders that have a default, and :func:`named` takes note of those that were chosen.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from vlcl_bench.common.environment import value_of
from vlcl_bench.errors import MachineError, UsageError

DATA_HOME, STORE = "VLCL_DATA_HOME", "VLCL_STORE"
STORE_OPTION = "--store (or VLCL_STORE)"
"""What moves the store where it can be chosen."""


@dataclass(frozen=True)
class Place:
    """A folder with what is in it and the setting that moves it, in words."""

    folder: Path
    content: str
    setting: str


_chosen: dict[Path, Place] = {}


def data_home() -> Path:
    """``$VLCL_DATA_HOME``, or ``vlcl-bench`` in ``$XDG_DATA_HOME``, by default ``~/.local/share/vlcl-bench``.

    Unlike the store, what is here is not built again: it is what later runs are compared with. The folder need
    not exist. A relative ``$XDG_DATA_HOME`` is ignored, as the XDG base directory specification wants it. Raises
    :class:`MachineError` where there is neither a variable nor a home.
    """
    chosen = folder_of(DATA_HOME)
    if chosen is not None:
        return chosen
    shared = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (shared if shared.is_absolute() else home(DATA_HOME) / ".local" / "share") / "vlcl-bench"


def store_home() -> Path:
    """``$VLCL_STORE``, or the user's cache folder; raises :class:`MachineError` where there is neither."""
    chosen = folder_of(STORE)
    if chosen is not None:
        return chosen
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else home(STORE) / ".cache") / "vlcl-bench" / "store"


def folder_of(variable: str) -> Path | None:
    """The folder that a variable of ours names, ``~`` standing for the user's home; ``None`` where it is not set.

    Raises :class:`UsageError` where it names none, a user's without a home for instance.
    """
    value = value_of(variable)
    try:
        return Path(value).expanduser() if value else None
    except RuntimeError as error:
        raise UsageError(f"{variable}={value!r}: {error}", "Write the folder in full, from / on.") from error


def home(variable: str) -> Path:
    """The user's home; raises :class:`MachineError` with the ``variable`` that does without it where there is none."""
    try:
        return Path.home()
    except RuntimeError as error:
        raise MachineError(
            "there is no home folder here: HOME is not set, and the system knows no user of this number",
            f"Set {variable} to a folder that can be written (or HOME).",
        ) from error


def named(folder: Path, content: str, setting: str) -> Path:
    """``folder``, after taking note of what lies there and which ``setting`` moves it."""
    place = Path(os.path.abspath(folder))
    _chosen[place] = Place(place, content, setting)
    return folder


def moving(path: Path) -> str:
    """What to type so that what was to be written at ``path`` goes elsewhere: a sentence."""
    full = Path(os.path.abspath(path))
    over = [place for place in (*_usual(), *_chosen.values()) if full.is_relative_to(place.folder)]
    if not over:
        return "Choose another folder."
    place = max(over, key=lambda place: (len(place.folder.parts), place in _chosen.values()))
    return f"{place.content[:1].upper()}{place.content[1:]} can be elsewhere: {place.setting} names the folder."


def _usual() -> list[Place]:
    """Folders that need not be chosen: ours, and those of the libraries that download weights and data sets."""
    places = []
    try:
        places.append(Place(Path(os.path.abspath(data_home())), "manifests and canaries of first use", DATA_HOME))
        places.append(Place(Path(os.path.abspath(store_home())), "decoded and synthetic pictures", STORE_OPTION))
    except MachineError:  # no home: nothing lies in it
        pass
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    hub = os.environ.get("HF_HUB_CACHE") or os.environ.get("HF_HOME") or os.path.join(cache, "huggingface")
    variable = "HF_HUB_CACHE" if os.environ.get("HF_HUB_CACHE") else "HF_HOME"
    places.append(Place(Path(os.path.abspath(hub)), "the hub's cache of weights and data sets", variable))
    if os.environ.get("HF_DATASETS_CACHE"):
        sets = Path(os.path.abspath(os.environ["HF_DATASETS_CACHE"]))
        places.append(Place(sets, "tables of the hub's data sets", "HF_DATASETS_CACHE"))
    torch = os.environ.get("TORCH_HOME") or os.path.join(cache, "torch")
    places.append(Place(Path(os.path.abspath(torch)), "torch's cache of weights", "TORCH_HOME"))
    places.append(Place(Path(os.path.expanduser("~/.cache/clip")), "open_clip's cache of weights", "HOME"))
    return places
