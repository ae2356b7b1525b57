"""Parquet: the schema, the values and the metadata stay, and three columns are appended."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from serve.batch.formats.records import (
    ADDED_COLUMNS,
    CHUNK_ROWS,
    Chunk,
    Label,
    Writer,
    classifiable,
)
from serve.errors import InputFileError

READ_BUFFER = 2**20  # bytes per column; without it a whole column of a row group is read at once
# The writer holds a row group in memory, so it cuts larger ones.
ROW_GROUP_ROWS = 64 * 2**10
ROW_GROUP_BYTES = 64 * 2**20


@dataclass(frozen=True)
class ParquetSource:
    """A Parquet file, read in chunks that do not cross row groups."""

    path: Path
    name: str
    column: str

    @property
    def settings(self) -> str:
        """Describe what decides the texts, for the journal."""
        return f"parquet {self.column}"

    def check(self) -> None:
        """Check the schema before any work.

        Raises:
            InputFileError: the file or its text column cannot be used.
        """
        schema = self._open().schema_arrow
        names = schema.names
        if names.count(self.column) != 1:
            raise InputFileError(
                f"{self.name}: expected one column {self.column!r}; found {', '.join(names)}"
            )
        kind = schema.field(self.column).type
        if not _is_text(kind):
            raise InputFileError(f"{self.name}: {self.column!r} holds {kind}, expected text")
        if taken := [one for one in ADDED_COLUMNS if one in names]:
            message = f"{self.name}: has the column {taken[0]!r} already; rename or remove it"
            raise InputFileError(message)

    def chunks(self) -> Iterator[Chunk]:
        """Read all columns."""
        size = self.path.stat().st_size
        total = max(self._open().metadata.num_rows, 1)
        done = 0
        for table in self._tables(None):
            numbers = list(range(done + 1, done + table.num_rows + 1))
            done += table.num_rows
            yield Chunk(self._texts(table), numbers, table, [], size * done // total)

    def texts(self) -> Iterator[list[str | None]]:
        """Read only the column of the texts."""
        return (self._texts(table) for table in self._tables([self.column]))

    def writer(self, stream: BinaryIO) -> Writer:
        """Return a writer with the same schema, compression and size of row groups."""
        return ParquetWriter(self._open(), stream)

    def _open(self) -> Any:
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile

        try:
            return ParquetFile(self.path, buffer_size=READ_BUFFER, coerce_int96_timestamp_unit="us")
        except pa.ArrowException as error:
            raise InputFileError(f"{self.name}: not a usable Parquet file: {error}") from error

    def _tables(self, columns: list[str] | None) -> Iterator[Any]:
        import pyarrow as pa

        with self._open() as file:
            try:
                for group in range(file.num_row_groups):
                    yield from _equal_tables(_batches(file, group, columns))
            except pa.ArrowException as error:
                raise InputFileError(f"{self.name}: damaged or unsupported: {error}") from error

    def _texts(self, table: Any) -> list[str | None]:
        import pyarrow as pa

        column = table[self.column].combine_chunks()
        # As bytes, because a string that is not UTF-8 would fail the whole column.
        values = column.cast(pa.string(), safe=False).cast(pa.binary()).to_pylist()
        return [classifiable(_decoded(value)) for value in values]


class ParquetWriter:
    """Writer of tables with their labels, which collects row groups like those of the source."""

    def __init__(self, source: Any, stream: BinaryIO) -> None:
        """Take schema and layout from the source, a `pyarrow.parquet.ParquetFile`."""
        import pyarrow as pa
        from pyarrow import parquet

        self._schema = source.schema_arrow
        for name, kind in zip(ADDED_COLUMNS, _added_types(), strict=True):
            self._schema = self._schema.append(pa.field(name, kind))
        self._row_group_rows = _row_group_rows(source.metadata)
        self._held: list[Any] = []
        compression = _compression(source.metadata)
        self._writer = parquet.ParquetWriter(
            stream, self._schema, compression=compression, use_compliant_nested_type=False
        )

    def write(self, chunk: Chunk, labels: list[Label | None]) -> None:
        """Append the chunk's rows."""
        import pyarrow as pa

        rows = [label or (None, None, None) for label in labels]
        added = [
            pa.chunked_array([pa.array([row[index] for row in rows], kind)], kind)
            for index, kind in enumerate(_added_types())
        ]
        self._held.append(pa.Table.from_arrays([*chunk.rows.columns, *added], schema=self._schema))
        rows_held = sum(table.num_rows for table in self._held)
        bytes_held = sum(table.nbytes for table in self._held)
        if rows_held >= self._row_group_rows or bytes_held >= ROW_GROUP_BYTES:
            self._write_row_group()

    def close(self) -> None:
        """Write the last row group and the footer."""
        self._write_row_group()
        self._writer.close()

    def _write_row_group(self) -> None:
        import pyarrow as pa

        if self._held:
            table = pa.concat_tables(self._held)
            self._writer.write_table(table, row_group_size=table.num_rows)
            self._held = []


def _is_text(kind: Any) -> bool:
    import pyarrow as pa
    from pyarrow import types

    if types.is_dictionary(kind):
        return _is_text(kind.value_type)
    if isinstance(kind, pa.ExtensionType):
        return _is_text(kind.storage_type)
    checks = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    binary = (types.is_binary, types.is_large_binary, types.is_binary_view)
    return any(check(kind) for check in (*checks, *binary))


def _batches(file: Any, group: int, columns: list[str] | None) -> Iterator[Any]:
    """Read one row group in batches, or at once where Arrow can do no other."""
    nested = any(
        field.type.num_fields and "dictionary<" in str(field.type) for field in file.schema_arrow
    )
    if nested:
        yield from file.read_row_group(group, columns=columns).to_batches(CHUNK_ROWS)
    else:
        yield from file.iter_batches(CHUNK_ROWS, row_groups=[group], columns=columns)


def _equal_tables(batches: Iterator[Any]) -> Iterator[Any]:
    """Join and cut batches to tables of exactly `CHUNK_ROWS` rows, the last one excepted."""
    import pyarrow as pa

    held = None
    for batch in batches:
        piece = pa.Table.from_batches([batch])
        held = piece if held is None else pa.concat_tables([held, piece])
        while held.num_rows >= CHUNK_ROWS:
            yield held.slice(0, CHUNK_ROWS)
            held = held.slice(CHUNK_ROWS)
    if held is not None and held.num_rows:
        yield held


def _decoded(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")


def _added_types() -> tuple[Any, ...]:
    import pyarrow as pa

    return pa.string(), pa.float64(), pa.string()


def _row_group_rows(metadata: Any) -> int:
    groups = range(min(metadata.num_row_groups, 1))
    return min([metadata.row_group(group).num_rows for group in groups] + [ROW_GROUP_ROWS]) or 1


def _compression(metadata: Any) -> dict[str, str] | str:
    """Return the codec of each column, as the first row group has it."""
    if not metadata.num_row_groups:
        return "snappy"
    group = metadata.row_group(0)
    columns = [group.column(index) for index in range(group.num_columns)]
    found = {column.path_in_schema: column.compression.lower() for column in columns}
    return {path: "none" if codec == "uncompressed" else codec for path, codec in found.items()}
