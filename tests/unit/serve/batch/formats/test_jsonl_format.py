"""JSON Lines: the line's bytes stay, keys are added, and a bad line costs no other."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.batch.formats import text_lines
from serve.errors import InputFileError
from support.batch_files import label_bytes, strip_json

LINES = {
    "leading zeros": '{"zip": "00501", "text": "joy"}',
    "phone number": '{"phone": "+358401234567", "text": "joy"}',
    "19 digits": '{"id": 1234567890123456789, "text": "joy"}',
    "integer beyond 64 bits": '{"id": 123456789012345678901234567890, "text": "joy"}',
    "integer of 5000 digits": f'{{"id": {"7" * 5000}, "text": "joy"}}',
    "null": '{"id": null, "flag": null, "text": "joy"}',
    "true": '{"flag": true, "text": "joy"}',
    "timestamp": '{"timestamp": 1700000000, "text": "joy"}',
    "date": '{"date": "2024-01-05", "text": "joy"}',
    "float beyond double": '{"x": 1e400, "text": "joy"}',
    "many digits": '{"x": 0.10000000000000000555, "text": "joy"}',
    "trailing zero": '{"x": 1.50, "y": 1E+2, "z": -0.0, "text": "joy"}',
    "NaN": '{"x": NaN, "y": -Infinity, "text": "joy"}',
    "escapes": '{"a\\/b": "\\u00e9\\n\\u0000\\ud83d\\ude00", "text": "\\u006aoy"}',
    "lone surrogate": '{"a": "\\ud83d", "text": "joy \\ud83d"}',
    "duplicate keys": '{"a": 1, "a": 2, "text": "x", "text": "joy"}',
    "spacing": ' {"a" :1 ,"text":  "joy" }  ',
    "nested": '{"a": {"b": [1, {"c": "}"}]}, "text": "joy"}',
    "closing brace in the text": '{"text": "joy }"}',
    "unicode line separators": '{"a": "x\u2028y\u2029z\x85", "text": "joy\u2028"}',
    "numeric text": '{"text": "42"}',
    "non-ASCII key": '{"k\u00e4y": 1, "text": "joy"}',
    "control characters": '{"a": "\x7f", "text": "joy"}',
    "empty keys": '{"": 1, "text": "joy"}',
}
REJECTED = {
    "malformed": "{",
    "truncated": '{"text": "jo',
    "array": '["joy"]',
    "string": '"joy"',
    "two objects": '{"text": "a"} {"text": "b"}',
    "trailing comma": '{"text": "a",}',
    "labelled already": '{"text": "a", "detected_emotion": "joy"}',
    "nested too deeply": '{"text": "a", "x": ' + "[" * 200_000 + "]" * 200_000 + "}",
    "no-break space after it": '{"text": "a"}\u00a0',
}
UNLABELLED = {
    "number": '{"text": 42}',
    "true": '{"text": true}',
    "array": '{"text": ["joy"]}',
    "object": '{"text": {"a": "joy"}}',
    "no key": '{"message": "joy"}',
    "empty object": "{}",
    "empty object with a space": "{ }",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
def test_line_keeps_its_bytes(tmp_path: Path, line: str, ending: str) -> None:
    data = (line + ending).encode()
    out, problems = label_bytes(tmp_path, "a.jsonl", data)
    assert strip_json(out) == data
    assert problems == []
    assert b'"detected_emotion": "' in out


@pytest.mark.parametrize("line", REJECTED.values(), ids=REJECTED)
def test_malformed_line_is_rejected_alone(tmp_path: Path, line: str) -> None:
    good = b'{"text": "joy"}\n'
    out, problems = label_bytes(tmp_path, "a.jsonl", good + line.encode() + b"\n" + good)
    assert strip_json(out) == good * 2
    [problem] = problems
    assert (problem.line, problem.kept, problem.row) == (2, False, line + "\n")


@pytest.mark.parametrize("line", UNLABELLED.values(), ids=UNLABELLED)
def test_line_without_a_string_stays_without_a_label(tmp_path: Path, line: str) -> None:
    data = b'{"text": "joy"}\n' + line.encode() + b"\n"
    out, problems = label_bytes(tmp_path, "a.jsonl", data)
    assert strip_json(out) == data
    assert json.loads(out.splitlines()[1])["detected_emotion"] is None
    assert [(problem.line, problem.kept) for problem in problems] == [(2, True)]


@pytest.mark.parametrize("text", ["null", '""', '"  \\n\\t"', '"\u3000"'])
def test_blank_text_gets_no_label_and_is_no_problem(tmp_path: Path, text: str) -> None:
    data = f'{{"text": {text}}}\n'.encode()
    out, problems = label_bytes(tmp_path, "a.jsonl", data)
    assert json.loads(out)["detected_emotion"] is None
    assert problems == []


def test_blank_lines_are_copied(tmp_path: Path) -> None:
    data = b'\n\r\n{"text": "joy"}\n  \n{"text": "love"}'
    out, problems = label_bytes(tmp_path, "a.jsonl", data)
    assert strip_json(out) == data
    assert problems == []


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_kept(tmp_path: Path, codec: str) -> None:
    text = '{"text": "joy \u00e9 \U0001f600 \u0a0a"}\r\n{"a": "\u0d0a", "text": "love"}\n'
    bom = b"" if codec.endswith(("sig", "16", "32")) else "\ufeff".encode(codec)
    out, problems = label_bytes(tmp_path, "a.jsonl", bom + text.encode(codec))
    plain = "utf-8" if codec == "utf-8-sig" else codec.removesuffix("-le").removesuffix("-be")
    assert problems == []
    decoded = out.decode(plain).removeprefix("\ufeff")
    assert strip_json(decoded.encode()) == text.encode()
    assert out.startswith((bom + text.encode(codec))[:4])


def test_line_with_bytes_of_another_encoding_is_labelled_and_reported(tmp_path: Path) -> None:
    data = b'{"text": "joy"}\n{"a": "caf\xe9", "text": "love"}\n'
    out, problems = label_bytes(tmp_path, "a.jsonl", data, encoding="utf-8")
    assert strip_json(out) == data
    assert b'"love"}' not in out
    assert [(problem.line, problem.kept) for problem in problems] == [(2, True)]


def test_line_longer_than_the_limit_is_rejected_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_lines, "LINE_LIMIT", 100)
    good = b'{"text": "joy"}\n'
    long = b'{"text": "' + b"x" * 1000 + b'"}\n'
    out, problems = label_bytes(tmp_path, "a.jsonl", good + long + good)
    assert strip_json(out) == good * 2
    assert [(problem.line, problem.kept) for problem in problems] == [(2, False)]


def test_long_line_is_kept(tmp_path: Path) -> None:
    data = json.dumps({"a": "x" * 5_000_000, "text": "joy " * 100_000}).encode() + b"\n"
    out, problems = label_bytes(tmp_path, "a.jsonl", data)
    assert strip_json(out) == data
    assert problems == []


@pytest.mark.parametrize("data", [b"", b"\n\n"])
def test_file_without_rows_stays_as_it_is(tmp_path: Path, data: bytes) -> None:
    assert label_bytes(tmp_path, "a.jsonl", data) == (data, [])


@pytest.mark.parametrize(
    ("data", "phrase"),
    [
        (b'{"body": "joy"}\n' * 3, "no key 'text'; it has body"),
        (b'[\n{"text": "joy"},\n{"text": "joy"}\n]\n', "is a JSON array"),
        (b'{"text": 1}\n', "expected a string"),
    ],
)
def test_file_without_a_usable_row_is_refused(tmp_path: Path, data: bytes, phrase: str) -> None:
    with pytest.raises(InputFileError, match=phrase):
        label_bytes(tmp_path, "a.jsonl", data)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@given(
    rows=st.lists(st.dictionaries(st.text(max_size=6), JSON_VALUES, max_size=4), max_size=8),
    indent=st.sampled_from([(", ", ": "), (",", ":")]),
    ascii_only=st.booleans(),
)
def test_any_objects_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[dict[str, Any]],
    indent: tuple[str, str],
    ascii_only: bool,
) -> None:
    lines = [
        json.dumps({**row, "text": "joy"}, ensure_ascii=ascii_only, separators=indent)
        for row in rows
    ]
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    out, _ = label_bytes(tmp_path_factory.mktemp("rows"), "a.jsonl", data, encoding="utf-8")
    assert strip_json(out) == data
