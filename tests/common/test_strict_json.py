"""What is no JSON, or more of it than a record can need, is refused in words."""

import pytest

from vlcl_bench.common.strict_json import DEEPEST, parse_json

REFUSED = {
    "no number": (b'{"a": NaN}', "NaN is no number"),
    "an infinite number": (b'{"a": [-Infinity]}', "-Infinity is no number"),
    "a number too large": (b'{"a": 1e999}', "larger than a number can be"),
    "a negative number too large": (b"[-1e400]", "larger than a number can be"),
    "a number of ten thousand digits": (b"1" * 10_000, "digits"),
    "half a character": (b'{"a": "\\ud800"}', "half a character"),
    "half a character in a key": (b'{"\\udfff": 1}', "half a character"),
    "brackets without end": (b"[" * 100_000, "brackets within brackets"),
    "brackets that end": (b"[" * 40 + b"]" * 40, "brackets within brackets"),
    "objects within objects": (b'{"a":' * 900 + b"1" + b"}" * 900, "brackets within brackets"),
    "a key twice": (b'{"a": 1, "b": {"c": 1, "c": 2}}', "twice"),
    "bytes that are no UTF-8": (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
    "another encoding": ('{"a": "ä"}'.encode("utf-16"), "not UTF-8"),
    "values without end": (b"[" + b"0," * 300_000 + b"0]", "more than 250,000 values"),
    "lists without end": (b"[" + b"[]," * 300_000 + b"0]", "more than 250,000 values"),
    "nothing": (b"", "Expecting value"),
    "more than one value": (b"{} {}", "Extra data"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_record_is_refused_in_words(kind):
    data, words = REFUSED[kind]
    with pytest.raises(ValueError, match=words):
        parse_json(data)


def test_the_rest_is_read_as_it_is():
    assert parse_json(b'{"a": [1, 2.5, "\\ud83d\\ude42", null, true], "b": {}}') == {
        "a": [1, 2.5, "\U0001f642", None, True], "b": {},
    }  # fmt: skip
    assert parse_json(b"[" * DEEPEST + b"]" * DEEPEST) is not None
