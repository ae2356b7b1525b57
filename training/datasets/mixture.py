"""The rows a detector is trained on: public sets and own messages, without doubles, contradictions and evaluation texts.

    emotion, unsplit, GoEmotions, own messages -> this part's share -> unambiguous -> no near-duplicates -> leak check -> shuffled

The serving detector and the judge that evaluates the personas are trained on disjoint parts, so that the judge is independent.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from training.datasets import sources
from training.datasets.dedup import NearIndex, check_leaks, words_alone
from training.datasets.sources import Example
from training.recipe import DetectorRecipe

Part = Literal["detector", "judge"]
JUDGE_SHARE = 4  # the judge gets one in four of the public rows that both could use


def evaluation_sets(data: Path | None) -> dict[str, list[Example]]:
    """`emotion_test` is for reporting, never for choosing."""
    return {
        "emotion_val": sources.emotion("val", data),
        "emotion_test": sources.emotion("test", data),
        "goemotions_dev_strict": sources.goemotions("dev", data, sources.GOEMOTIONS_STRICT),
        "goemotions_dev_broad": sources.goemotions("dev", data, sources.GOEMOTIONS_BROAD),
        "ordinary_held_out_topics": sources.ordinary(held_out=True),
        "ordinary_fresh": sources.fresh(),
    }


def training_examples(recipe: DetectorRecipe, data: Path | None) -> list[Example]:
    """The mix, shuffled. `data` is the folder of the public sets, None for the hub. Raises LeakError."""
    draw = random.Random(recipe.seed)
    evaluation = {name: [row.text for row in rows] for name, rows in evaluation_sets(data).items()}
    own = sources.judge_replies() if recipe.part == "judge" else sources.ordinary(held_out=False)
    banned = [text for texts in evaluation.values() for text in texts]
    if recipe.part == "judge":  # unsplit rows stand in emotion/train too, which is all the detector's
        banned += [row.text for row in sources.emotion("train", data) + sources.ordinary(held_out=False)]
    rows = distinct(own + _public(recipe, data, draw), banned, recipe.near_duplicate_jaccard)
    ours = set(own)
    mixed = [row for row in rows for _ in range(recipe.ordinary_repeats if row in ours else 1)]
    check_leaks((row.text for row in rows), evaluation, recipe.near_duplicate_jaccard)
    draw.shuffle(mixed)
    return mixed


def _public(recipe: DetectorRecipe, data: Path | None, draw: random.Random) -> list[Example]:
    unsplit = of_part(sources.emotion_unsplit(data), recipe.part)
    if recipe.unsplit_classes == "natural":
        rows = with_shares_of(sources.emotion("train", data), unsplit, recipe.unsplit_rows, draw)
    else:
        rows = draw.sample(unsplit, min(recipe.unsplit_rows, len(unsplit)))
    rows += of_part(sources.goemotions("train", data, sources.GOEMOTIONS_BROAD), recipe.part)
    return rows if recipe.part == "judge" else sources.emotion("train", data) + rows


def with_shares_of(model: Sequence[Example], rows: Sequence[Example], most: int, draw: random.Random) -> list[Example]:
    """At most `most` of `rows`, each class with the share that it has in `model`, or all its rows where they are fewer."""
    shares = Counter(row.label for row in model)
    drawn = []
    for label in sorted(shares):
        alike = [row for row in rows if row.label == label]
        drawn += draw.sample(alike, min(len(alike), most * shares[label] // len(model)))
    return drawn


def of_part(rows: Iterable[Example], part: Part) -> list[Example]:
    """The rows of one part. A text is always of the same part, whatever set it stands in."""

    def is_judges(row: Example) -> bool:
        return hashlib.sha256(words_alone(row.text).encode()).digest()[0] % JUDGE_SHARE == 0

    return [row for row in rows if is_judges(row) is (part == "judge")]


def distinct(rows: Iterable[Example], banned: Iterable[str], jaccard: float) -> list[Example]:
    """The first of each group of alike rows; none that is alike a banned text, and none whose words alone carry two labels."""
    rows = list(rows)
    labels: dict[str, set[int]] = {}
    for row in rows:
        labels.setdefault(words_alone(row.text), set()).add(row.label)
    index = NearIndex(jaccard)
    for text in banned:
        index.add(text)
    kept = []
    for row in rows:
        if len(labels[words_alone(row.text)]) == 1 and index.find(row.text) is None:
            index.add(row.text)
            kept.append(row)
    return kept
