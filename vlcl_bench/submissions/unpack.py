"""Reads the predictions of strangers, in a process of its own with little memory and time.

A parquet file is packed: a small one may ask for any amount of memory, and a broken one may bring its reader down.
The parent runs this file by its path (so it imports nothing of the project, and Python's isolated mode keeps every
folder but the installed packages from being imported). Standard input: JSON ``[[path, most rows, target], …]``. For
each a line of JSON is written, ``{"code", "message"}``, empty where all went well; ``target`` then holds the table as
an uncompressed Arrow file, of types that the parent can take as they are.
"""

from __future__ import annotations

import json
import sys
from typing import Any

MEMORY, SECONDS = 4 * 1024**3, 120
MOST_COLUMNS, MOST_GROUPS, MOST_WORDS = 32, 1000, 10_000
BYTES_A_ROW, BYTES_BESIDE = 128, 4 * 1024**2
"""Full predictions have 50 to 60 bytes a row."""


def main() -> None:
    """Read every file that standard input names."""
    import resource

    for which, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(which)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(which, (most, most))
        except (OSError, ValueError):  # a system that knows no such limit
            continue
    for path, rows, target in json.load(sys.stdin):
        code, message = unpack(path, rows, target)
        print(json.dumps({"code": code, "message": message}), flush=True)


def unpack(path: str, rows: int, target: str) -> tuple[str, str]:
    """Write the table in ``path`` to ``target``; returns a finding's code and message, empty where there is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path, thrift_string_size_limit=2**20, thrift_container_size_limit=10**6)
        if claimed := _claims(file.metadata, rows):
            return "archive-bomb", claimed
        table = file.read(use_threads=False)
        if wrong := _types(table):
            return "predictions-types", wrong
        if table.nbytes > BYTES_A_ROW * rows + BYTES_BESIDE:
            return "archive-bomb", f"it unpacks to {table.nbytes:,} bytes, far more than its answers need"
        table = table.replace_schema_metadata(None)
        with pa.OSFile(target, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    except MemoryError:
        return "archive-bomb", f"it needs more than {MEMORY // 1024**3} GiB of memory to be read"
    except Exception as error:
        return "predictions-unreadable", f"it is not a readable parquet file: {type(error).__name__}: {error}"[:300]
    return "", ""


def _claims(metadata: Any, rows: int) -> str:
    """What the file says of itself, before any of it is unpacked."""
    if metadata.num_rows > rows:
        return f"it claims {metadata.num_rows:,} rows; at most {rows:,} are read"
    if metadata.num_columns > MOST_COLUMNS or metadata.num_row_groups > MOST_GROUPS:
        return f"it claims {metadata.num_columns:,} columns in {metadata.num_row_groups:,} groups of rows"
    size = 0
    for place in range(metadata.num_row_groups):
        group = metadata.row_group(place)
        size += sum(max(group.column(k).total_uncompressed_size, 0) for k in range(group.num_columns))
    limit = BYTES_A_ROW * rows + BYTES_BESIDE
    return f"it claims to unpack to {size:,} bytes; at most {limit:,} are read" if size > limit else ""


def _types(table: Any) -> str:
    """Whole numbers, floats, and words out of a short list; nothing nested, and nothing missing but logits."""
    import pyarrow as pa

    for name in table.column_names:
        kind, column = table.schema.field(name).type, table.column(name)
        words = pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type)
        if not (words or pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            return f"column {name[:40]!a} has the type {str(kind)[:80]}; whole numbers, floats or words were expected"
        if column.null_count:
            return f"column {name[:40]!a} has {column.null_count:,} missing values"
        if words and sum(len(chunk.dictionary) for chunk in column.chunks) > MOST_WORDS:
            return f"column {name[:40]!a} has more than {MOST_WORDS:,} words"
    return ""


if __name__ == "__main__":
    main()
