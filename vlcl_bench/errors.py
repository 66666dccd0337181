"""Errors that a user can act on, each with the exit code that the command line ends with.

Everything raised on purpose derives from :class:`VlclError`. A message says what was found and what was
expected; the hint says what to type next. Anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]{4,}(?=>)")
"""Where an object lies in memory, as Python's own words for it end: it says nothing, and differs from run to run."""


class VlclError(Exception):
    """Base of all deliberate errors: ``message`` (what was found, what was expected) and ``hint`` (what next)."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.message = ADDRESS.sub("", message)
        self.hint = hint
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n{self.hint}"


class UsageError(VlclError):
    """The command, a name, a setting or an input file is not what was asked for (exit code 2)."""

    exit_code = 2


class IntegrityError(VlclError):
    """A file of ours (store, state, record, journal, manifest) is damaged or does not belong here (exit code 3)."""

    exit_code = 3


class MethodError(VlclError):
    """A method could not be loaded, raised, or returned something unusable (exit code 4)."""

    exit_code = 4


class MachineError(VlclError):
    """The machine refuses: disk full, folder not writable, device missing (exit code 5)."""

    exit_code = 5


def first_invalid(error: ValidationError) -> str:
    """The first place of a file that does not fit its schema, and what is wrong with it."""
    first = error.errors()[0]
    place = ".".join(map(str, first["loc"])) or "the whole"
    return f"{place}: {first['msg']}"


SHOWN = 40
"""Names in a list of known ones: enough for ours, not all of open_clip's."""
OFFERED = 6
"""Names in one suggestion."""
ROMAN = {"i": "1", "ii": "2", "iii": "3", "iv": "4"}


def nearest(name: str, known: Iterable[str], also: Mapping[str, str] | None = None) -> str:
    """What to say of an unknown name: ``Did you mean …?``, or which names there are; see :func:`near_names`."""
    names = sorted(known)
    near, meant = near_names(name, names, also)
    if near:
        return did_you_mean(near) if meant else f"Similar in name, but something else: {quoted(near)}."
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return "Known: " + (", ".join(names[:SHOWN]) if names else "none") + more + "."


def did_you_mean(names: Sequence[str]) -> str:
    """The question, of one name or several."""
    return f"Did you mean {names[0]!r}?" if len(names) == 1 else f"Did you mean one of {quoted(names)}?"


def quoted(names: Sequence[str]) -> str:
    """The first few of some names, in quotes."""
    more = ", …" if len(names) > OFFERED else ""
    return ", ".join(map(repr, names[:OFFERED])) + more


def near_names(
    name: str, known: Iterable[str], also: Mapping[str, str] | None = None, cutoff: float = 0.5
) -> tuple[list[str], bool]:
    """Known names that ``name`` may mean, best first, and whether it may really mean them.

    Capitals, accents, marks between words and a Roman number at the end do not count (``MTIL-I`` is ``mtil-1``).
    ``also`` are further words for known names, such as titles. Numbers and single letters are part of what is named
    (sizes, variants, counts: ``ViT-B-16``, ``imagenet-r``), so a name with others is never what was meant: such names
    come alone, and with ``False``. ``cutoff`` is the least likeness of a name that is neither part nor whole.
    """
    names, wanted = sorted(known), words_of(name)
    spelled = {each: [words_of(each)] for each in names}
    for title, each in (also or {}).items():
        if each in spelled:
            spelled[each].append(words_of(title))
    pairs = [(each, words) for each in names for words in spelled[each]]
    letters, marks = "".join(wanted), marks_of(wanted)
    if same := [each for each, words in pairs if "".join(words) == letters]:
        return list(dict.fromkeys(same)), True
    alike = [pair for pair in pairs if marks_of(pair[1]) == marks]
    if close := _close(letters, alike, 1, 0.85):
        return close, True
    # All words of a known name, and more around them: "MTIL, order I".
    within = [pair for pair in alike if set(pair[1]) <= set(wanted)]
    most = max((len("".join(words)) for _, words in within), default=0)
    if most * 2 >= len(letters) > 0:
        return list(dict.fromkeys(each for each, words in within if len("".join(words)) == most)), True
    # Some words of a known name, or its beginning: "mtil".
    if len(letters) > 1:
        begins = () if marks else (letters,)
        wider = [each for each, words in pairs if set(wanted) <= set(words) or "".join(words).startswith(begins)]
        if wider:
            return sorted(dict.fromkeys(wider), key=lambda each: (len(each), each)), True
    if close := _close(letters, alike, 1, cutoff):
        return close, True
    return _close(letters, pairs, OFFERED, max(cutoff, 0.6)), False


def words_of(text: str) -> tuple[str, ...]:
    """Words and numbers of a name, without capitals and accents; a Roman number at the end as a number."""
    letters = (sign for sign in unicodedata.normalize("NFKD", text).casefold() if not unicodedata.combining(sign))
    words = [str(int(word)) if word.isdecimal() else word for word in re.findall(r"[^\W\d_]+|\d+", "".join(letters))]
    if len(words) > 1 and words[-1] in ROMAN:
        words[-1] = ROMAN[words[-1]]
    return tuple(words)


def marks_of(words: Iterable[str]) -> list[str]:
    """The words of a name that make it another one where they differ: numbers and single letters."""
    return sorted(word for word in words if word.isdecimal() or len(word) == 1)


def _close(letters: str, pairs: Sequence[tuple[str, tuple[str, ...]]], most: int, cutoff: float) -> list[str]:
    """Names whose letters are close to these, closest first."""
    spelled: dict[str, str] = {}
    for name, words in pairs:
        spelled.setdefault("".join(words), name)
    found = difflib.get_close_matches(letters, spelled, n=most, cutoff=cutoff)
    return list(dict.fromkeys(spelled[close] for close in found))
