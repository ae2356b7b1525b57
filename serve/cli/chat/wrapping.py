"""Word wrap for text that arrives in parts: no word is broken that fits into a line."""

import re

from rich.cells import cell_len, chop_cells

PARTS = re.compile(r"\n|[^\S\n]+|\S+")


class WordWrap:
    """Wraps a stream of text. A word is held back until its end is known."""

    def __init__(self, width: int, indent: int = 0, column: int = 0) -> None:
        """Start a text.

        Args:
            width: cells of a line.
            indent: blank cells at the start of each line after the first.
            column: cells that the first line already has.
        """
        self._width = max(width, indent + 1)
        self._indent = indent
        self._column = column
        self._gap = ""  # white space that is dropped if a line ends there
        self._word = ""

    def feed(self, text: str) -> str:
        """Return what can be printed now."""
        return "".join(self._take(part) for part in PARTS.findall(text))

    def flush(self) -> str:
        """Return the last word. The text is complete."""
        if not self._word:
            return ""
        printed = self._place(self._word)
        self._gap = self._word = ""
        return printed

    def _take(self, part: str) -> str:
        if not part.isspace():
            self._word += part
            return ""
        printed = self.flush()
        if part == "\n":
            return printed + self._break()
        self._gap += " " * len(part)  # a tab or a carriage return would move the column
        return printed

    def _place(self, word: str) -> str:
        """Return a word with what must stand before it."""
        size = cell_len(word)
        if self._column + cell_len(self._gap) + size <= self._width:
            return self._write(self._gap + word)
        if size <= self._width - self._indent:
            return self._break() + self._write(word)
        start = self._break() if self._column > self._indent else ""
        chunks = chop_cells(word, self._width - self._indent)
        lines = [self._write(chunk) + self._break() for chunk in chunks[:-1]]
        return start + "".join(lines) + self._write(chunks[-1])

    def _write(self, text: str) -> str:
        self._column += cell_len(text)
        return text

    def _break(self) -> str:
        self._gap = ""
        self._column = self._indent
        return "\n" + " " * self._indent
