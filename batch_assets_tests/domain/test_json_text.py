"""Texts that are written fast are written as Python's own writer does."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_assets.domain.json_text import json_value, texts_as_json, value_as_json

PIECES = st.sampled_from(
    [
        "\u2028\u2029\x85\r\n",
        "\ud800",
        "\udfff",
        "\x00",
        "\b\f\t\x1f\x7f",
        '"\\/',
        "é請😀",
        "\\u2028",
    ]
)
TEXTS = st.lists(PIECES | st.text(st.characters(), max_size=9), max_size=5).map("".join)


def plain(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = re.sub("[\x85\u2028\u2029]", lambda end: f"\\u{ord(end[0]):04x}", text)
    return text.encode("utf-8", "replace")


@given(TEXTS | st.lists(TEXTS, max_size=4))
def test_texts_are_the_plain_forms_bytes(texts: str | list[str]) -> None:
    written = texts_as_json(texts)
    assert written == plain(texts) == value_as_json(texts)
    assert len(written.decode().splitlines()) == 1


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_no_number_that_json_lacks_is_written(number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        value_as_json({"temperature": number})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(-1e300, 1e300),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    )
)
def test_values_are_the_plain_forms_bytes(value: object) -> None:
    assert value_as_json(value) == plain(value)


WITHIN = st.integers(-(2**63), 2**64 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | WITHIN | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES, st.booleans())
def test_what_is_written_is_read_as_pythons_own_reader_does(value: object, escapes: bool) -> None:
    text = json.dumps(value, ensure_ascii=escapes)
    assert repr(json_value(text)) == repr(json.loads(text))


BROKEN = ["", "{", '{"a":1,}', "[1]]", "\ufeff{}", "\x00", '"\x01"', "01", "tru", "[" * 100_000]
ODD = [
    '{"a":1,"a":2}',
    '"\\u0000"',
    '"\\ud83d\\ude00"',
    '"\\ud800"',
    "-0",
    "1e999",
    "NaN",
    "[-Infinity, 1E2, 1.50]",
    " [1]\n",
    '"\u2028\x7f"',
]


@pytest.mark.parametrize("text", ODD, ids=ascii)
def test_odd_texts_are_read_as_pythons_own_reader_does(text: str) -> None:
    assert repr(json_value(text)) == repr(json.loads(text))


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: ascii(text[:9]))
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises((ValueError, RecursionError)):
        json_value(text)


@pytest.mark.parametrize("digits", ["9" * 21, "-" + "9" * 30, "9" * 5_000])
def test_a_number_of_any_length_is_read(digits: str) -> None:
    found = json_value(f"[{digits}]", parse_int=float)
    assert isinstance(found, list)
    assert isinstance(found[0], float)
    assert abs(found[0]) >= 1e20
