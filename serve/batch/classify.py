"""Classification of a chunk's texts by one detector, in a worker of Ray Data."""

from typing import TYPE_CHECKING

from models.emotions import LABELS
from serve.batch.formats.records import Label
from serve.config import DetectorConfig
from serve.detector.classifiers import load_classifier
from serve.detector.protocol import Classifier, Detection

if TYPE_CHECKING:
    import pyarrow as pa


class ChunkClassifier:
    """A detector that labels the chunks of Ray Data's blocks."""

    def __init__(self, config: DetectorConfig) -> None:
        """Load the detector."""
        self._classifier = load_classifier(config)
        self._batch_size = config.batch_size

    def __call__(self, block: "pa.Table") -> "pa.Table":
        """Replace the texts of each chunk by their labels, as JSON would write them."""
        import pyarrow as pa

        chunks = block["texts"].to_pylist()
        labels = [label_texts(self._classifier, texts, self._batch_size) for texts in chunks]
        kind = pa.list_(pa.struct([("0", pa.string()), ("1", pa.float64()), ("2", pa.string())]))
        rows = [[_struct(label) for label in chunk] for chunk in labels]
        return block.drop_columns(["texts"]).append_column("labels", pa.array(rows, kind))


def label_texts(
    classifier: Classifier, texts: list[str | None], batch_size: int
) -> list[Label | None]:
    """Label each text, None for None and for one on which the detector fails.

    Batches hold texts of similar length, to save padding.
    """
    present = [(index, text) for index, text in enumerate(texts) if text is not None]
    present.sort(key=lambda pair: len(pair[1]))
    labels: list[Label | None] = [None] * len(texts)
    for start in range(0, len(present), batch_size):
        batch = present[start : start + batch_size]
        found = _classify(classifier, [text for _, text in batch])
        for (index, _), label in zip(batch, found, strict=True):
            labels[index] = label
    return labels


def _classify(classifier: Classifier, texts: list[str]) -> list[Label | None]:
    """Label a batch. If that fails, find the texts that fail by themselves and leave them out.

    Raises:
        RuntimeError, TypeError, ValueError: every text fails, so the detector itself is broken.
    """
    try:
        return [_label(detection) for detection in classifier.classify(texts)]
    except (RuntimeError, TypeError, ValueError):
        if len(texts) == 1:
            return [None]
    labels = [_classify(classifier, [text])[0] for text in texts]
    if not any(labels):
        classifier.classify(texts)  # raises once more, now for the caller
    return labels


def _label(detection: Detection) -> Label:
    score, emotion = max(zip(detection.scores, LABELS, strict=True), key=lambda pair: pair[0])
    harm = detection.harm or detection.level  # a concern has no category
    return Label(emotion.value, round(score, 4), harm.value if harm else None)


def _struct(label: Label | None) -> dict[str, object] | None:
    return None if label is None else dict(zip("012", label, strict=True))
