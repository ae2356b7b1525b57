"""Checks that an adapter passes before a replica answers with it: its rank, and its effect."""

import math
from collections.abc import Mapping

from models.errors import ArtifactError
from models.manifest import Adapter
from models.personas import speaker_name
from models.prompt import Turn
from serve.engine.protocol import Encoder, Engine
from serve.errors import EngineError

CANARY = Turn("user", "Someone just knocked on my door.")
# Well above the differences that bf16 shows when the batch or the cache differs, and well below
# the effect of any trained adapter.
CANARY_SHIFT_NATS = 0.05


async def admit(engine: Engine, encoder: Encoder, adapter: Adapter, max_rank: int) -> None:
    """Load an adapter into the engine, and unload it again if it does not change the output.

    An adapter whose tensors have the wrong name prefix is accepted by the engine, which then
    answers as the base model. The canary prompt detects that.

    Raises:
        ArtifactError: the rank is too high, or the canary's log-probabilities are unchanged or NaN.
    """
    name = adapter.manifest.versioned_name
    if adapter.manifest.rank > max_rank:
        raise ArtifactError(
            f"{name} has rank {adapter.manifest.rank}; the engine supports at most {max_rank}"
        )
    await engine.load(adapter)
    try:
        prompt = encoder.prompt(speaker_name(adapter.manifest.persona), [CANARY])
        await _check_canary(engine, prompt, name)
    except BaseException:
        await engine.unload(name)
        raise


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
