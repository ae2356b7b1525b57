"""Parts of a responder replica for one configuration: engine, prompt encoder, adapters."""

from dataclasses import dataclass, field

from models.emotions import LABELS
from models.machine.memory import trim_heap
from models.prompt import PromptEncoder
from models.store.adapter_store import AdapterStore, default_store
from models.weights.cache import materialize
from serve.adapters.configured import AdapterSource, adapter_store, configured_adapters
from serve.capacity import EngineLimits, derive_limits
from serve.config import NO_TRACES, ResponderConfig, TracingConfig
from serve.engine.protocol import Encoder, Engine
from serve.engine.scripted import RANK as SCRIPTED_RANK
from serve.engine.scripted import ScriptedEncoder, ScriptedEngine
from serve.engine.vllm_engine import VllmEngine
from serve.responder.validation import admit


@dataclass(frozen=True, slots=True)
class Runtime:
    """Started engine and what belongs to it.

    Attributes:
        aliases: versioned name of the adapter of each persona that has one.
        adapter_source: origin of these adapters.
        store: where versions are read from.
    """

    engine: Engine
    encoder: Encoder
    aliases: dict[str, str]
    limits: EngineLimits
    adapter_source: AdapterSource = AdapterSource.CONFIGURED
    store: AdapterStore = field(default_factory=lambda: AdapterStore(default_store()))


async def start_runtime(config: ResponderConfig, tracing: TracingConfig = NO_TRACES) -> Runtime:
    """Start the engine and make every adapter resident.

    Raises:
        ArtifactError: an artefact was changed, or does not fit the base weights.
    """
    if config.kind == "scripted":
        return _scripted(config)
    base = materialize(config.base)
    found = configured_adapters(config, base)
    adapters = found.adapters
    limits = derive_limits(config, [adapter.manifest.rank for adapter in adapters])
    encoder = PromptEncoder(base.folder / "tokenizer.json")
    engine = VllmEngine(base.folder, encoder.tokenizer, config.hardware, limits, tracing)
    await engine.start()
    for adapter in adapters:
        await admit(engine, encoder, adapter, limits)
    trim_heap()
    aliases = {one.manifest.persona: one.manifest.versioned_name for one in adapters}
    return Runtime(engine, encoder, aliases, limits, found.source, adapter_store(config))


def _scripted(config: ResponderConfig) -> Runtime:
    aliases: dict[str, str] = {label: f"{label}@scripted" for label in LABELS}
    engine = ScriptedEngine(
        tuple(aliases.values()),
        config.scripted.token_s,
        config.hardware.max_num_seqs,
        config.scripted.token_s_per_running,
        config.scripted.poison,
    )
    limits = derive_limits(config, [SCRIPTED_RANK] * len(aliases))
    return Runtime(engine, ScriptedEncoder(), aliases, limits, store=adapter_store(config))
