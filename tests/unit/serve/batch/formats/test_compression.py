"""Compressed files: read by their first bytes, in several members, and up to a damaged place."""

import gzip
from pathlib import Path

import pyarrow as pa
import pytest

from serve.batch.formats.compression import compressed, open_input
from serve.errors import InputFileError
from support.batch_files import label_bytes, strip_json

GOOD = b'{"text": "joy"}\n'


def compress(kind: str, data: bytes) -> bytes:
    if kind == "gz":
        return gzip.compress(data)
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    data_out: bytes = sink.getvalue().to_pybytes()
    return data_out


@pytest.mark.parametrize("kind", ["gz", "zst"])
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst"])
def test_compression_is_recognized_by_content(tmp_path: Path, kind: str, suffix: str) -> None:
    members = compress(kind, GOOD * 3) + compress(kind, GOOD * 2)
    out, problems = label_bytes(tmp_path, f"a{suffix}", members)
    assert strip_json(out) == GOOD * 5
    assert problems == []


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_damaged_end_costs_only_what_cannot_be_read(tmp_path: Path, kind: str) -> None:
    lines = b"".join(b'{"text": "joy %d"}\n' % number for number in range(60_000))
    data = compress(kind, lines)
    out, problems = label_bytes(tmp_path, "a.jsonl", data[: len(data) * 9 // 10])
    assert strip_json(out) == lines[: len(strip_json(out))]
    assert out.count(b"\n") > 10_000
    assert "damaged" in problems[-1].reason


@pytest.mark.parametrize("kind", ["gz", "zst"])
@pytest.mark.parametrize(
    ("name", "line"), [("a.csv", "%d,joy %d\n"), ("a.jsonl", '{"id": %d, "text": "joy %d"}\n')]
)
def test_file_without_a_readable_line_is_refused(
    tmp_path: Path, kind: str, name: str, line: str
) -> None:
    """As a download that broke off before its first block was complete."""
    rows = "".join(line % (number, number) for number in range(300))
    data = compress(kind, f"id,text\n{rows}".encode() if name == "a.csv" else rows.encode())
    with pytest.raises(InputFileError, match="damaged"):
        label_bytes(tmp_path, name, data[:15])


@pytest.mark.parametrize("kind", ["gz", "zst", None])
def test_written_file_reads_back(tmp_path: Path, kind: str | None) -> None:
    path = tmp_path / "a"
    with path.open("wb") as file:
        with compressed(file, kind) as stream:
            stream.write(GOOD)
        assert not file.closed
    with open_input(path) as (stream, _):
        assert stream.read() == GOOD
