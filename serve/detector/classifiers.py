"""Classifiers backed by model weights, and the function that loads the configured one.

conversation -> last turn -> normalized -> emotion scores, language
-> all turns -> safety finding
"""

from collections.abc import Sequence
from dataclasses import replace

from models.machine.cores import usable_cores
from models.safety.levels import Finding, Level
from models.text.language import Language, LanguageDetector
from models.text.normalize import normalize
from serve.config import DetectorConfig
from serve.detector.protocol import Classifier, Detection, Input, last_text, turns_of
from serve.detector.scripted import ScriptedClassifier

# Batches up to this size use few threads, so that an engine on the same machine keeps its cores.
# Larger batches come from bulk detection or from a busy service, where throughput matters more.
SMALL_BATCH = 16


class ModelClassifier:
    """Trained detector, with the optional safety classifier and the language of each text."""

    def __init__(self, config: DetectorConfig) -> None:
        """Load the artifacts' weights.

        Raises:
            ArtifactError: a file is missing, or differs from its manifest.
        """
        import torch

        from models.detector.factory import open_classifier
        from models.safety.classifier import SafetyClassifier

        self._threads = config.threads
        self._batch_threads = config.batch_threads or usable_cores()
        self._set_threads = torch.set_num_threads
        self._model = open_classifier(config.folder, config.device, config.precision)
        checked = config.harm == "classifier"
        self._safety = SafetyClassifier(device=config.device) if checked else None
        self._languages = LanguageDetector()
        manifest = self._model.manifest
        self.name = f"{manifest.base}@{manifest.content_hash[:12]}"

    def classify(self, inputs: Sequence[Input]) -> list[Detection]:
        """Return calibrated scores, languages, and findings if the safety check is enabled."""
        small = len(inputs) <= SMALL_BATCH
        self._set_threads(self._threads if small else self._batch_threads)
        texts = [normalize(last_text(given)) for given in inputs]
        emotions = self._model.classify(texts)
        languages = map(self._languages.detect, texts)
        detections = [
            _detection(emotion.scores, emotion.complete, language)
            for emotion, language in zip(emotions, languages, strict=True)
        ]
        if self._safety is None:
            return detections
        found = self._safety.classify([turns_of(given) for given in inputs])
        return [
            replace(one, finding=safety.finding, complete=one.complete and safety.complete)
            for one, safety in zip(detections, found, strict=True)
        ]


def _detection(scores: tuple[float, ...], complete: bool, language: Language) -> Detection:
    return Detection(scores, language=language.code, reliable=language.supported, complete=complete)


class ShieldGemmaClassifier:
    """Scores of another classifier, with the finding decided by ShieldGemma."""

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

    def classify(self, inputs: Sequence[Input]) -> list[Detection]:
        """Replace the finding of each detection by ShieldGemma's, which is always a crisis."""
        categories = self._shield.categories([_user_text(given) for given in inputs])
        detections = self._classifier.classify(inputs)
        return [
            replace(found, finding=Finding(Level.CRISIS, category) if category else None)
            for found, category in zip(detections, categories, strict=True)
        ]


def _user_text(given: Input) -> str:
    return "\n".join(turn.text for turn in turns_of(given) if turn.role == "user")


def load_classifier(config: DetectorConfig) -> Classifier:
    """Load the classifier that the configuration selects.

    Raises:
        ArtifactError: its weights are missing or not what their manifest says.
    """
    scripted = config.kind == "scripted"
    classifier: Classifier = ScriptedClassifier() if scripted else ModelClassifier(config)
    use_shield = config.harm == "shieldgemma"
    return ShieldGemmaClassifier(classifier, config) if use_shield else classifier
