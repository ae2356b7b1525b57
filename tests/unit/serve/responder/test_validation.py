"""Validation of adapters: their rank, and their effect on the canary prompt."""

import math
from dataclasses import replace

import pytest

from models.emotions import Emotion
from models.errors import ArtifactError
from serve.capacity import EngineLimits
from serve.engine.scripted import ScriptedEncoder, ScriptedEngine
from serve.errors import EngineError
from serve.responder.validation import CANARY_SHIFT_NATS, admit, largest_shift
from support.adapters import adapter

JOY = adapter(Emotion.JOY)
NAME = "joy@0123456789ab"
LIMITS = EngineLimits(max_loras=8, max_lora_rank=8, max_num_seqs=4, max_model_len=256)


class ShiftingEngine(ScriptedEngine):
    """Engine whose adapters shift the log-probability of each likely token by `nats`."""

    def __init__(self, nats: float) -> None:
        super().__init__()
        self._nats = nats
        self.prompts: list[list[int]] = []

    async def next_token_logprobs(self, prompt: list[int], adapter: str | None) -> dict[int, float]:
        self.prompts.append(prompt)
        if adapter is not None:
            assert adapter in self.stats().adapters
        return {token: -token - (self._nats if adapter else 0) for token in range(1, 4)}


class FailingEngine(ScriptedEngine):
    """Engine that cannot compute log-probabilities."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def next_token_logprobs(self, prompt: list[int], adapter: str | None) -> dict[int, float]:
        assert self.stats().adapters == (NAME,)
        raise self._error


async def test_keeps_adapter_that_shifts_the_canary() -> None:
    engine = ShiftingEngine(2 * CANARY_SHIFT_NATS)
    await admit(engine, ScriptedEncoder(), JOY, LIMITS)
    assert engine.stats().adapters == (NAME,)


@pytest.mark.parametrize("nats", [0, CANARY_SHIFT_NATS / 2])
async def test_rejects_and_unloads_adapter_without_effect(nats: float) -> None:
    engine = ShiftingEngine(nats)
    with pytest.raises(ArtifactError, match=f"{NAME} has no effect"):
        await admit(engine, ScriptedEncoder(), JOY, LIMITS)
    assert engine.stats().adapters == ()


async def test_rejects_and_unloads_adapter_with_nan_output() -> None:
    engine = ShiftingEngine(math.nan)
    with pytest.raises(ArtifactError, match=f"{NAME}: .* NaN"):
        await admit(engine, ScriptedEncoder(), JOY, LIMITS)
    assert engine.stats().adapters == ()


@pytest.mark.parametrize(
    ("error", "raised"),
    [(EngineError("out of memory"), ArtifactError), (KeyError("out of memory"), KeyError)],
    ids=["engine error", "any other error"],
)
async def test_unloads_adapter_if_the_canary_fails(
    error: Exception, raised: type[Exception]
) -> None:
    engine = FailingEngine(error)
    with pytest.raises(raised, match="out of memory"):
        await admit(engine, ScriptedEncoder(), JOY, LIMITS)
    assert engine.stats().adapters == ()


async def test_an_error_of_the_cleanup_does_not_hide_the_first_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Stuck(ShiftingEngine):
        async def unload(self, versioned_name: str) -> None:
            raise KeyError(versioned_name)

    with pytest.raises(ArtifactError, match="has no effect"):
        await admit(Stuck(0), ScriptedEncoder(), JOY, LIMITS)
    assert f"cannot unload {NAME}: KeyError" in caplog.text


async def test_an_engine_without_adapters_loads_none() -> None:
    engine = ShiftingEngine(1)
    limits = replace(LIMITS, max_loras=0)
    with pytest.raises(ArtifactError, match="this server was started without adapters"):
        await admit(engine, ScriptedEncoder(), JOY, limits)
    assert engine.stats().adapters == ()


async def test_rejects_rank_above_the_engines_before_loading() -> None:
    engine = ShiftingEngine(1)
    with pytest.raises(ArtifactError, match=f"{NAME} has rank 16"):
        await admit(engine, ScriptedEncoder(), adapter(Emotion.JOY, rank=16), LIMITS)
    assert engine.prompts == []


async def test_compares_adapter_and_base_on_one_prompt_per_persona() -> None:
    engine = ShiftingEngine(1)
    await admit(engine, ScriptedEncoder(), JOY, LIMITS)
    with_adapter, without = engine.prompts
    assert with_adapter == without
    await admit(engine, ScriptedEncoder(), adapter(Emotion.FEAR), LIMITS)
    assert engine.prompts[2] != with_adapter


@pytest.mark.parametrize(
    ("left", "right", "shift"),
    [
        ({1: -1.0, 2: -2.0}, {1: -1.0, 2: -2.0}, 0),
        ({1: -1.0, 2: -2.0}, {1: -1.5, 2: -1.0}, 1),
        ({1: -1.0, 2: -2.0}, {2: -2.25, 3: -9.0}, 0.25),
        ({1: -1.0}, {2: -1.0}, math.inf),
    ],
)
def test_shift_is_the_largest_over_common_tokens(
    left: dict[int, float], right: dict[int, float], shift: float
) -> None:
    assert largest_shift(left, right) == shift
    assert largest_shift(right, left) == shift
