"""Classifiers backed by model weights, and the function that loads the configured one."""

from dataclasses import replace

from models.cores import usable_cores
from serve.config import DetectorConfig
from serve.detector.protocol import Classifier, Detection
from serve.detector.scripted import ScriptedClassifier

# Batches up to this size use few threads, so that an engine on the same machine keeps its cores.
# Larger batches come from bulk detection or from a busy service, where throughput matters more.
SMALL_BATCH = 16


class ModelClassifier:
    """Trained detector, with an optional linear probe for harm on the same features."""

    def __init__(self, config: DetectorConfig) -> None:
        """Load the artifact's weights.

        Raises:
            ArtifactError: a file is missing, or differs from its manifest.
        """
        import torch

        from models.detector.factory import open_classifier
        from models.detector.harm_probe import HarmProbe

        self._threads = config.threads
        self._batch_threads = config.batch_threads or usable_cores()
        self._set_threads = torch.set_num_threads
        self._model = open_classifier(config.folder, config.device, config.precision)
        manifest = self._model.manifest
        use_probe = config.harm == "probe"
        self._probe = HarmProbe(config.folder, manifest.content_hash) if use_probe else None
        self.name = f"{manifest.base}@{manifest.content_hash[:12]}"

    def classify(self, texts: list[str]) -> list[Detection]:
        """Return calibrated scores, and the probe's category if the probe is enabled."""
        small = len(texts) <= SMALL_BATCH
        self._set_threads(self._threads if small else self._batch_threads)
        logits, features = self._model.forward(texts)
        rows = self._model.calibrated(logits).tolist()
        harms = self._probe.categories(features) if self._probe else [None] * len(texts)
        return [Detection(tuple(row), harm) for row, harm in zip(rows, harms, strict=True)]


class ShieldGemmaClassifier:
    """Scores of another classifier, with the harm category decided by ShieldGemma."""

    def __init__(self, classifier: Classifier, config: DetectorConfig) -> None:
        """Load ShieldGemma's weights.

        Raises:
            ArtifactError: the weights are unknown or cannot be downloaded.
        """
        from models.detector.shieldgemma import ShieldGemma
        from models.weights.cache import materialize

        self._classifier = classifier
        self.name = classifier.name
        self._shield = ShieldGemma(materialize(config.shieldgemma).folder, config.device)

    def classify(self, texts: list[str]) -> list[Detection]:
        """Replace the harm category of each detection by ShieldGemma's."""
        harms = self._shield.categories(texts)
        detections = self._classifier.classify(texts)
        return [replace(found, harm=harm) for found, harm in zip(detections, harms, strict=True)]


def load_classifier(config: DetectorConfig) -> Classifier:
    """Load the classifier that the configuration selects.

    Raises:
        ArtifactError: its weights are missing or not what their manifest says.
    """
    scripted = config.kind == "scripted"
    classifier: Classifier = ScriptedClassifier() if scripted else ModelClassifier(config)
    use_shield = config.harm == "shieldgemma"
    return ShieldGemmaClassifier(classifier, config) if use_shield else classifier
