"""Limits that follow from the configuration: of the engine, of admission, and of Serve.

They are derived in one place, so that no two of them have to be kept in step by hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from serve.config import FEWEST_TOKENS, MAX_TEXTS, ResponderConfig, ServeConfig

ENGINE_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # max_lora_rank values of vLLM 0.32
SPARE_ADAPTERS = 2  # resident versions besides the promoted ones: the next, and one for a rollback
# vLLM's CPU operator gives rows without an adapter the last slot's (PR #48421): it stays empty.
EMPTY_SLOT = 1
BATCHES_QUEUED = 4  # batches that a detector replica accepts, so that the next one is full
# Requests of a replica outside admission control: rejections, health checks, administration.
HEADROOM = 1024


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Arguments of the engine. `max_loras` is 0 where there is no adapter at all.

    `max_blends` of its slots are for blends.
    """

    max_loras: int
    max_lora_rank: int
    max_num_seqs: int
    max_model_len: int
    max_blends: int = 0


@dataclass(frozen=True, slots=True)
class GateLimits:
    """Size of an admission gate: how much it admits, and how much of that is served at once."""

    admitted: int
    served: int


@dataclass(frozen=True, slots=True)
class Gates:
    """Admission gates of one responder replica: for answers, and for tokens to classify."""

    answers: GateLimits
    texts: GateLimits


def derive_limits(config: ResponderConfig, ranks: Sequence[int]) -> EngineLimits:
    """Return limits with which all personas are resident, with room for their next versions.

    Blends have slots of their own. The rank of a blend is the sum of its adapters' ranks.

    Args:
        config: the responder.
        ranks: rank of each adapter to start with.
    """
    blends = config.blends.resident
    highest = max(ranks, default=1)
    needed = min(highest * (config.blends.personas if blends else 1), ENGINE_RANKS[-1])
    slots = adapter_slots(len(ranks)) + EMPTY_SLOT + blends
    return EngineLimits(
        max_loras=slots if ranks else 0,
        max_lora_rank=next(rank for rank in ENGINE_RANKS if rank >= needed),
        max_num_seqs=config.hardware.max_num_seqs,
        max_model_len=config.hardware.max_model_len,
        max_blends=blends,
    )


def adapter_slots(personas: int) -> int:
    """Return how many adapter versions can be resident at once."""
    return personas + SPARE_ADAPTERS


def derive_gates(config: ServeConfig) -> Gates:
    """Return the gates of one responder replica.

    It has its own engine for the answers. The detectors are shared, so its gate for texts is its
    share of what they can hold once they are scaled up. It counts tokens, as a text costs them.
    """
    responder = config.responder
    served = responder.hardware.max_num_seqs
    detectors = config.detector.replicas.maximum
    sharers = max(responder.replicas.minimum, 1)
    texts = ceil(detectors * config.detector.batch_size / sharers)
    queued = ceil(detectors * config.detector.queue / sharers)
    return Gates(
        answers=GateLimits(served + responder.queue, served),
        texts=GateLimits(max(texts + queued, MAX_TEXTS) * FEWEST_TOKENS, texts * FEWEST_TOKENS),
    )


def responder_requests(gates: Gates) -> int:
    """Return Serve's limit of ongoing requests: above the gates, so that the gates reject first."""
    return gates.answers.admitted + gates.texts.admitted // FEWEST_TOKENS + HEADROOM


def detector_requests(config: ServeConfig) -> int:
    """Return Serve's limit of ongoing requests of a detector replica."""
    return BATCHES_QUEUED * config.detector.batch_size
