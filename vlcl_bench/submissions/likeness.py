"""Names that a reader would take for each other: other letters that look the same, other case, other blanks."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from vlcl_bench.errors import VlclError
from vlcl_bench.methods.registry import list_methods
from vlcl_bench.records.files import RECORD_NAME, read_record
from vlcl_bench.submissions.manifest import MANIFEST_NAME, read_submission

_ALIKE = {
    # Greek and Cyrillic capitals, then small letters
    "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ": "ABEZHIKMNOPTYX", "αγικνορτυχ": "ayikvoptux",
    "АВЕЗКМНОРСТУХЅІЈԌԚԜӀҮ": "ABE3KMHOPCTYXSIJGQWIY", "авегзкмнорстухѕіјԁԍԛԝһӏѵү": "aber3kmhopctyxsijdgqwhlvy",
    # Armenian, Cherokee
    "ՕՍՏԼօսոհցզ": "OUSLounhgq", "ᎪᏴᏟᎠᎬᏀᎻᎥᎫᏦᏞᎷᏢᏚᎢᏙᏔᏃᏒᎩ": "ABCDEGHiJKLMPSTVWZRY",
    # Latin letters that are no others' compatibility form
    "ıɩɡɑʟᴀʙᴄᴅᴇꜰɢʜɪᴊᴋᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ": "iigalabcdefghijkmnoprstuvwyz",
}  # fmt: skip
ALIKE = {ord(one): other for theirs, ours in _ALIKE.items() for one, other in zip(theirs, ours, strict=True)}
"""Letters of other scripts that look like Latin ones, by Unicode's list of confusable characters, the common ones."""
SAME = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l", "!": "l"})
BLANKS = {0x115F, 0x1160, 0x2800, 0x3164, 0xFFA0}
"""Letters and signs that show nothing."""
UNSEEN = {"Mn", "Me", "Cc", "Cf", "Zs", "Zl", "Zp", "Pd", "Pc"}
"""Accents, controls, blanks, dashes and underscores: what is overlooked."""


def looks(text: str) -> str:
    """What is left of ``text`` for a hasty reader; equal for texts that look alike."""
    letters = unicodedata.normalize("NFKD", text).translate(ALIKE)
    seen = [one for one in letters if unicodedata.category(one) not in UNSEEN and ord(one) not in BLANKS]
    return "".join(seen).casefold().translate(ALIKE).translate(SAME).replace(".", "").replace("'", "")


def taken_title(title: str, method: str, committed: Path) -> str:
    """Whose title ``title`` looks like, in words; empty where it is nobody's but the submission's own (``method``)."""
    for owner, words in _titles(committed).get(looks(title), {}).items():
        if owner != method:
            return words
    return ""


def taken_name(name: str, folder: Path, committed: Path) -> str:
    """Which other folder or method has ``name`` but for the case of its letters; empty for none."""
    names = {info.name for info in list_methods()} | _folders(folder) | _folders(committed)
    return next((other for other in sorted(names) if other != name and other.casefold() == name.casefold()), "")


def _folders(place: Path) -> set[str]:
    return {path.name for path in place.iterdir() if path.is_dir()} if place.is_dir() else set()


@cache
def _titles(committed: Path) -> Mapping[str, Mapping[str, str]]:
    """By what they look like, the titles of reference methods and of committed submissions: owners, and in words."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted(committed.glob(f"*/{MANIFEST_NAME}")):
        owner, titles = path.parent.name, set[str]()
        submission, _ = read_submission(path.parent)
        if submission is not None:
            titles.add(submission.name)
        for run in sorted(path.parent.glob(f"runs/*/{RECORD_NAME}"))[:1]:
            try:
                titles.add(read_record(run.parent).title)
            except VlclError:
                continue
        for title in titles:
            found.setdefault(looks(title), {})[owner] = f"{title!a}, the title of the submission {owner!a}"
    for info in list_methods():
        if info.source == "baselines":
            words = f"{info.title!a}, the title of a reference method"
            found.setdefault(looks(info.title), {})[info.name] = words
    return found
