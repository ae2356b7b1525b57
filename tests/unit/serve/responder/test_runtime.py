"""How a responder's parts come together, and the gate that every adapter passes."""

import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from models.emotions import LABELS, Emotion
from models.errors import ArtifactError, ManifestError
from models.prompt import PROMPT_VERSION, Turn
from models.weights.cache import Materialized
from serve.config import ResponderConfig
from serve.engine.protocol import Sampling, TextChunk
from serve.engine.scripted import ScriptedEngine
from serve.errors import EngineError
from serve.responder.runtime import CANARY_SHIFT_NATS, ScriptedEncoder, admit, find_adapters, largest_shift, open_backend
from support.fakes import adapter, write_adapter

JOY = adapter(Emotion.JOY)
NAME = "joy@0123456789ab"


class Shifting(ScriptedEngine):
    """An engine whose adapters move each of the likeliest tokens by `nats`."""

    def __init__(self, nats: float) -> None:
        super().__init__()
        self._nats = nats
        self.prompts: list[list[int]] = []

    async def next_token_logprobs(self, prompt: list[int], adapter: str | None) -> dict[int, float]:
        self.prompts.append(prompt)
        if adapter is not None:
            assert adapter in self.stats().adapters
        return {token: -token - (self._nats if adapter else 0) for token in range(1, 4)}


@pytest.mark.parametrize("nats", [0, CANARY_SHIFT_NATS / 2])
async def test_an_adapter_that_changes_nothing_is_refused_by_name_and_not_kept(nats: float) -> None:
    engine = Shifting(nats)
    with pytest.raises(ArtifactError, match=f"{NAME} changes nothing"):
        await admit(engine, ScriptedEncoder(), JOY, 8)
    assert engine.stats().adapters == ()


async def test_an_adapter_that_gives_no_numbers_is_refused() -> None:
    engine = Shifting(math.nan)
    with pytest.raises(ArtifactError, match=f"{NAME} gives no numbers"):
        await admit(engine, ScriptedEncoder(), JOY, 8)
    assert engine.stats().adapters == ()


@pytest.mark.parametrize(("error", "raised"), [(EngineError("the engine failed"), ArtifactError), (KeyError("any"), KeyError)], ids=str)
async def test_an_adapter_with_which_the_engine_fails_is_not_kept(error: Exception, raised: type[Exception]) -> None:
    class Failing(Shifting):
        async def next_token_logprobs(self, prompt: list[int], adapter: str | None) -> dict[int, float]:
            assert self.stats().adapters == (NAME,)
            raise error

    engine = Failing(1)
    with pytest.raises(raised, match=f"{NAME} was tried on the canary, and the engine failed" if raised is ArtifactError else "any"):
        await admit(engine, ScriptedEncoder(), JOY, 8)
    assert engine.stats().adapters == ()


async def test_a_rank_above_the_engines_is_refused_before_it_is_loaded() -> None:
    engine = Shifting(1)
    with pytest.raises(ArtifactError, match="joy@0123456789ab has rank 16; the engine was started for 8 at most"):
        await admit(engine, ScriptedEncoder(), adapter(Emotion.JOY, rank=16), 8)
    assert engine.prompts == []


async def test_an_adapter_that_moves_the_canary_stays() -> None:
    engine = Shifting(2 * CANARY_SHIFT_NATS)
    await admit(engine, ScriptedEncoder(), JOY, 8)
    assert engine.stats().adapters == (NAME,)


async def test_adapter_and_base_are_compared_on_one_prompt_of_the_personas_own() -> None:
    engine = Shifting(1)
    await admit(engine, ScriptedEncoder(), JOY, 8)
    with_adapter, without = engine.prompts
    assert with_adapter == without
    await admit(engine, ScriptedEncoder(), adapter(Emotion.FEAR), 8)
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
def test_the_shift_is_the_largest_over_the_tokens_in_common(left: dict[int, float], right: dict[int, float], shift: float) -> None:
    assert largest_shift(left, right) == largest_shift(right, left) == shift


async def test_the_scripted_backend_has_an_adapter_for_every_persona() -> None:
    opened = await open_backend(ResponderConfig(kind="scripted"))
    assert opened.aliases == {label: f"{label}@scripted" for label in LABELS}
    assert set(opened.engine.stats().adapters) == set(opened.aliases.values())


async def test_the_scripted_kind_takes_its_time_from_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("serve.engine.scripted.asyncio.sleep", sleep)
    opened = await open_backend(ResponderConfig(kind="scripted", scripted_token_s=0.25))
    deltas: list[TextChunk] = [delta async for delta in opened.engine.generate("r", [1], None, Sampling())]
    assert waits == [0.25] * len(deltas)


def base(root: Path, sha256: str = JOY.manifest.base_hash) -> Materialized:
    """Base weights of one matrix, as `write_adapter`'s adapters have."""
    (root / "base").mkdir()
    save_file({"model.layers.0.self_attn.q_proj.weight": np.ones((8, 8), np.float32)}, root / "base" / "model.safetensors")
    return Materialized("tiny", root / "base", sha256)


def test_adapters_are_found_by_their_manifests(tmp_path: Path) -> None:
    for persona in (Emotion.JOY, Emotion.FEAR):
        write_adapter(tmp_path / persona, persona)
    (tmp_path / "notes").mkdir()
    found = find_adapters(tmp_path, base(tmp_path))
    assert [(each.manifest.persona, each.folder.name) for each in found] == [(Emotion.FEAR, "fear"), (Emotion.JOY, "joy")]
    assert all(each.manifest.prompt_version == PROMPT_VERSION for each in found)


def test_two_adapters_of_one_persona_are_refused(tmp_path: Path) -> None:
    for folder in ("old", "new"):
        write_adapter(tmp_path / folder, Emotion.JOY)
    with pytest.raises(ArtifactError, match=f"{tmp_path.name} holds two adapters of one persona"):
        find_adapters(tmp_path, base(tmp_path))


def test_an_adapter_for_other_base_weights_is_refused_by_name(tmp_path: Path) -> None:
    write_adapter(tmp_path / "joy", Emotion.JOY)
    with pytest.raises(ManifestError, match="joy: base-model hash"):
        find_adapters(tmp_path, base(tmp_path, "f" * 64))


def test_the_scripted_encoder_tells_prompts_apart() -> None:
    encoder = ScriptedEncoder()
    one, two = encoder.prompt("Joy", [Turn("user", "good day")]), encoder.prompt("Fear", [Turn("user", "good day")])
    assert len(one) == 3
    assert one[:2] == two[:2]
    assert one[2] != two[2]
