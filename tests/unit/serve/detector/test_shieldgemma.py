"""ShieldGemma as the harm classifier of the detector deployment."""

from pathlib import Path

import pytest
import yaml

from serve.config import DetectorConfig, ServeConfig
from serve.detector.classifiers import load_classifier
from serve.detector.scripted import ScriptedClassifier
from support.tiny_models import tiny_shield

TEXTS = ["I feel joy.", "They moved my desk again!", "Hm.", "fear " * 80]


def test_shieldgemma_decides_harm_and_keeps_the_scores(tmp_path: Path) -> None:
    from models.detector.shieldgemma import ShieldGemma

    base = tiny_shield(tmp_path)
    config = DetectorConfig(kind="scripted", harm="shieldgemma", shieldgemma=str(base))
    classifier = load_classifier(config)
    detections = classifier.classify(TEXTS)
    scripted = ScriptedClassifier().classify(TEXTS)
    assert classifier.name == "scripted"
    assert [found.scores for found in detections] == [found.scores for found in scripted]
    assert [found.harm for found in detections] == ShieldGemma(base).categories(TEXTS)
    assert len({found.harm for found in detections}) > 1


@pytest.mark.parametrize(
    ("text", "harm"),
    [
        ("off", "off"),  # YAML reads a bare off as false
        ("false", "off"),
        ("true", "classifier"),
        ("classifier", "classifier"),
        ("shieldgemma", "shieldgemma"),
        ('"off"', "off"),
    ],
)
def test_config_accepts_harm_as_word_or_switch(text: str, harm: str) -> None:
    config = yaml.safe_load(f"detector: {{harm: {text}}}")
    assert ServeConfig.model_validate(config).detector.harm == harm
