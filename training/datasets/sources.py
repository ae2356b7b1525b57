"""Labelled texts for the detector and the judge: two public sets and the project's own messages.

    emotion (tweets with "feel"), GoEmotions (Reddit), our messages -> Example -> mixture

A public set comes from a folder or from the hub, and is never copied into the repository. Labels
are ids of `models.emotions`.
"""

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.emotions import LABELS, Emotion
from training.datasets.dedup import normalize
from training.datasets.persona_pairs import DATA, HELD_OUT_TOPICS, UNLABELLED_TOPICS
from training.errors import DatasetError

GOEMOTIONS_BROAD = {
    "sadness": 0, "grief": 0,
    "joy": 1, "amusement": 1, "excitement": 1, "gratitude": 1,
    "love": 2, "caring": 2,
    "anger": 3, "annoyance": 3,
    "fear": 4, "nervousness": 4,
    "surprise": 5,
}  # fmt: skip
GOEMOTIONS_STRICT = {str(label): label.id for label in LABELS}
HUB_EMOTION = "dair-ai/emotion"
HUB_GOEMOTIONS = "google-research-datasets/go_emotions"
HUB_SPLITS = {"val": "validation", "dev": "validation"}  # splits that the hub names differently


@dataclass(frozen=True, slots=True)
class Example:
    """A labelled text.

    Attributes:
        text: the text as its author wrote it.
        label: id of its emotion.
    """

    text: str
    label: int


def load_emotion(split: str, root: Path | None) -> list[Example]:
    """Load `train`, `val` or `test` of dair-ai/emotion.

    `root` is the folder of the public sets, None for the hub. Raises ValueError for a label that is
    not one of the six.
    """
    if root is None:
        return _hub_rows(HUB_EMOTION, "split", HUB_SPLITS.get(split, split))
    lines = (root / "emotion" / f"{split}.txt").read_text("utf-8").splitlines()
    rows = (line.rsplit(";", 1) for line in lines if line)
    return [Example(text, Emotion(name).id) for text, name in rows]


def load_emotion_unsplit(root: Path | None) -> list[Example]:
    """Load the larger, noisier version of dair-ai/emotion, cleaned.

    `root` is a folder with the cleaned rows. None loads all rows of the hub and cleans them: it
    removes the texts of val and test, and all texts with two labels.
    """
    if root is None:
        held_out = load_emotion("val", None) + load_emotion("test", None)
        return clean_unsplit(_hub_rows(HUB_EMOTION, "unsplit", "train"), held_out)
    file = root / "emotion_unsplit" / "train_noleak.csv.gz"
    with gzip.open(file, "rt", encoding="utf-8", newline="") as stream:
        return [Example(row["text"], int(row["label"])) for row in csv.DictReader(stream)]


def load_tweets(root: Path | None) -> list[Example]:
    """Load all training texts of dair-ai/emotion, the larger version included."""
    return load_emotion("train", root) + load_emotion_unsplit(root)


def clean_unsplit(rows: list[Example], held_out: list[Example]) -> list[Example]:
    """Return the first row of each text that has one label and is not held out.

    Texts are compared by their lower-case words.
    """
    banned = {normalize(example.text) for example in held_out}
    labels: defaultdict[str, set[int]] = defaultdict(set)
    for row in rows:
        labels[normalize(row.text)].add(row.label)
    first: dict[str, Example] = {}
    for row in rows:
        text = normalize(row.text)
        if len(labels[text]) == 1 and text not in banned:
            first.setdefault(text, row)
    return list(first.values())


def load_goemotions(split: str, root: Path | None, mapping: dict[str, int]) -> list[Example]:
    """Load `train` or `dev` of GoEmotions.

    Keeps the rows whose labels are all in `mapping`, and map to the same emotion.
    """
    rows = _hub_goemotions(split) if root is None else _local_goemotions(split, root)
    examples = []
    for text, names in rows:
        mapped = {mapping.get(name) for name in names}
        if len(mapped) == 1 and None not in mapped:
            examples.append(Example(text, int(mapped.pop() or 0)))
    return examples


def load_comments(root: Path | None) -> list[str]:
    """Load the texts of GoEmotions' `train`, whatever their labels."""
    rows = _hub_goemotions("train") if root is None else _local_goemotions("train", root)
    return [text for text, _ in rows]


def load_ordinary(held_out: bool) -> list[Example]:
    """Load the project's own messages: those of the held-out topics, or all others."""
    return [
        Example(row["message"], label.id)
        for label in LABELS
        for folder in ("messages", "personas")
        for row in _json_lines(DATA / folder / f"{label}.jsonl")
        if row["topic"] not in UNLABELLED_TOPICS and (row["topic"] in HELD_OUT_TOPICS) is held_out
    ]


def load_fresh() -> list[Example]:
    """Load the fresh test set, whose writer saw no training data. For reporting only."""
    return _labelled_lines(DATA / "fresh.jsonl")


def load_englishes() -> list[Example]:
    """Load the test set by speakers of many Englishes. For reporting only."""
    return _labelled_lines(DATA / "fresh_englishes.jsonl")


def load_emoji() -> list[Example]:
    """Load the test set of messages with emoji. For reporting only."""
    return _labelled_lines(DATA / "emoji.jsonl")


def load_judge_replies() -> list[Example]:
    """Load replies labelled by the emotion they express, on which only the judge is trained."""
    return _labelled_lines(DATA / "judge.jsonl")


def _labelled_lines(file: Path) -> list[Example]:
    return [Example(row["message"], Emotion(row["emotion"]).id) for row in _json_lines(file)]


def _json_lines(file: Path) -> Iterator[dict[str, str]]:
    return map(json.loads, file.read_text("utf-8").splitlines())


def _local_goemotions(split: str, root: Path) -> Iterator[tuple[str, list[str]]]:
    names = (root / "goemotions" / "emotions.txt").read_text("utf-8").split()
    for line in (root / "goemotions" / f"{split}.tsv").read_text("utf-8").splitlines():
        text, ids, _ = line.split("\t")
        yield text, [names[int(number)] for number in ids.split(",")]


def _hub_rows(repo: str, config: str, split: str) -> list[Example]:
    rows = _hub_set(repo, config, split)
    return [Example(row["text"], row["label"]) for row in rows]


def _hub_goemotions(split: str) -> Iterator[tuple[str, list[str]]]:
    rows = _hub_set(HUB_GOEMOTIONS, "simplified", HUB_SPLITS.get(split, split))
    names = rows.features["labels"].feature.names
    for row in rows:
        yield row["text"], [names[number] for number in row["labels"]]


def _hub_set(repo: str, config: str, split: str) -> Any:
    """Load a split of a data set of the hub. Raises DatasetError if it cannot be loaded."""
    from datasets import load_dataset  # slow to import, and needed only for the hub

    try:
        return load_dataset(repo, config, split=split)
    except OSError as error:
        raise DatasetError(
            f"cannot load the data set {repo} from the hub ({type(error).__name__}): connect to "
            "the internet, or name a folder with the data sets: --data FOLDER, or DATA=FOLDER of "
            "make"
        ) from error
