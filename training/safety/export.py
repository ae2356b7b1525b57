"""Export of a trained safety classifier: its tensors in 8-bit rows, manifest and thresholds."""

from pathlib import Path

from safetensors.torch import save_file

from models.encoder.rows import quantize_rows
from models.hashing import file_sha256
from models.manifest import DETECTOR_WEIGHTS, SafetyManifest, Thresholds
from models.safety.classifier import SafetyClassifier
from models.weights.cache import Materialized
from training.safety.data import Row
from training.safety.model import SafetyModel
from training.safety.thresholds import choose_thresholds, score_rows

UNKNOWN = Thresholds(crisis=0.5, concern=0.5)  # until they are chosen


def export(model: SafetyModel, base: Materialized, data_hash: str, out: Path) -> SafetyManifest:
    """Write the trained tensors and their manifest."""
    out.mkdir(parents=True, exist_ok=True)
    save_file(
        quantize_rows(model.trained_tensors()), out / DETECTOR_WEIGHTS, metadata={"format": "pt"}
    )
    manifest = SafetyManifest(
        content_hash=file_sha256(out / DETECTOR_WEIGHTS),
        base=base.name,
        base_hash=base.sha256,
        training_data_hash=data_hash,
        thresholds=UNKNOWN,
        pooling=model.pooling,
        metrics={},
    )
    manifest.write(out)
    return manifest


def calibrate(out: Path, validation: list[Row]) -> SafetyManifest:
    """Choose the thresholds of an artefact on validation rows, and write them with its measures."""
    classifier = SafetyClassifier(out)
    scores = score_rows(classifier, validation)
    thresholds = choose_thresholds(validation, scores)
    flagged = [score.crisis >= thresholds.crisis for score in scores]
    either = [
        hit or score.either >= thresholds.concern
        for hit, score in zip(flagged, scores, strict=True)
    ]
    crisis = [min(row.outcomes) > 1 for row in validation]
    harmful = [row.finding is not None for row in validation]
    metrics = {
        "validation_crisis_recall": _share(flagged, crisis),
        "validation_recall_at_either_level": _share(either, harmful),
        "validation_false_alarms_of_crisis": _share(flagged, [not one for one in harmful]),
        "validation_false_alarms_at_either_level": _share(either, [not one for one in harmful]),
    }
    manifest = classifier.manifest.model_copy(update={"thresholds": thresholds, "metrics": metrics})
    manifest.write(out)
    return manifest


def _share(hits: list[bool], among: list[bool]) -> float:
    chosen = [hit for hit, wanted in zip(hits, among, strict=True) if wanted]
    return round(sum(chosen) / len(chosen), 4)
