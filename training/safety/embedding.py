"""Rows in the shape in which serving reads them: windows of longer texts and conversations.

A short message is also shown within other sentences, which begin and end anywhere, because a
window over a long text does. The same is done to harmless rows, so the shape tells nothing.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from models.prompt import Turn
from models.safety.windows import Window, WindowEncoder
from training.safety.data import Row, ordinary_row

MAX_EMBEDDED_WORDS = 30  # a longer message leaves no room in a window
WINDOW_WORDS = (30, 68)  # words of a window, about MAX_TOKENS tokens at most
COMPOSED_CHARACTERS = (500, 4000)
LONG_WINDOWS = 3  # windows of a harmless long text, at most


def embed(rows: Sequence[Row], fillers: Sequence[str], count: int, seed: int) -> list[Row]:
    """Return `count` rows, each a short message of `rows` somewhere within other texts.

    Half of them have a signal, and each kind is equally likely among those with one and without.
    """
    generator = random.Random(seed)
    kinds: dict[bool, dict[str, list[Row]]] = {False: defaultdict(list), True: defaultdict(list)}
    for row in rows:
        if _is_short(row):
            kinds[max(row.outcomes) > 0][row.kind].append(row)
    groups = {signal: list(found.values()) for signal, found in kinds.items()}
    return [
        _embedded(generator.choice(generator.choice(groups[number % 2 == 0])), fillers, generator)
        for number in range(count)
    ]


def _is_short(row: Row) -> bool:
    return len(row.turns) == 1 and len(row.text.split()) <= MAX_EMBEDDED_WORDS


def _embedded(row: Row, fillers: Sequence[str], generator: random.Random) -> Row:
    room = max(generator.randint(*WINDOW_WORDS) - len(row.text.split()), 8)
    before = generator.randint(0, room)
    after = room - before
    words = (
        *_filler(fillers, generator)[-before or 10**6 :],
        row.text,
        *_filler(fillers, generator)[:after],
    )
    return replace(row, turns=(Turn("user", " ".join(words)),), kind=f"embedded {row.kind}")


def _filler(fillers: Sequence[str], generator: random.Random) -> list[str]:
    """Return the words of some fillers, enough for a window."""
    words: list[str] = []
    while len(words) < WINDOW_WORDS[1]:
        words += generator.choice(fillers).split()
    return words


def compose(fillers: Sequence[str], count: int, seed: int) -> list[Row]:
    """Return `count` harmless long texts, each of many fillers one after the other."""
    generator = random.Random(seed)
    return [
        ordinary_row(" ".join(_characters(fillers, generator)), "composed") for _ in range(count)
    ]


def _characters(fillers: Sequence[str], generator: random.Random) -> list[str]:
    """Return fillers of COMPOSED_CHARACTERS together."""
    room = generator.randint(*COMPOSED_CHARACTERS)
    texts: list[str] = []
    while room > 0:
        texts.append(generator.choice(fillers))
        room -= len(texts[-1]) + 1
    return texts


def training_windows(encoder: WindowEncoder, row: Row) -> list[Window]:
    """Return the windows of a row that have its label: where the signal is, if it has one."""
    if row.where == "middle":
        row = _centre(row)
    windows = list(encoder.encode(row.turns).windows)
    if max(row.outcomes) == 0:
        return windows[:LONG_WINDOWS]
    return windows[:1] if row.where == "first" else windows[-1:]


def _centre(row: Row) -> Row:
    words = row.text.split()
    start = max((len(words) - WINDOW_WORDS[1]) // 2, 0)
    return replace(row, turns=(Turn("user", " ".join(words[start : start + WINDOW_WORDS[1]])),))
