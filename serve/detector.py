"""The detector stage: texts in, calibrated scores of the six emotions out. Texts of many requests share a batch.

It does not know of personas or HTTP.
"""

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from models.emotions import LABELS
from serve.config import DetectorConfig

Scores = tuple[float, ...]


class Scorer(Protocol):
    """What classifies. `scores` blocks, and returns one row of six for each text."""

    name: str

    def scores(self, texts: list[str]) -> list[Scores]: ...


class ModelScorer:
    """The trained detector."""

    def __init__(self, config: DetectorConfig) -> None:
        import torch

        from models.classifier import Classifier

        torch.set_num_threads(config.threads)
        self._classifier = Classifier(config.folder, device=config.device)
        manifest = self._classifier.manifest
        self.name = f"{manifest.base}@{manifest.content_hash[:12]}"

    def scores(self, texts: list[str]) -> list[Scores]:
        return [tuple(row) for row in self._classifier.scores(texts).tolist()]


class ScriptedScorer:
    """Deterministic and without weights: the emotion that the text names, else one drawn from its hash."""

    name = "scripted"

    def scores(self, texts: list[str]) -> list[Scores]:
        return [self._row(text) for text in texts]

    def _row(self, text: str) -> Scores:
        named = [label.id for label in LABELS if label in text.lower()]
        chosen = named[0] if named else hashlib.sha256(text.encode()).digest()[0] % len(LABELS)
        return tuple(0.9 if number == chosen else 0.02 for number in range(len(LABELS)))


class Detector:
    """A replica. Batches form while the previous one is computed; a batch takes what waits, up to `batch_size`."""

    def __init__(self, config: DetectorConfig) -> None:
        from ray import serve

        self._scorer: Scorer = ScriptedScorer() if config.kind == "scripted" else ModelScorer(config)
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._batched = serve.batch(max_batch_size=config.batch_size, batch_wait_timeout_s=config.batch_wait_ms / 1000)(self._score)

    async def detect(self, text: str) -> Scores:
        """Scores of one text, batched with those of other requests."""
        scores: Scores = await self._batched(text)
        return scores

    async def detect_many(self, texts: list[str]) -> list[Scores]:
        """Scores of several texts of one request."""
        return list(await asyncio.gather(*(self.detect(text) for text in texts)))

    async def describe(self) -> str:
        """The name of what classifies; answering it shows that the replica is up."""
        return self._scorer.name

    async def _score(self, texts: list[str]) -> list[Scores]:
        order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
        loop = asyncio.get_running_loop()
        rows: Any = await loop.run_in_executor(self._thread, self._scorer.scores, [texts[number] for number in order])
        placed = dict(zip(order, rows, strict=True))
        return [placed[number] for number in range(len(texts))]
