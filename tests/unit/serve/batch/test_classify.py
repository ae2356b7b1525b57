"""Labels of a chunk: batches by length, no label without text, and one bad text costs no other."""

from collections.abc import Sequence

import pytest

from models.emotions import LABELS
from serve.batch.classify import ChunkClassifier, label_texts
from serve.batch.formats.records import Label, classifiable
from serve.config import DetectorConfig
from serve.detector.protocol import Detection, Input, last_text, length_of
from serve.detector.scripted import ScriptedClassifier


class RecordingClassifier(ScriptedClassifier):
    """Records the lengths of each batch, and fails on texts that say so."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def classify(self, inputs: Sequence[Input]) -> list[Detection]:
        self.batches.append([length_of(given) for given in inputs])
        if any("fail" in last_text(given) for given in inputs):
            raise RuntimeError("bad text")
        return super().classify(inputs)


def test_texts_of_similar_length_share_a_batch() -> None:
    classifier = RecordingClassifier()
    texts = ["x" * 9, None, "x", "x" * 8, "concern", "self-harm"]
    labels = label_texts(classifier, texts, 2)
    assert classifier.batches == [[1, 7], [8, 9], [9]]
    assert [label is None for label in labels] == [False, True, False, False, False, False]
    assert [label.harm for label in labels if label] == [None, None, None, "concern", "self-harm"]


def test_text_on_which_the_detector_fails_costs_no_other() -> None:
    labels = label_texts(RecordingClassifier(), ["joy", "fail", "love"], 8)
    assert labels == [Label("joy", 0.9, None), None, Label("love", 0.9, None)]


def test_broken_detector_is_an_error() -> None:
    with pytest.raises(RuntimeError):
        label_texts(RecordingClassifier(), ["fail", "fail too"], 8)


def test_block_of_chunks_gets_labels() -> None:
    import pyarrow as pa

    texts = pa.array([["joy", None], [], [None]], pa.list_(pa.string()))
    block = ChunkClassifier(DetectorConfig(kind="scripted"))(pa.table({"texts": texts}))
    assert block.column_names == ["labels"]
    first = {"0": "joy", "1": 0.9, "2": None}
    assert block["labels"].to_pylist() == [[first, None], [], [None]]


@pytest.mark.parametrize("label", LABELS)
def test_label_is_the_emotion_with_the_highest_score(label: str) -> None:
    [found] = label_texts(ScriptedClassifier(), [f"such {label}"], 8)
    assert found is not None
    assert found.emotion == label


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        ("\u200b\ufeff", None),
        (" \t\u3000", None),
        ("joy\ud83d!", "joy\ufffd!"),
        ("\ud83d\ude00", "\U0001f600"),
        ("42", "42"),
    ],
)
def test_classifiable_text_is_valid_unicode(text: str | None, expected: str | None) -> None:
    assert classifiable(text) == expected
