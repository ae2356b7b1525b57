"""Parquet: schema, metadata and values stay for every type, and three columns are appended."""

import decimal
import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from serve.batch.formats.records import ADDED_COLUMNS, CHUNK_ROWS
from serve.errors import InputFileError
from support.batch_files import label_file

D = decimal.Decimal
TYPES = {
    "null": pa.nulls(3),
    "bool": pa.array([True, None, False]),
    "int64": pa.array([2**63 - 1, None, -(2**63)]),
    "uint64": pa.array([2**64 - 1, None, 0], pa.uint64()),
    "float16": pa.array([1.5, None, float("nan")], pa.float16()),
    "float64": pa.array([float("nan"), None, float("-inf")]),
    "decimal32": pa.array([D("1.10"), None, D("2.25")], pa.decimal32(5, 2)),
    "decimal128": pa.array([D("1.10"), None, D("-2.25")], pa.decimal128(38, 2)),
    "decimal256": pa.array([D("1.10"), None, D("2.25")], pa.decimal256(50, 2)),
    "timestamp": pa.array([1, 2, None], pa.timestamp("ns", "Europe/Helsinki")),
    "date": pa.array([0, None, 20_000], pa.date32()),
    "time": pa.array([1, 2, None], pa.time64("us")),
    "duration": pa.array([1, 2, None], pa.duration("us")),
    "string": pa.array(["00501", None, "+358"]),
    "large_string": pa.array(["a", "b", None], pa.large_string()),
    "string_view": pa.array(["a", "b", None], pa.string_view()),
    "dictionary": pa.array(["a", "b", "a"]).dictionary_encode(),
    "ordered dictionary": pa.DictionaryArray.from_arrays(
        pa.array([1, 0, None], pa.int8()), ["lo", "hi"], ordered=True
    ),
    "binary": pa.array([b"\xff", None, b""]),
    "fixed binary": pa.array([b"ab", None, b"cd"], pa.binary(2)),
    "binary_view": pa.array([b"ab", None, b"cd"], pa.binary_view()),
    "list": pa.array([[1], None, []], pa.list_(pa.field("item", pa.int32()))),
    "large_list": pa.array([[1], None, []], pa.large_list(pa.int32())),
    "fixed list": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int32(), 2)),
    "list_view": pa.array([[1], None, []], pa.list_view(pa.int32())),
    "list of dictionaries": pa.array(
        [["a"], None, ["b"]], pa.list_(pa.dictionary(pa.int32(), pa.string()))
    ),
    "map": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int32())),
    "struct": pa.array([{"a": {"b": [1]}}, None, {"a": None}]),
    "list of structs": pa.array([[{"a": 1}], None, []]),
    "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16] * 3, pa.binary(16))),
    "json": pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}"] * 3)),
}
TEXT_TYPES = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.binary(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.large_string()),
]


def write(path: Path, table: pa.Table, **options: object) -> Path:
    pq.write_table(table, path, **options)
    return path


def labelled(path: Path) -> pq.ParquetFile:
    out, problems = label_file(path)
    assert problems == []
    return pq.ParquetFile(io.BytesIO(out))


def layout(file: pq.ParquetFile) -> list[str]:
    return str(file.schema).split("\n")[1:-2]


@pytest.mark.parametrize("values", TYPES.values(), ids=TYPES)
def test_column_of_every_type_is_kept(tmp_path: Path, values: pa.Array) -> None:
    field = pa.field("x", values.type, metadata={"k": "v"})
    schema = pa.schema([field, pa.field("text", pa.string())], metadata={"about": "this"})
    table = pa.table({"x": values, "text": ["joy", None, "love"]}, schema=schema)
    path = write(tmp_path / "a.parquet", table)
    before = pq.ParquetFile(path)
    after = labelled(path)
    kept = after.read().drop(list(ADDED_COLUMNS))
    assert kept.schema.equals(before.schema_arrow, check_metadata=True)
    assert repr(kept.to_pylist()) == repr(before.read().to_pylist())
    assert layout(after)[: len(layout(before))] == layout(before)
    assert after.read()[ADDED_COLUMNS[0]].to_pylist() == ["joy", None, "love"]


@pytest.mark.parametrize("kind", TEXT_TYPES, ids=str)
def test_text_of_every_string_type_is_labelled(tmp_path: Path, kind: pa.DataType) -> None:
    base = kind.value_type if pa.types.is_dictionary(kind) else kind
    texts = pa.array(["joy", None, "  ", "love"], pa.string()).cast(pa.binary()).cast(base)
    values = texts.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else texts
    after = labelled(write(tmp_path / "a.parquet", pa.table({"text": values})))
    assert after.read()[ADDED_COLUMNS[0]].to_pylist() == ["joy", None, None, "love"]


def test_column_without_any_text_gets_no_labels(tmp_path: Path) -> None:
    after = labelled(write(tmp_path / "a.parquet", pa.table({"text": pa.nulls(2)})))
    assert after.read()[ADDED_COLUMNS[0]].to_pylist() == [None, None]


def test_string_that_is_not_utf8_is_labelled(tmp_path: Path) -> None:
    values = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\x05\0\0\0"), pa.py_buffer(b"joy \xff")]
    )
    after = labelled(write(tmp_path / "a.parquet", pa.table({"text": values})))
    assert after.read()[ADDED_COLUMNS[0]].to_pylist() == ["joy"]
    assert after.read()["text"].cast(pa.binary()).to_pylist() == [b"joy \xff"]


def test_row_groups_and_compression_are_kept(tmp_path: Path) -> None:
    rows = 3 * CHUNK_ROWS + 7
    table = pa.table({"id": range(rows), "text": [f"{n} joy" for n in range(rows)]})
    size = CHUNK_ROWS + 100
    path = write(tmp_path / "a.parquet", table, row_group_size=size, compression="gzip")
    after = labelled(path)
    groups = [after.metadata.row_group(n).num_rows for n in range(after.num_row_groups)]
    assert groups == [size, size, rows - 2 * size]
    assert after.metadata.row_group(0).column(0).compression == "GZIP"
    assert after.read(["id", "text"]).equals(table)


def test_dates_beyond_the_range_of_nanoseconds_survive_int96(tmp_path: Path) -> None:
    far = pa.array([253_402_214_400_000_000, 0], pa.timestamp("us"))
    table = pa.table({"t": far, "text": ["joy", "love"]})
    path = write(tmp_path / "a.parquet", table, use_deprecated_int96_timestamps=True)
    assert labelled(path).read()["t"].to_pylist() == far.to_pylist()


def test_file_without_rows_keeps_its_schema(tmp_path: Path) -> None:
    table = pa.table({"text": pa.array([], pa.string())})
    after = labelled(write(tmp_path / "a.parquet", table))
    assert after.metadata.num_rows == 0
    assert after.schema_arrow.names == ["text", *ADDED_COLUMNS]


@pytest.mark.parametrize(
    ("columns", "phrase"),
    [
        ({"body": ["joy"]}, "found body"),
        ({"text": [1]}, "holds int64"),
        ({"text": [["joy"]]}, "holds list"),
        ({"text": ["joy"], ADDED_COLUMNS[2]: ["x"]}, "already"),
    ],
)
def test_unusable_schema_is_refused(tmp_path: Path, columns: dict[str, Any], phrase: str) -> None:
    with pytest.raises(InputFileError, match=phrase):
        label_file(write(tmp_path / "a.parquet", pa.table(columns)))


@pytest.mark.parametrize("data", [b"", b"no parquet", b"PAR1" + b"\0" * 99 + b"PAR1"])
def test_other_bytes_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(data)
    with pytest.raises(InputFileError, match=r"a\.parquet"):
        label_file(tmp_path / "a.parquet")
