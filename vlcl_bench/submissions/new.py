"""``vlcl submit new``: a folder that runs as it is, and says what is still to be written."""

from __future__ import annotations

from pathlib import Path

from vlcl_bench.common.fileio import write_atomic
from vlcl_bench.errors import UsageError
from vlcl_bench.methods.registry import list_methods
from vlcl_bench.methods.template import TEMPLATE
from vlcl_bench.submissions.manifest import MANIFEST_NAME, METHOD_NAME, PLACEHOLDER
from vlcl_bench.submissions.text import NAME_HINT, is_name, shown

MANIFEST = f'''# What this submission is. `vlcl submit check` refuses what still begins with {PLACEHOLDER}.

# Its name in words, at most 60 characters. Names and texts are plain: no markup.
name = "{{words}}"

# Who wrote this implementation.
authors = ["{PLACEHOLDER}: your name"]

# Where the method was published: authors, title, place and year; or "unpublished".
paper = "{PLACEHOLDER}: authors, title, place and year, or unpublished"

# Whose code it is: "our own, from the paper", "our own, after the released code's settings", ...
implementation = "our own"

# Under which licence the Python files stand, as an SPDX identifier. It must allow us to distribute it.
licence = "Apache-2.0"

# "standard", or "open-budget" where a task draws more pictures than the protocol allows; see RULES.md.
track = "standard"

# Every pretrained model that takes part, the backbone first.
pretrained_models = ["vlcl-mini/v1"]

# All data beside the tasks' training pictures, by the names that records give them, and what of them is used:
# auxiliary_data = ["mini-reference: 4,000 pictures of the mini CLIP's pretraining"]
auxiliary_data = []
'''


def new_submission(name: str, folder: Path) -> Path:
    """Write ``folder/name`` with a working method and its ``submission.toml``.

    Raises :class:`UsageError` for a name that a submission cannot have, or has already.
    """
    if not is_name(name):
        raise UsageError(f"{shown(name)} cannot be the name of a submission", NAME_HINT)
    if name.lower() in {info.name.lower() for info in list_methods()}:
        raise UsageError(f"{name!r} is the name of a reference method", "Choose another: `vlcl methods` lists those.")
    target = folder / name
    for there in folder.iterdir() if folder.is_dir() else ():
        if there.name.lower() == name.lower():  # some file systems do not tell upper from lower case
            raise UsageError(f"{there} exists already", "Choose another name, or go on with what is there.")
    words = [word for word in name.replace("-", "_").split("_") if word]
    title = " ".join(words)
    # Not "MyMethod" alone: the class of the start must not have the name of what it is derived from.
    cls = "".join(word[0].upper() + word[1:] for word in words)
    cls = cls if cls.isidentifier() and cls not in ("LossMethod", "Method", "Task", "Batch", "Context") else "MyMethod"
    write_atomic(target / METHOD_NAME, TEMPLATE.format(name=cls, title=title))
    write_atomic(target / MANIFEST_NAME, MANIFEST.format(words=title[:60]))
    return target
