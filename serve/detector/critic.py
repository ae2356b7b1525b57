"""Critic backed by model weights: a logit of each answer, for whether it makes sense."""

from collections.abc import Sequence
from pathlib import Path

from models.prompt import Turn
from serve.config import DetectorConfig
from serve.detector.protocol import Critic
from serve.detector.scripted import ScriptedCritic


class ModelCritic:
    """Trained critic on the CPU, with the threads of a small batch."""

    def __init__(self, folder: Path, threads: int) -> None:
        """Load the artifact. Raises ArtifactError if a file differs from its manifest."""
        import torch

        from models.critic import Critic as TrainedCritic
        from models.critic import conversation_text

        self._threads = threads
        self._set_threads = torch.set_num_threads
        self._critic = TrainedCritic(folder)
        self._text_of = conversation_text

    def score(self, turns: Sequence[Turn], answers: Sequence[str]) -> list[float]:
        """Return a logit of each answer."""
        self._set_threads(self._threads)
        conversation = self._text_of(turns)
        return self._critic.logits([(conversation, answer) for answer in answers])


def load_critic(folder: Path, config: DetectorConfig) -> Critic:
    """Load the critic of a folder; with a scripted detector, a scripted one.

    Raises:
        ArtifactError: there is none, or its weights are not what its manifest says.
    """
    if config.kind == "scripted":
        return ScriptedCritic()
    return ModelCritic(folder, config.threads)
