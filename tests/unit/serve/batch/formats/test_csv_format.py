"""CSV: every field keeps its bytes, fields are appended, and a bad row costs no other."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve.batch.formats import csv_format
from serve.errors import InputFileError
from support.batch_files import label_bytes, strip_csv

ROWS = {
    "leading zeros": "00012,joy",
    "phone number": "+358401234567,joy",
    "19 digits": "1234567890123456789,joy",
    "float beyond double": "1e400,joy",
    "date": "2024-01-05,joy",
    "true and null": "true,joy\nnull,joy\nNA,joy\n,joy",
    "integers, then a float": "1,joy\n2,joy\n3.5,joy",
    "integers, then text": "1,joy\n2,joy\nn/a,joy",
    "first filled late": ",joy\n" * 1100 + "x,joy",
    "quoted without need": '"7","joy"',
    "quotes in quotes": '"a ""b"" c",joy',
    "spaces": "  a  , joy ",
    "stray quotes": '5" pipe,joy',
    "text after a quote": '"a" b,joy',
    "NUL": "a\0b,joy",
    "unicode line separators": "a\u2028b\x85c\x0b\x0c,joy",
    "formula": "=1+1,joy",
    "carriage return without quotes": "a\rb,so\rjoy",
    "long field": "x" * 300_000 + ",joy",
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_row_keeps_its_bytes(tmp_path: Path, rows: str, newline: str, last: bool) -> None:
    if newline == "\r":
        rows = rows.replace("\r", "")
    text = f"id,text\n{rows}\n".replace("\n", newline)
    data = (text if last else text.removesuffix(newline)).encode()
    out, problems = label_bytes(tmp_path, "a.csv", data)
    assert strip_csv(out) == data
    assert problems == []
    assert out.startswith(b"id,text,detected_emotion,detected_score,detected_harm")
    assert out.count(b",joy,0.9,") == rows.count("\n") + 1


def test_field_that_spans_lines_is_kept(tmp_path: Path) -> None:
    data = b'id,text\n"a\r\n\nb","joy\n,too"\n2,love\n'
    out, problems = label_bytes(tmp_path, "a.csv", data)
    labelled = b'"a\r\n\nb","joy\n,too",joy,0.9,\n2,love,love,0.9,\n'
    assert out.split(b"\n", 1)[1] == labelled
    assert problems == []


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("given_delimiter", [True, False])
def test_delimiter_is_kept(tmp_path: Path, delimiter: str, given_delimiter: bool) -> None:
    rows = [["id", "text", "x,y;z"], ["1", "joy, love; fear", "a|b"], ["2", "love", "c"]]
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter).writerows(rows)
    data = stream.getvalue().encode()
    chosen = delimiter if given_delimiter else None
    out, problems = label_bytes(tmp_path, "a.csv", data, delimiter=chosen)
    assert strip_csv(out, delimiter.encode()) == data
    assert problems == []
    labelled = list(csv.DictReader(io.StringIO(out.decode(), newline=""), delimiter=delimiter))
    assert [row["detected_emotion"] for row in labelled] == ["joy", "love"]


def test_text_with_other_delimiters_in_one_column(tmp_path: Path) -> None:
    out, problems = label_bytes(tmp_path, "a.csv", b"text\nso much joy\nlove\n")
    assert out == (
        b"text,detected_emotion,detected_score,detected_harm\n"
        b"so much joy,joy,0.9,\nlove,love,0.9,\n"
    )
    assert problems == []


def test_spaces_after_the_delimiter_do_not_hide_quotes(tmp_path: Path) -> None:
    data = b'id, "text"\n1, "joy, and more"\n'
    out, problems = label_bytes(tmp_path, "a.csv", data)
    assert strip_csv(out) == data
    assert problems == []


def test_excel_hint_is_copied_and_followed(tmp_path: Path) -> None:
    data = b"sep=;\r\nid;text\r\n1;joy, love\r\n"
    out, problems = label_bytes(tmp_path, "a.csv", data)
    assert strip_csv(out, b";") == data
    assert problems == []


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
def test_unicode_encodings_are_kept(tmp_path: Path, codec: str) -> None:
    data = "id;text\r\né\U0001f600\u0a0d;joy\r\n2;love\r\n".encode(codec)
    out, problems = label_bytes(tmp_path, "a.csv", data, encoding=codec)
    plain = out.decode(codec)
    assert strip_csv(plain.encode(), b";") == data.decode(codec).encode()
    assert out.startswith(data[:4])
    assert problems == []


@pytest.mark.parametrize(
    ("codec", "word"),
    [
        ("cp1252", "“café” ça m'énerve où êtes-vous? déjà vu"),
        ("cp1251", "мне сегодня очень грустно и страшно"),
        ("shift_jis", "今日はとても嬉しいですありがとう"),
        ("gb18030", "今天我非常高兴谢谢大家"),
    ],
)
def test_legacy_encoding_is_detected_and_kept(tmp_path: Path, codec: str, word: str) -> None:
    data = f"id,text\n1,{word} joy\n2,{word} love\n".encode(codec)
    out, problems = label_bytes(tmp_path, "a.csv", data)
    assert strip_csv(out) == data
    assert [problem.kept for problem in problems if not problem.kept] == []


def test_undefined_bytes_are_kept(tmp_path: Path) -> None:
    data = b"id,text\n1,joy \x81\x8d\xff\n2,love\n"
    out, problems = label_bytes(tmp_path, "a.csv", data, encoding="cp1252")
    assert strip_csv(out) == data
    assert [(problem.line, problem.kept) for problem in problems] == [(2, True)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1", "1 fields"),
        ("1,joy,more", "3 fields"),
        ('1,"never closed', "quote"),
        ('1,"closed by the next quote\n2,"love"', "quote"),
    ],
)
def test_ragged_row_is_rejected_alone(tmp_path: Path, row: str, reason: str) -> None:
    data = f"id,text\n0,joy\n{row}\n9,love\n8,fear\n".encode()
    out, problems = label_bytes(tmp_path, "a.csv", data)
    assert b"9,love,love,0.9," in out
    assert b"8,fear,fear,0.9," in out
    assert problems[0].line == 3
    assert reason in problems[0].reason
    assert not problems[0].kept
    assert problems[0].row == row.split("\n")[0] + "\n"
    assert len(problems) == 1


def test_unclosed_quote_in_the_last_line_is_rejected(tmp_path: Path) -> None:
    out, problems = label_bytes(tmp_path, "a.csv", b'id,text\n1,joy\n2,"lo')
    assert out.endswith(b"1,joy,joy,0.9,\n")
    assert [problem.row for problem in problems] == ['2,"lo']


def test_unclosed_quote_swallows_no_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_format, "RECORD_LIMIT", 100)
    data = b'id,text\n1,"joy\n' + b"2,love\n" * 1000
    out, problems = label_bytes(tmp_path, "a.csv", data)
    assert out.count(b"2,love,love,0.9,\n") == 1000
    assert [problem.line for problem in problems] == [2]


def test_blank_lines_are_copied(tmp_path: Path) -> None:
    data = b"\n\nid,text\n1,joy\n\n2,love\n\n"
    out, problems = label_bytes(tmp_path, "a.csv", data)
    assert strip_csv(out) == data
    assert problems == []


def test_duplicate_column_names_are_kept(tmp_path: Path) -> None:
    data = b"a,a,text\n1,2,joy\n"
    out, problems = label_bytes(tmp_path, "a.csv", data)
    assert strip_csv(out) == data
    assert problems == []


@pytest.mark.parametrize("text", ["", "   ", '""', '" "'])
def test_blank_text_gets_no_label_and_is_no_problem(tmp_path: Path, text: str) -> None:
    out, problems = label_bytes(tmp_path, "a.csv", f"id,text\n1,{text}\n2,joy\n".encode())
    assert f"1,{text},,,\n".encode() in out
    assert problems == []


@pytest.mark.parametrize("data", [b"id,text\n", b"id,text", b"\xef\xbb\xbfid,text\r\n"])
def test_header_alone_gets_the_new_names(tmp_path: Path, data: bytes) -> None:
    out, problems = label_bytes(tmp_path, "a.csv", data)
    assert strip_csv(out) == data
    assert b"detected_harm" in out
    assert problems == []


def test_empty_file_stays_empty(tmp_path: Path) -> None:
    assert label_bytes(tmp_path, "a.csv", b"") == (b"", [])


@pytest.mark.parametrize(
    ("data", "phrase"),
    [
        (b"id,body\n1,joy\n", "no column 'text'; found 'id', 'body'"),
        (b"text,text\njoy,joy\n", "two columns"),
        (b"text,detected_score\njoy,1\n", "already"),
        (b"\n\n", "no header"),
    ],
)
def test_unusable_header_is_refused(tmp_path: Path, data: bytes, phrase: str) -> None:
    with pytest.raises(InputFileError, match=phrase):
        label_bytes(tmp_path, "a.csv", data)


def test_unknown_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="unknown encoding"):
        label_bytes(tmp_path, "a.csv", b"text\njoy\n", encoding="utf-9")


FIELDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"), max_size=9)


@given(
    rows=st.lists(st.tuples(FIELDS, FIELDS, FIELDS), max_size=8),
    delimiter=st.sampled_from([",", ";", "\t"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_any_table_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str]],
    delimiter: str,
    quoting: int,
    newline: str,
) -> None:
    if newline == "\n":  # Python's writer does not quote a carriage return then
        rows = [(a.replace("\r", ""), b.replace("\r", ""), c.replace("\r", "")) for a, b, c in rows]
    stream = io.StringIO(newline="")
    style: dict[str, Any] = {"delimiter": delimiter, "quoting": quoting, "lineterminator": newline}
    csv.writer(stream, **style).writerows([("id", "text", "more"), *rows])
    data = stream.getvalue().encode()
    folder = tmp_path_factory.mktemp("rows")
    out, problems = label_bytes(folder, "a.csv", data, encoding="utf-8", delimiter=delimiter)
    assert problems == []
    parsed = list(csv.reader(io.StringIO(out.decode(), newline=""), delimiter=delimiter))
    assert [tuple(row[:3]) for row in parsed[1:]] == rows
    assert all(len(row) == 6 for row in parsed)
    rewritten = io.StringIO(newline="")
    csv.writer(rewritten, **style).writerows([row[:3] for row in parsed])
    assert rewritten.getvalue().encode() == data
