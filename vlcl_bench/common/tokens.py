"""What a Python file says: the digest of a source that records carry, of methods and of backbones.

What a comment, a docstring, a blank line or the place of an import says changes no number, so it changes no digest:
code may be documented better, and this package rearranged, without its records becoming those of another source.
"""

from __future__ import annotations

import ast
import io
import json
import tokenize
from collections.abc import Iterable, Iterator, Sequence

from vlcl_bench.common.fileio import sha256_bytes, sha256_text

OWN_PACKAGES = ("vlcl_bench", "baselines")
"""Packages whose modules may move: of an import from them the names count, and the module does not."""
SILENT = {tokenize.ENCODING, tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER}
NEWLINE, INDENT, DEDENT = "<newline>", "<indent>", "<dedent>"
LAYOUT = {tokenize.NEWLINE: NEWLINE, tokenize.INDENT: INDENT, tokenize.DEDENT: DEDENT}
F_STRING = {getattr(tokenize, f"{kind}STRING_START", -1) for kind in "FT"}
F_STRING_END = {getattr(tokenize, f"{kind}STRING_END", -1) for kind in "FT"}

Position = tuple[int, int]
"""Line from 1, column from 0 in characters."""


def token_digest(source: bytes) -> str:
    """SHA-256 over the tokens of a Python file without comments, docstrings, blank lines and own imports.

    Of the latter the names that are bound count (``Context``, or ``Context as C``), in no order. A file that is no
    Python has the hash of its bytes: importing it says what is wrong. All versions of Python that this project supports
    give the same digest (3.12 began to part f-strings into tokens; here each is one again).
    """
    try:
        tree = ast.parse(source)
        tokens = list(tokenize.tokenize(io.BytesIO(source).readline))
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return sha256_bytes(source)
    imports = _own_imports(tree)
    bound = {f"{alias.name} as {alias.asname}" for node in imports for alias in node.names}
    lines = _lines(source)
    silent = _starts([*imports, *_docstrings(tree)], lines)
    # Where a block ends is said at the statement after it, which may be silent.
    words = [word for start, word in _words(tokens, lines) if word in (INDENT, DEDENT) or start not in silent]
    return sha256_text(json.dumps([sorted(bound), _without_empty_lines(words)], ensure_ascii=True))


def _lines(source: bytes) -> list[str]:
    encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    return list(io.TextIOWrapper(io.BytesIO(source), encoding, newline="\n"))


def _without_empty_lines(words: Sequence[str]) -> list[str]:
    """The words without the ends of lines on which nothing was left."""
    left: list[str] = []
    for word in words:
        if word != NEWLINE or (left and left[-1] not in (NEWLINE, INDENT, DEDENT)):
            left.append(word)
    return left


def _words(tokens: Iterable[tokenize.TokenInfo], lines: Sequence[str]) -> Iterator[tuple[Position, str]]:
    """Each token that counts, with its place in the text; layout by name, an f-string as it is written."""
    depth, begun = 0, (0, 0)
    for token in tokens:
        if token.type in F_STRING:
            begun = begun if depth else token.start
            depth += 1
        elif token.type in F_STRING_END:
            depth -= 1
            if depth == 0:
                yield begun, _text(lines, begun, token.end)
        elif depth == 0 and token.type not in SILENT:
            yield token.start, LAYOUT.get(token.type, token.string)


def _text(lines: Sequence[str], start: Position, end: Position) -> str:
    """The source between two places (line from 1, column from 0)."""
    part = [*lines[start[0] - 1 : end[0] - 1], lines[end[0] - 1][: end[1]]]
    part[0] = part[0][start[1] :]
    return "".join(part)


def _own_imports(tree: ast.AST) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom) and _is_own(node)]


def _is_own(node: ast.Import | ast.ImportFrom) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.level > 0 or (node.module or "").partition(".")[0] in OWN_PACKAGES
    return all(alias.name.partition(".")[0] in OWN_PACKAGES for alias in node.names)


def _docstrings(tree: ast.AST) -> list[ast.stmt]:
    """The statements that are docstrings, and strings that stand alone and say what is above them."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]


def _starts(nodes: Iterable[ast.stmt], lines: Sequence[str]) -> set[Position]:
    """Where each token of these statements could start: every place from their first to their last character."""
    places: set[Position] = set()
    for node in nodes:
        first, last = node.lineno, node.end_lineno or node.lineno
        for number in range(first, last + 1):
            line = lines[number - 1]
            # The syntax tree counts bytes, the tokens characters.
            start = len(line.encode()[: node.col_offset].decode()) if number == first else 0
            end = len(line.encode()[: node.end_col_offset].decode()) if number == last else len(line)
            places |= {(number, column) for column in range(start, end)}
    return places
