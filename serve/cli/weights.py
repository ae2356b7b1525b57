"""Downloads and converts weights before the graph starts, where the operator sees the progress."""

from models.detector.int8.cache import int8_weights, supports_int8
from models.manifest import SAFETY_ARTIFACT, CriticManifest, DetectorManifest, SafetyManifest
from models.weights.cache import materialize
from serve.cli.console import print_step
from serve.config import DetectorConfig, ServeConfig


def fetch_weights(config: ServeConfig) -> None:
    """Fetch the base weights of detector, critic and responder into the cache.

    Raises:
        ArtifactError: weights are unknown, cannot be downloaded, or differ from their checksum.
    """
    fetch_detector(config.detector)
    critic = config.responder.critic_folder
    if critic is not None and config.detector.kind != "scripted":
        materialize(CriticManifest.read(critic).base, print_step)
    if config.responder.kind == "vllm":
        materialize(config.responder.base, print_step)


def fetch_detector(config: DetectorConfig) -> None:
    """Fetch the base weights of detector and safety check, converted to int8 where it is used.

    Raises:
        ArtifactError: weights are unknown, cannot be downloaded, or differ from their checksum.
    """
    if config.kind != "scripted":
        materialize(DetectorManifest.read(config.folder).base, print_step)
        uses_int8 = config.precision == "auto" and config.device == "cpu"
        if uses_int8 and supports_int8(config.folder):
            int8_weights(config.folder, print_step)
        if config.harm == "classifier":
            materialize(SafetyManifest.read(SAFETY_ARTIFACT).base, print_step)
    if config.harm == "shieldgemma":
        materialize(config.shieldgemma, print_step)
