"""Checks that an adapter passes before a replica answers with it: its rank, and its effect."""

import logging
import math
from collections.abc import Mapping

from models.errors import ArtifactError
from models.manifest import Adapter
from models.personas import speaker_name
from models.prompt import Turn
from serve.capacity import EngineLimits
from serve.engine.protocol import Encoder, Engine
from serve.errors import EngineError

log = logging.getLogger(__name__)
CANARY = Turn("user", "Someone just knocked on my door.")
# Well above the differences that bf16 shows when the batch or the cache differs, and well below
# the effect of any trained adapter.
CANARY_SHIFT_NATS = 0.05


async def admit(engine: Engine, encoder: Encoder, adapter: Adapter, limits: EngineLimits) -> None:
    """Load an adapter into the engine, and unload it again if it does not change the output.

    An adapter whose tensors have the wrong name prefix is accepted by the engine, which then
    answers as the base model. The canary prompt detects that.

    Raises:
        ArtifactError: the engine was started without adapters, the rank is too high, or the
            canary's log-probabilities are unchanged or NaN.
    """
    name = adapter.manifest.versioned_name
    _check_limits(name, adapter.manifest.rank, limits)
    await engine.load(adapter)
    try:
        prompt = encoder.prompt(speaker_name(adapter.manifest.persona), [CANARY])
        await _check_canary(engine, prompt, name)
    except BaseException:
        await _unload(engine, name)
        raise


def _check_limits(name: str, rank: int, limits: EngineLimits) -> None:
    if not limits.max_loras:
        raise ArtifactError(
            f"{name} cannot be loaded: this server was started without adapters; set"
            " responder.adapters to a folder that has some, and restart it"
        )
    if rank > limits.max_lora_rank:
        raise ArtifactError(
            f"{name} has rank {rank}; the engine supports at most {limits.max_lora_rank}"
        )


async def _unload(engine: Engine, name: str) -> None:
    """Unload a version that failed. An error of that must not hide why it failed."""
    try:
        await engine.unload(name)
    except Exception as error:  # noqa: BLE001 (the first error is raised)
        log.error("cannot unload %s: %s", name, type(error).__name__)


async def _check_canary(engine: Engine, prompt: list[int], name: str) -> None:
    try:
        adapted = await engine.next_token_logprobs(prompt, name)
        unchanged = await engine.next_token_logprobs(prompt, None)
    except EngineError as error:
        raise ArtifactError(f"the canary prompt failed with adapter {name}: {error}") from error
    if any(math.isnan(logprob) for logprob in adapted.values()):
        raise ArtifactError(f"{name}: the canary prompt's log-probabilities are NaN")
    if largest_shift(adapted, unchanged) < CANARY_SHIFT_NATS:
        raise ArtifactError(
            f"{name} has no effect: the canary prompt's log-probabilities equal the base model's"
        )


def largest_shift(left: Mapping[int, float], right: Mapping[int, float]) -> float:
    """Return the largest difference over the tokens in both mappings, in nats.

    It is infinite if the mappings have no token in common.
    """
    common = left.keys() & right.keys()
    return max((abs(left[token] - right[token]) for token in common), default=math.inf)
