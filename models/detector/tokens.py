"""Token windows of texts of any length, without transformers."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer


class WindowTokenizer:
    """Tokenizer of base weights that cuts long texts into windows."""

    def __init__(self, base: Path, max_tokens: int) -> None:
        """Load `tokenizer.json` of the base weights; a window has at most `max_tokens`."""
        self._tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

    def windows(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """Return the token ids of each text in windows, at least one."""
        encoded = self._tokenizer.encode_batch(list(texts))
        return [[row.ids, *(more.ids for more in row.overflowing)] for row in encoded]
