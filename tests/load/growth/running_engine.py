"""Start and stop of an engine with any number of adapters."""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from models.manifest import Adapter
from models.prompt import PromptEncoder
from models.weights.cache import materialize
from serve.adapters.folder import find_adapters
from serve.capacity import derive_limits
from serve.config import ResponderConfig
from serve.engine.vllm_engine import VllmEngine


@dataclass(frozen=True)
class RunningEngine:
    """Running engine with loaded adapters."""

    engine: VllmEngine
    adapters: tuple[str, ...]  # versioned names
    encoder: PromptEncoder
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(100))


@asynccontextmanager
async def running_engine(config: ResponderConfig, adapters: int) -> AsyncIterator[RunningEngine]:
    """Run an engine with this number of adapters.

    They are copies of the shipped ones under other names. The engine's limits follow from their
    number, as in the graph.
    """
    base = materialize(config.base)
    assert config.adapters
    shipped = find_adapters(config.adapters, base)
    copies = [
        _renamed(adapter, number)
        for number, adapter in enumerate(itertools.islice(itertools.cycle(shipped), adapters))
    ]
    encoder = PromptEncoder(base.folder / "tokenizer.json")
    limits = derive_limits(config, [copy.manifest.rank for copy in copies])
    engine = VllmEngine(base.folder, encoder.tokenizer, config.hardware, limits)
    await engine.start()
    try:
        for copy in copies:
            await engine.load(copy)
        names = tuple(copy.manifest.versioned_name for copy in copies)
        yield RunningEngine(engine, names, encoder)
    finally:
        await engine.stop()


def _renamed(adapter: Adapter, number: int) -> Adapter:
    update = {"content_hash": f"{number:064x}"[::-1]}
    return Adapter(adapter.manifest.model_copy(update=update), adapter.folder)
