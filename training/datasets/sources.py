"""Labelled text for the detector: two public sets, by path or from the hub, and the project's own ordinary messages.

    emotion (tweets with "feel"), GoEmotions (Reddit), ordinary messages -> examples -> `training.datasets.mixture`

A public set is never copied into the repository. Labels are ids of `models.emotions`.
"""

import csv
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.emotions import LABELS, Emotion
from training.datasets.persona_pairs import DATA, HELD_OUT_TOPICS, UNLABELLED_TOPICS

GOEMOTIONS_BROAD = {
    "sadness": 0, "grief": 0,
    "joy": 1, "amusement": 1, "excitement": 1, "gratitude": 1,
    "love": 2, "caring": 2,
    "anger": 3, "annoyance": 3,
    "fear": 4, "nervousness": 4,
    "surprise": 5,
}  # fmt: skip
GOEMOTIONS_STRICT = {str(label): label.id for label in LABELS}
HUB_EMOTION, HUB_GOEMOTIONS = "dair-ai/emotion", "google-research-datasets/go_emotions"


@dataclass(frozen=True, slots=True)
class Example:
    """One labelled text."""

    text: str
    label: int


def emotion(split: str, root: Path | None) -> list[Example]:
    """`train`, `val` or `test` of dair-ai/emotion."""
    if root is None:
        return _hub_rows(HUB_EMOTION, "split", {"val": "validation"}.get(split, split))
    lines = (root / "emotion" / f"{split}.txt").read_text("utf-8").splitlines()
    pairs = (line.rsplit(";", 1) for line in lines if line)
    return [Example(text, Emotion(name).id) for text, name in pairs]


def emotion_unsplit(root: Path | None) -> list[Example]:
    """The larger, noisier version of the same set. What stands in an evaluation split must still be removed."""
    if root is None:
        return _hub_rows(HUB_EMOTION, "unsplit", "train")
    with gzip.open(root / "emotion_unsplit" / "train_noleak.csv.gz", "rt", encoding="utf-8", newline="") as stream:
        return [Example(row["text"], int(row["label"])) for row in csv.DictReader(stream)]


def goemotions(split: str, root: Path | None, mapping: dict[str, int]) -> list[Example]:
    """`train` or `dev` of GoEmotions: the rows whose labels all map, and to the same emotion."""
    rows = _hub_goemotions(split) if root is None else _local_goemotions(split, root)
    examples = []
    for text, names in rows:
        mapped = {mapping.get(name) for name in names}
        if len(mapped) == 1 and None not in mapped:
            examples.append(Example(text, int(mapped.pop() or 0)))
    return examples


def ordinary(held_out: bool) -> list[Example]:
    """The project's own messages, split by topic: what people type to a friend, the emotion shown and not named."""
    examples = []
    for label in LABELS:
        for file in (DATA / "messages" / f"{label}.jsonl", DATA / "personas" / f"{label}.jsonl"):
            for row in map(json.loads, file.read_text("utf-8").splitlines()):
                topic = row["topic"]
                if topic not in UNLABELLED_TOPICS and (topic in HELD_OUT_TOPICS) is held_out:
                    examples.append(Example(row["message"], label.id))
    return examples


def fresh() -> list[Example]:
    """Messages that were written after all training data, by a writer who saw neither them nor their brief. For reporting only."""
    return _own_lines(DATA / "fresh.jsonl")


def judge_replies() -> list[Example]:
    """Replies of a friend, labelled by the emotion they express: the judge's own data, unknown to detector and personas."""
    return _own_lines(DATA / "judge.jsonl")


def _own_lines(file: Path) -> list[Example]:
    return [Example(row["message"], Emotion(row["emotion"]).id) for row in map(json.loads, file.read_text("utf-8").splitlines())]


def _local_goemotions(split: str, root: Path) -> Iterator[tuple[str, list[str]]]:
    names = (root / "goemotions" / "emotions.txt").read_text("utf-8").split()
    for line in (root / "goemotions" / f"{split}.tsv").read_text("utf-8").splitlines():
        text, ids, _ = line.split("\t")
        yield text, [names[int(number)] for number in ids.split(",")]


def _hub_rows(repo: str, config: str, split: str) -> list[Example]:
    from datasets import load_dataset  # slow to import, and only needed without a path

    return [Example(row["text"], row["label"]) for row in load_dataset(repo, config, split=split)]


def _hub_goemotions(split: str) -> Iterator[tuple[str, list[str]]]:
    from datasets import load_dataset

    rows = load_dataset(HUB_GOEMOTIONS, "simplified", split={"dev": "validation"}.get(split, split))
    names = rows.features["labels"].feature.names
    for row in rows:
        yield row["text"], [names[number] for number in row["labels"]]
