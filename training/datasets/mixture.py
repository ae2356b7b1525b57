"""Training mix of a detector or of the judge: public sets and our own texts.

    public sets, own texts -> rows of the part -> deduplicate -> leak check -> shuffle

The serving detector and the judge of the personas are trained on disjoint parts of the data, so
that the judge is independent.
"""

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from training.datasets import sources
from training.datasets.dedup import NearDuplicateIndex, check_leaks, normalize
from training.datasets.sources import Example
from training.recipe import DetectorRecipe

Part = Literal["detector", "judge"]
JUDGE_SHARE = 4  # one in four of the public rows that both could use is the judge's


def evaluation_sets(data: Path | None) -> dict[str, list[Example]]:
    """Load all evaluation sets by name.

    `data` is the folder of the public sets, None for the hub. `emotion_test` is for reporting only,
    never for choosing a model.
    """
    return {
        "emotion_val": sources.load_emotion("val", data),
        "emotion_test": sources.load_emotion("test", data),
        "goemotions_dev_strict": sources.load_goemotions("dev", data, sources.GOEMOTIONS_STRICT),
        "goemotions_dev_broad": sources.load_goemotions("dev", data, sources.GOEMOTIONS_BROAD),
        "ordinary_held_out_topics": sources.load_ordinary(held_out=True),
        "ordinary_fresh": sources.load_fresh(),
        "ordinary_englishes": sources.load_englishes(),
        "emoji": sources.load_emoji(),
    }


def training_examples(recipe: DetectorRecipe, data: Path | None) -> list[Example]:
    """Build the shuffled mix of a recipe.

    `data` is the folder of the public sets, None for the hub. Raises LeakError.
    """
    generator = random.Random(recipe.seed)
    evaluation = {name: [row.text for row in rows] for name, rows in evaluation_sets(data).items()}
    own = _own(recipe)
    banned = [text for texts in evaluation.values() for text in texts] + _banned(recipe, data)
    rows = deduplicate(
        own + _public(recipe, data, generator), banned, recipe.near_duplicate_jaccard
    )
    check_leaks((row.text for row in rows), evaluation, recipe.near_duplicate_jaccard)
    repeated = set(own)
    mixed = [row for row in rows for _ in range(recipe.ordinary_repeats if row in repeated else 1)]
    generator.shuffle(mixed)
    return mixed


def unlabelled_texts(
    recipe: DetectorRecipe, data: Path | None, examples: Iterable[Example]
) -> list[str]:
    """Sample comments without a label for a teacher to read.

    Leaves out near-duplicates of `examples` and of evaluation texts, and the judge's part.
    """
    texts = [text for text in sources.load_comments(data) if not _is_judges(text)]
    banned = [row.text for rows in evaluation_sets(data).values() for row in rows]
    index = NearDuplicateIndex(recipe.near_duplicate_jaccard)
    for text in [*banned, *(row.text for row in examples)]:
        index.add(text)
    random.Random(recipe.seed).shuffle(texts)
    found: list[str] = []
    for text in texts:
        if len(found) == recipe.unlabelled_rows:
            break
        if index.find(text) is None:
            index.add(text)
            found.append(text)
    return found


def _own(recipe: DetectorRecipe) -> list[Example]:
    """Load the texts written for this project that the part is trained on."""
    if recipe.part == "judge":
        return sources.load_judge_replies()
    return sources.load_ordinary(held_out=False)


def _banned(recipe: DetectorRecipe, data: Path | None) -> list[str]:
    """Return texts of the other part that could also come from the unsplit rows."""
    if recipe.part == "detector":
        return []
    rows = sources.load_emotion("train", data) + sources.load_ordinary(held_out=False)
    return [row.text for row in rows]


def _public(recipe: DetectorRecipe, data: Path | None, generator: random.Random) -> list[Example]:
    rows = _unsplit(recipe, data, generator)
    goemotions = sources.load_goemotions("train", data, sources.GOEMOTIONS_BROAD)
    rows += rows_of_part(goemotions, recipe.part)
    return rows if recipe.part == "judge" else sources.load_emotion("train", data) + rows


def _unsplit(recipe: DetectorRecipe, data: Path | None, generator: random.Random) -> list[Example]:
    """Sample the unsplit rows of the part, with the class shares of the recipe."""
    rows = rows_of_part(sources.load_emotion_unsplit(data), recipe.part)
    if recipe.unsplit_classes == "natural":
        reference = sources.load_emotion("train", data)
        return sample_with_shares(reference, rows, recipe.unsplit_rows, generator)
    return generator.sample(rows, min(recipe.unsplit_rows, len(rows)))


def sample_with_shares(
    reference: Sequence[Example], rows: Sequence[Example], limit: int, generator: random.Random
) -> list[Example]:
    """Sample at most `limit` rows with the class shares of `reference`.

    A class with too few rows gives all it has.
    """
    shares = Counter(row.label for row in reference)
    sample = []
    for label in sorted(shares):
        of_label = [row for row in rows if row.label == label]
        wanted = limit * shares[label] // len(reference)
        sample += generator.sample(of_label, min(len(of_label), wanted))
    return sample


def rows_of_part(rows: Iterable[Example], part: Part) -> list[Example]:
    """Return the rows of one part. A text belongs to the same part in every set."""
    return [row for row in rows if _is_judges(row.text) is (part == "judge")]


def _is_judges(text: str) -> bool:
    digest = hashlib.sha256(normalize(text).encode()).digest()
    return digest[0] % JUDGE_SHARE == 0


def deduplicate(rows: Sequence[Example], banned: Iterable[str], jaccard: float) -> list[Example]:
    """Keep the first of near-duplicate rows.

    Leaves out near-duplicates of a banned text, and texts that occur with two labels.
    """
    labels: defaultdict[str, set[int]] = defaultdict(set)
    for row in rows:
        labels[normalize(row.text)].add(row.label)
    index = NearDuplicateIndex(jaccard)
    for text in banned:
        index.add(text)
    kept = []
    for row in rows:
        if len(labels[normalize(row.text)]) == 1 and index.find(row.text) is None:
            index.add(row.text)
            kept.append(row)
    return kept
