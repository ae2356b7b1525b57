"""The engine's limits, derived from the hardware profile and the adapters: never kept in step by hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from models.manifest import AdapterManifest
from serve.config import MAX_TEXTS, ResponderConfig, ServeConfig
from serve.pipeline.admission import Gates

ENGINE_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # what vLLM 0.32 accepts as max_lora_rank
SPARE_ADAPTERS = 2  # versions that can be resident beside those that answer: the next one, and the last one for a rollback
EMPTY_PLACE = 1  # a CPU defect of the engine (vllm PR #48421) gives rows without an adapter the last place's, so that stays empty

TEXTS_AHEAD = 4  # batches that a detector replica takes in, so that the next one is full when the last is done
INGRESS_ROOM = 1024  # requests of an ingress replica that no gate counts: those that it is about to refuse, and those that need no stage


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_loras` is 0 where there is no adapter at all. `max_ongoing_requests` is Serve's limit for a replica."""

    max_loras: int
    max_lora_rank: int
    max_num_seqs: int
    max_model_len: int
    max_ongoing_requests: int


def derive_limits(config: ResponderConfig, adapters: Sequence[AdapterManifest]) -> Limits:
    """All personas are resident at once, with room for their next versions."""
    highest = max((adapter.rank for adapter in adapters), default=ENGINE_RANKS[0])
    hardware = config.hardware
    return Limits(
        max_loras=resident_places(len(adapters)) + EMPTY_PLACE if adapters else 0,
        max_lora_rank=next(rank for rank in ENGINE_RANKS if rank >= highest),
        max_num_seqs=hardware.max_num_seqs,
        max_model_len=hardware.max_model_len,
        max_ongoing_requests=hardware.max_num_seqs + config.queue,
    )


def ingress_places(gates: Gates) -> int:
    """How many requests an ingress replica takes in: so many that its gates are full, and refuse, before it is. A text may come alone."""
    return gates.answers[0] + gates.texts[0] + INGRESS_ROOM


def resident_places(personas: int) -> int:
    """How many versions of adapters can be resident at once."""
    return personas + SPARE_ADAPTERS


def derive_gates(config: ServeConfig) -> Gates:
    """What one ingress replica may have under way: its share of what all replicas of a stage can hold once they are scaled up."""
    ingresses = config.ingress.replicas.minimum
    responders, detectors = config.responder.replicas.maximum, config.detector.replicas.maximum
    served = responders * config.responder.hardware.max_num_seqs
    texts = detectors * config.detector.batch_size
    return Gates(
        answers=(ceil((served + responders * config.responder.queue) / ingresses), ceil(served / ingresses)),
        texts=(max(ceil((texts + detectors * config.detector.queue) / ingresses), MAX_TEXTS), ceil(texts / ingresses)),
    )
