"""Labels files in this process, without Ray, and takes the labels out of a result again."""

import io
import re
from pathlib import Path
from typing import Any

from serve.batch.classify import label_texts
from serve.batch.formats.records import Problem
from serve.batch.formats.registry import ReadOptions, open_source
from serve.detector.scripted import ScriptedClassifier

JSON_LABELS = re.compile(
    rb'(?:, )?"detected_emotion": (?:null|"\w+"), "detected_score": (?:null|[\d.]+), '
    rb'"detected_harm": (?:null|"[\w-]+")'
)
CSV_LABELS = rb"%s(?:detected_emotion|\w*)%s(?:detected_score|[\d.]*)%s(?:detected_harm|[\w-]*)"


def label_file(path: Path, **options: Any) -> tuple[bytes, list[Problem]]:
    """Return the labelled file and the problems."""
    source = open_source(path, path.name, ReadOptions(**options))
    out = io.BytesIO()
    writer = source.writer(out)
    problems = []
    for chunk in source.chunks():
        writer.write(chunk, label_texts(ScriptedClassifier(), chunk.texts, 8))
        problems += chunk.problems
    writer.close()
    return out.getvalue(), problems


def label_bytes(
    folder: Path, name: str, data: bytes, **options: Any
) -> tuple[bytes, list[Problem]]:
    """Write the bytes to a file and label it."""
    path = folder / name
    path.write_bytes(data)
    return label_file(path, **options)


def strip_json(data: bytes) -> bytes:
    """Take the added keys out of JSON Lines."""
    return JSON_LABELS.sub(b"", data)


def strip_csv(data: bytes, delimiter: bytes = b",", ending: bytes = rb"(?=\r?\n|\r|$)") -> bytes:
    """Take the added fields out of a CSV file none of whose records span lines."""
    pattern = CSV_LABELS % ((re.escape(delimiter),) * 3)
    return re.sub(pattern + ending, b"", data)
