"""Test messages within ordinary text: is a signal found at any length and in any place?

message, ordinary messages of the fresh test set -> text of about so many characters
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from models.prompt import Turn
from training.datasets.sources import load_fresh
from training.safety.data import Row, ordinary_row

LENGTHS = (100, 500, 1500, 4000)  # characters
Place = Literal["first", "middle", "last"]
PLACES: tuple[Place, ...] = ("first", "middle", "last")


def within_text(row: Row, length: int, place: Place, seed: int) -> Row:
    """Return the message of a row at a place of an ordinary text of about `length` characters.

    A message that is longer than that stays as it is.
    """
    before, after = _around(length - len(row.text), place, random.Random(seed))
    text = " ".join([*before, row.text, *after])
    return replace(row, turns=(Turn("user", text),), kind="long", where=place)


def ordinary_text(length: int, seed: int) -> Row:
    """Return an ordinary text of about `length` characters, without any signal."""
    text = " ".join(_sentences(length, random.Random(seed)))
    return ordinary_row(text, "long")


def _around(
    characters: int, place: Place, generator: random.Random
) -> tuple[Sequence[str], Sequence[str]]:
    """Return the ordinary messages before and after the signal."""
    sentences = _sentences(characters, generator)
    cut = {"first": 0, "middle": len(sentences) // 2, "last": len(sentences)}[place]
    return sentences[:cut], sentences[cut:]


def _sentences(characters: int, generator: random.Random) -> list[str]:
    """Return ordinary messages of at most so many characters together."""
    texts = [example.text for example in load_fresh()]
    generator.shuffle(texts)
    chosen: list[str] = []
    for text in texts:
        characters -= len(text) + 1
        if characters < 0:
            break
        chosen.append(text)
    return chosen
