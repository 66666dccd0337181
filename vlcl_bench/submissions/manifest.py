"""``submission.toml``: what a submission says of itself, and what may be said there."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from vlcl_bench.methods.registry import reference_method
from vlcl_bench.methods.source import baselines_folder
from vlcl_bench.submissions.finding import Finding
from vlcl_bench.submissions.text import UnreadableError, read_limited, shown, unsafe

MANIFEST_NAME, METHOD_NAME = "submission.toml", "method.py"
MANIFEST_LIMIT = 64 * 1024
MOST_PARTS, MOST_ERRORS = 100, 20
DOTTED = re.compile(rf"""(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){{{MOST_PARTS}}}""")
"""A key of thirty thousand parts takes Python's reader of TOML gigabytes, since each part is noted with all before it."""
PLACEHOLDER = "TODO"
"""How a text begins that ``vlcl submit new`` left to be written."""


def _said(text: str) -> str:
    if why := unsafe(text):
        raise ValueError(f"it holds {why}")
    if text != text.strip():
        raise ValueError("it begins or ends with a space")
    if text.startswith(PLACEHOLDER):
        raise ValueError(f"it is still to be written: {shown(text)}")
    return text


Name = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_said)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Line = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_said)]


class Submission(BaseModel):
    """A checked ``submission.toml``; the names are those of its keys.

    ``entries`` are settings, beside the method's defaults, whose runs are entries of their own and ranked as such.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Name
    authors: Annotated[list[Name], Field(min_length=1, max_length=50)]
    paper: Line
    implementation: Line
    licence: Name
    track: Literal["standard", "open-budget"]
    method: Annotated[str, Field(max_length=200)] = METHOD_NAME
    pretrained_models: Annotated[list[Line], Field(max_length=20)]
    auxiliary_data: Annotated[list[Line], Field(max_length=20)]
    entries: Annotated[list[dict[Name, bool | int | Finite | Line]], Field(max_length=5)] = []

    @staticmethod
    def mentions(name: str, *lists: Sequence[str]) -> bool:
        """Whether a model or a data set is declared under ``name`` in one of ``lists``.

        A declaration is the name alone, or the name with a word about it behind a blank or a mark: ``NAME: which``.
        """
        declared = re.compile(re.escape(name) + r"(?=$|\s|[,;:](?=\s|$))")
        return any(declared.match(text) for texts in lists for text in texts)


KEYS = ", ".join(Submission.model_fields)
HINTS = {
    "extra_forbidden": f"Leave it out. Known keys: {KEYS}.",
    "missing": f"Add it; the keys are {KEYS}. docs/submitting.md says what to write.",
    "value_error": "Write one line of plain text: no markup, no control characters, nothing left to be written.",
}


def read_submission(folder: Path) -> tuple[Submission | None, list[Finding]]:
    """What ``submission.toml`` says, ``None`` where it cannot be read; and all that is wrong with it."""

    def finding(code: str, message: str, hint: str) -> Finding:
        return Finding(code, MANIFEST_NAME, message, hint)

    try:
        data = read_limited(folder / MANIFEST_NAME, MANIFEST_LIMIT)
    except UnreadableError as error:
        hint = (
            f"A submission has a {MANIFEST_NAME} of at most {MANIFEST_LIMIT // 1024} KiB; `vlcl submit new` writes one."
        )
        return None, [finding("toml-unreadable", f"{MANIFEST_NAME} cannot be read: {error}", hint)]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return None, [finding("toml-encoding", f"byte {error.start} is not UTF-8", "Save the file as UTF-8.")]
    if DOTTED.search(text):
        message = f"a key has more than {MOST_PARTS} parts between its dots"
        return None, [finding("toml-syntax", message, f"Known keys: {KEYS}.")]
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        return None, [finding("toml-syntax", f"not valid TOML: {shown(str(error), 200)}", "Fix that line.")]
    try:
        return Submission.model_validate(values), []
    except ValidationError as error:
        findings, errors = [], error.errors(include_url=False, include_context=False, include_input=False)
        for part in errors[:MOST_ERRORS]:
            where, kind = ".".join(map(str, part["loc"])), part["type"]
            code = {"extra_forbidden": "toml-unknown-key", "value_error": "toml-text"}.get(kind, "toml-value")
            message = f"{shown(where)}: {part['msg'].removeprefix('Value error, ')}"
            findings.append(finding(code, message, HINTS.get(kind, "See docs/submitting.md.")))
        if len(errors) > MOST_ERRORS:
            findings.append(finding("toml-value", f"and {len(errors) - MOST_ERRORS} more places", HINTS["missing"]))
        return None, findings


def method_file(folder: Path, submission: Submission) -> tuple[Path | None, list[Finding]]:
    """The file of the method, which is in the submission or, for a reference method, in ``baselines/``.

    The path that is written is compared, never followed: nothing else can be reached with it.
    """
    name = Path(folder.absolute()).name
    reference = reference_method(name)
    if reference is not None and submission.method == _path_from_submission(reference):
        beside = sorted(path.name for path in folder.glob("*.py"))
        if beside:
            message = f"{shown(beside[0])} lies beside a {MANIFEST_NAME} that names another file: {submission.method}"
            return None, [Finding("method-path", shown(beside[0]), message, "Keep one of the two.")]
        return reference, []
    if submission.method != METHOD_NAME:
        message = f"method = {shown(submission.method)} is not a file of the submission"
        hint = f'Write method = "{METHOD_NAME}", or leave it out; it cannot lead out of the folder.'
        return None, [Finding("method-path", MANIFEST_NAME, message, hint)]
    if reference is not None:
        hint = "Give the folder another name."
        return None, [Finding("name-taken", ".", f"{name!r} is the name of a reference method", hint)]
    return folder / METHOD_NAME, []


def _path_from_submission(reference: Path) -> str:
    """How ``submissions/NAME/submission.toml`` names a reference method: a file, or a folder's ``method.py``."""
    return f"../../baselines/{reference.relative_to(baselines_folder()).as_posix()}"
