"""Reads the predictions of strangers: what a parquet file claims is looked at before any of it is unpacked.

A parquet file is packed: a small one may ask for any amount of memory, and a broken one may bring its reader down. Its
footer says how many rows and bytes there are, and may lie; so this file is also run by its path, as a process of its
own with little memory and time (it imports nothing of the project, and Python's isolated mode keeps every folder but
the installed packages from being imported). Standard input: JSON ``[[path, most rows, target], …]``. For each a line of
JSON is written, ``{"code", "message"}``, empty where all went well; ``target``, where it is not empty, then holds the
table as an uncompressed Arrow file, of types that the parent can take as they are.
"""

from __future__ import annotations

import json
import sys
from typing import Any

MEMORY, SECONDS = 700 * 1024**2, 120
"""Of the process: data that it may hold, and seconds that it may compute."""
MOST_COLUMNS, MOST_GROUPS, MOST_WORDS, LONGEST_WORD = 32, 1000, 10_000, 100
BYTES_A_ROW, BYTES_BESIDE = 128, 4 * 1024**2
"""Full predictions have 50 to 60 bytes a row."""
MOST_BYTES = 512 * 1024**2
"""What is unpacked at most where nobody knows how many rows there should be: three million answers and more."""


class RefusedError(Exception):
    """A table that is not read: the ``code`` of a finding, and why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def main() -> None:
    """Read every file that standard input names."""
    import resource

    limits = {resource.RLIMIT_DATA: MEMORY, resource.RLIMIT_CPU: SECONDS, resource.RLIMIT_CORE: 0}
    for which, most in limits.items():
        hard = resource.getrlimit(which)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(which, (most, most))
        except (OSError, ValueError):  # a system that knows no such limit
            continue
    for path, rows, target in json.load(sys.stdin):
        code, message = unpack(path, rows, target)
        print(json.dumps({"code": code, "message": message}), flush=True)


def unpack(path: str, rows: int, target: str = "") -> tuple[str, str]:
    """Read the table in ``path``, of at most so many ``rows``, and write it to ``target`` unless that is empty.

    Returns a finding's code and message, empty where there is none.
    """
    import pyarrow as pa

    try:
        table = read_table(path, rows, BYTES_A_ROW * rows + BYTES_BESIDE)
        if target:
            with pa.OSFile(target, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
    except RefusedError as error:
        return error.code, error.message
    return "", ""


def read_table(path: str, rows: int | None = None, size: int = MOST_BYTES, packed_words: bool = True) -> Any:
    """The Arrow table in a parquet file, without metadata: whole numbers, floats and short words, all there.

    At most so many ``rows`` and ``size`` bytes are read. Without ``packed_words``, words may be packed in any
    way. Raises :class:`RefusedError` for anything else, and nothing else: whatever a strange file does to its reader is
    an error of the file. A missing file raises :class:`FileNotFoundError`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    limits = {"thrift_string_size_limit": 2**20, "thrift_container_size_limit": 10**6}
    try:
        file = pq.ParquetFile(path, **limits)
        _check_claims(file, rows, size)
        if not packed_words:  # else a word of a file is there as often as it is used
            words = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
            file = pq.ParquetFile(path, read_dictionary=words, **limits)
        _check_types(file.schema_arrow)
        table = file.read(use_threads=False)
        table.validate(full=True)
        _check_content(table)
        if table.nbytes > size:
            raise RefusedError("archive-bomb", f"it unpacks to {table.nbytes:,} bytes; at most {size:,} are read")
        return table.replace_schema_metadata(None)
    except (RefusedError, FileNotFoundError):
        raise
    except MemoryError as error:
        raise RefusedError("archive-bomb", "it needs too much memory to be read") from error
    except Exception as error:
        why = ascii(f"{type(error).__name__}: {error}"[:300])[1:-1]
        raise RefusedError("predictions-unreadable", f"it is not a readable parquet file: {why}") from error


def _check_claims(file: Any, rows: int | None, size: int) -> None:
    """What the file says of itself, before any of it is unpacked."""
    metadata = file.metadata
    if metadata.num_columns > MOST_COLUMNS or metadata.num_row_groups > MOST_GROUPS:
        message = f"it claims {metadata.num_columns:,} columns in {metadata.num_row_groups:,} groups of rows"
        raise RefusedError("archive-bomb", message)
    if rows is not None and metadata.num_rows > rows:
        raise RefusedError("archive-bomb", f"it claims {metadata.num_rows:,} rows; at most {rows:,} are read")
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    parts = [group.column(k) for group in groups for k in range(group.num_columns)]
    counts = {part.num_values for part in parts} | {group.num_rows for group in groups} | {metadata.num_rows}
    if min(counts) < 0 or sum(group.num_rows for group in groups) != metadata.num_rows:
        raise RefusedError("predictions-unreadable", "its numbers of rows contradict each other")
    claimed = sum(max(part.total_uncompressed_size, 0) for part in parts)
    widths = [_width(field.type) for field in file.schema_arrow]
    claimed = max(claimed, sum(part.num_values for part in parts) // max(len(widths), 1) * sum(widths))
    if claimed > size:
        raise RefusedError("archive-bomb", f"it claims to unpack to {claimed:,} bytes; at most {size:,} are read")


def _width(kind: Any) -> int:
    """Bytes of one value; of a word those of its place among the words. Anything nested is refused later."""
    try:
        return max(int(kind.bit_width) // 8, 1)
    except ValueError:
        return 4


def _check_types(schema: Any) -> None:
    """Columns of different names, of whole numbers, floats and words; nothing nested."""
    import pyarrow as pa

    if len(set(schema.names)) < len(schema.names):
        raise RefusedError("predictions-types", "two columns have the same name")
    for field in schema:
        kind = field.type
        words = pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type)
        if not (words or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            message = f"has the type {str(kind)[:80]!a}; whole numbers, floats or words were expected"
            raise RefusedError("predictions-types", f"column {field.name[:40]!a} {message}")


def _check_content(table: Any) -> None:
    """No value is missing but a logit where there are fewer classes, and words are few and short."""
    import pyarrow as pa

    for name, column in zip(table.column_names, table.columns, strict=True):
        wrong = ""
        if column.null_count and not pa.types.is_floating(column.type):
            wrong = f"has {column.null_count:,} missing values"
        elif hasattr(column.type, "value_type"):
            if sum(len(chunk.dictionary) for chunk in column.chunks) > MOST_WORDS:
                wrong = f"has more than {MOST_WORDS:,} words"
            elif any(len(word or "") > LONGEST_WORD for chunk in column.chunks for word in _words(chunk)):
                wrong = f"has a word of more than {LONGEST_WORD} letters"
        if wrong:
            raise RefusedError("predictions-types", f"column {name[:40]!a} {wrong}")


def _words(chunk: Any) -> list[Any]:
    return list(chunk.dictionary.to_pylist())


if __name__ == "__main__":
    main()
