"""Lines of a text file: their encoding, their raw bytes and their decoded text."""

import codecs
import io
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import BinaryIO

from serve.errors import InputFileError

SAMPLE_BYTES = 2**20
GUESS_BYTES = 64 * 2**10  # charset-normalizer needs seconds for a megabyte
LINE_LIMIT = 64 * 2**20  # characters; a longer line is rejected without being held in memory
BOMS = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")


@dataclass(frozen=True, slots=True)
class Line:
    """One line with its terminator.

    Attributes:
        number: line number in the file, from one.
        raw: bytes of the line as they are in the file.
        text: decoded line, without a byte order mark.
        problem: reason why the line cannot be used, None for a good one.
        damaged: some bytes do not belong to the encoding and were replaced in `text`.
    """

    number: int
    raw: bytes
    text: str
    problem: str | None = None
    damaged: bool = False

    @property
    def ending(self) -> str:
        """The terminator, empty for an unterminated last line."""
        return self.text[len(self.text.rstrip("\r\n")) :]


def detect_encoding(sample: bytes) -> str:
    """Return the codec of a file that begins with the sample."""
    for bom, codec in BOMS.items():
        if sample.startswith(bom):
            return codec
    if (wide := _wide_without_bom(sample)) is not None:
        return wide
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError as error:
        return _guess(sample[max(error.start - GUESS_BYTES // 2, 0) :][:GUESS_BYTES])
    return "utf-8"


def _wide_without_bom(sample: bytes) -> str | None:
    """Recognize UTF-16 by the NUL bytes that text in a Latin script has at every second place."""
    head = sample[: 2 * (min(len(sample), 512) // 2)]
    pairs = len(head) // 2
    if pairs and head[1::2].count(0) > 0.8 * pairs and not head[0::2].count(0):
        return "utf-16-le"
    if pairs and head[0::2].count(0) > 0.8 * pairs and not head[1::2].count(0):
        return "utf-16-be"
    return None


def _guess(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    return best.encoding if best else "cp1252"


def choose_encoding(given: str | None, sample: bytes) -> str:
    """Return the codec to read a file with: the given one, or the one that the sample suggests.

    Raises:
        InputFileError: there is no such codec for text.
    """
    if given is None:
        return detect_encoding(sample)
    try:
        codec = codecs.lookup(given).name
        "".encode(codec)
    except LookupError as error:
        message = f"unknown encoding {given!r}; expected for example utf-8, utf-16 or cp1252"
        raise InputFileError(message) from error
    if codec in ("utf-16", "utf-32"):  # these name no byte order, so the file must tell
        found = detect_encoding(sample)
        return found if found.startswith(codec) else f"{codec}-le"
    return "utf-8" if codec == "utf-8-sig" else codec


def read_lines(stream: BinaryIO, codec: str, terminator: str = "\n") -> Generator[Line, None, None]:
    """Read the lines of a stream. A stream that is cut off ends with a line that says so."""
    wide = codec in WIDE
    # Latin-1 maps every byte to one character, so the raw bytes come back exactly.
    carrier, errors = (codec, "surrogatepass") if wide else ("latin-1", "strict")
    reader = io.TextIOWrapper(stream, carrier, errors, newline=terminator)
    number = 0
    try:
        while line := reader.readline(LINE_LIMIT):
            number += 1
            raw = line.encode(carrier, errors)
            if len(line) == LINE_LIMIT and not line.endswith(terminator):
                _skip_rest(reader, terminator)
                yield Line(number, raw, line[:1000], f"longer than {LINE_LIMIT:,} characters")
            else:
                yield _decoded(number, raw, line if wide else None, codec)
    except (EOFError, OSError, UnicodeDecodeError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        yield Line(number + 1, b"", "", f"the file is damaged from here on: {error}")
    finally:
        reader.detach()


def _skip_rest(reader: io.TextIOWrapper, terminator: str) -> None:
    while (piece := reader.readline(LINE_LIMIT)) and not piece.endswith(terminator):
        pass


def _decoded(number: int, raw: bytes, text: str | None, codec: str) -> Line:
    damaged = False
    if text is None:
        try:
            text = raw.decode(codec)
        except UnicodeDecodeError:
            text = raw.decode(codec, "replace")
            damaged = True
    return Line(number, raw, text.removeprefix("\ufeff") if number == 1 else text, None, damaged)
