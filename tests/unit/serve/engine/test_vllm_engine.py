"""vLLM engine around a stand-in for AsyncLLM: chunks, errors, and the states of CPU operators."""

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import vllm.platforms
from tokenizers import Tokenizer, models
from vllm.engine import arg_utils
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine import async_llm
from vllm.v1.engine.exceptions import EngineDeadError
from vllm.v1.engine.parallel_sampling import ParentRequest

from models.errors import ArtifactError
from serve.capacity import EngineLimits
from serve.config import HardwareProfile
from serve.engine.protocol import Sampling, TextChunk, TokenLogprob
from serve.engine.vllm_args import sampling_params
from serve.engine.vllm_cpu.worker import WORKER_EXTENSION
from serve.engine.vllm_engine import VllmEngine
from serve.errors import ConfigError, EngineDead, EngineError, InvalidRequest
from support.adapters import adapter

LIMITS = EngineLimits(max_loras=0, max_lora_rank=8, max_num_seqs=7, max_model_len=512)
RANKS = (("joy", 4), ("fear", 4), ("sadness", 5))
STATES = {"lora": "active", "lm_head": "the processor has no int8 dot product"}
Output = tuple[str, list[int], str | None]


class FakeLLM:
    """The part of AsyncLLM that the engine uses."""

    def __init__(self, outputs: list[Output | Exception]) -> None:
        self.outputs = outputs
        self.output_processor = SimpleNamespace(tokenizer=None)
        self.called: list[str] = []
        self.lora_error: Exception | None = None
        self.removed: list[int] = []
        self.stopped = False

    async def generate(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        for output in self.outputs:
            if isinstance(output, Exception):
                raise output
            text, ids, reason = output
            entry = SimpleNamespace(decoded_token=text, logprob=-0.5, rank=1)
            logprobs = [{token: entry} for token in ids]
            new = SimpleNamespace(text=text, token_ids=ids, finish_reason=reason, logprobs=logprobs)
            yield SimpleNamespace(outputs=[new])

    async def collective_rpc(self, method: str) -> list[dict[str, str]]:
        self.called.append(method)
        return [STATES]

    async def add_lora(self, request: Any) -> bool:
        if self.lora_error:
            raise self.lora_error
        return True

    async def remove_lora(self, lora_id: int) -> bool:
        self.removed.append(lora_id)
        if self.lora_error:
            raise self.lora_error
        return True

    def shutdown(self) -> None:
        self.stopped = True


def make_engine(device: str = "cpu") -> VllmEngine:
    hardware = HardwareProfile.model_validate({"device": device})
    return VllmEngine(Path("weights"), Tokenizer(models.BPE()), hardware, LIMITS)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Starts an engine, and returns it with its fake and its arguments."""
    monkeypatch.setattr("serve.engine.vllm_engine.set_environment", lambda *_: None)

    async def start(
        device: str = "cpu", outputs: tuple[Output | Exception, ...] = ()
    ) -> tuple[VllmEngine, FakeLLM, dict[str, Any]]:
        fake = FakeLLM(list(outputs))
        llm = SimpleNamespace(from_engine_args=lambda arguments, **_: fake)
        arguments: dict[str, Any] = {}
        monkeypatch.setattr(async_llm, "AsyncLLM", llm)
        monkeypatch.setattr(arg_utils, "AsyncEngineArgs", lambda **given: arguments.update(given))
        engine = make_engine(device)
        await engine.start()
        return engine, fake, arguments

    return start


async def chunks(engine: VllmEngine) -> list[TextChunk]:
    return [chunk async for chunk in engine.generate("one", [1, 2], None, Sampling())]


async def test_a_cpu_engine_reports_the_operators_of_its_worker(
    started: Callable[..., Any],
) -> None:
    engine, fake, arguments = await started()
    assert engine.operators == STATES
    assert fake.called == ["cpu_operator_states"]
    assert arguments["worker_extension_cls"] == WORKER_EXTENSION
    assert arguments["skip_tokenizer_init"] is True


@pytest.fixture
def capability(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Compute capability of a GPU that vLLM finds; an L4 unless a test changes it."""
    found = {"capability": 89}
    gpu = SimpleNamespace(
        has_device_capability=lambda needed: found["capability"] >= needed,
        get_device_name=lambda: "a GPU",
    )
    monkeypatch.setattr(vllm.platforms, "current_platform", gpu)
    return found


async def test_a_gpu_without_bf16_is_refused(
    started: Callable[..., Any], capability: dict[str, int]
) -> None:
    capability["capability"] = 75
    with pytest.raises(ConfigError, match="a GPU has no bf16"):
        await started("cuda")


@pytest.mark.usefixtures("capability")
async def test_a_gpu_engine_has_no_cpu_operators(started: Callable[..., Any]) -> None:
    engine, fake, arguments = await started("cuda")
    assert engine.operators == {}
    assert fake.called == []
    assert "worker_extension_cls" not in arguments


async def test_yields_a_chunk_for_each_output(started: Callable[..., Any]) -> None:
    outputs = (("I hear", [1, 2], None), (" you.", [3], "stop"))
    engine, _, _ = await started(outputs=outputs)
    assert await chunks(engine) == [TextChunk("I hear", 2), TextChunk(" you.", 1, "stop")]
    assert engine.stats().running == 0


async def test_chunks_have_log_probabilities_if_asked_for(started: Callable[..., Any]) -> None:
    engine, _, _ = await started(outputs=((" you", [3], "stop"),))
    found = [chunk async for chunk in engine.generate("one", [1], None, Sampling(logprobs=1))]
    assert found[0].logprobs == (TokenLogprob(" you", -0.5, ((" you", -0.5),)),)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (ValueError("the prompt's own words"), EngineError),
        (RuntimeError("the prompt's own words"), EngineError),
        (EngineDeadError(), EngineDead),
    ],
)
async def test_errors_of_vllm_become_our_own_without_their_text(
    raised: Exception, expected: type[Exception], started: Callable[..., Any]
) -> None:
    engine, _, _ = await started(outputs=(("I", [1], None), raised))
    with pytest.raises(expected) as caught:
        await chunks(engine)
    assert "own words" not in str(caught.value)
    assert engine.stats().running == 0


async def test_sampling_that_vllm_rejects_is_the_clients_error(
    started: Callable[..., Any],
) -> None:
    engine, _, _ = await started()
    empty = Sampling(stop=("",))
    with pytest.raises(InvalidRequest, match="sampling"):
        await engine.generate("one", [1], None, empty).__anext__()


async def test_an_unexpected_finish_reason_is_an_error(started: Callable[..., Any]) -> None:
    engine, _, _ = await started(outputs=(("I", [1], "abort"),))
    with pytest.raises(EngineError, match="abort"):
        await chunks(engine)


async def test_an_adapter_that_is_not_resident_is_an_error(started: Callable[..., Any]) -> None:
    engine, _, _ = await started()
    with pytest.raises(EngineError, match="joy@1"):
        await engine.generate("one", [1], "joy@1", Sampling()).__anext__()


async def test_an_adapter_that_vllm_rejects_is_the_error_whatever_its_cleanup_does(
    started: Callable[..., Any],
) -> None:
    engine, fake, _ = await started()
    fake.lora_error = Exception("LoRA is not enabled")
    with pytest.raises(ArtifactError, match="LoRA is not enabled"):
        await engine.load(adapter())
    assert (fake.removed, engine.stats().adapters) == ([1], ())


@pytest.mark.parametrize(
    ("raised", "expected"), [(Exception("busy"), EngineError), (EngineDeadError(), EngineDead)]
)
async def test_errors_of_unloading_become_our_own(
    raised: Exception, expected: type[Exception], started: Callable[..., Any]
) -> None:
    engine, fake, _ = await started()
    await engine.load(adapter())
    fake.lora_error = raised
    with pytest.raises(expected):
        await engine.unload(adapter().manifest.versioned_name)
    assert engine.stats().adapters == ()


async def test_the_ranks_of_a_blend_add_up_to_at_most_the_engines(
    started: Callable[..., Any],
) -> None:
    engine, _, _ = await started()
    joy, fear, sadness = (adapter(who, rank) for who, rank in RANKS)
    names = [one.manifest.versioned_name for one in (joy, fear, sadness)]
    for one in (joy, fear, sadness):
        await engine.load(one)
    engine.check_blend([(names[0], 0.5), (names[1], 0.5)])
    with pytest.raises(InvalidRequest, match="rank 9 together; the engine supports at most 8"):
        engine.check_blend([(names[0], 0.5), (names[2], 0.5)])
    with pytest.raises(InvalidRequest, match="rank 9 together"):
        await engine.load_blend("blend@1", [(names[0], 0.5), (names[2], 0.5)])


async def test_stop_shuts_vllm_down(started: Callable[..., Any]) -> None:
    engine, fake, _ = await started()
    await engine.stop()
    assert fake.stopped
    with pytest.raises(EngineError, match="not started"):
        await engine.health()


async def test_an_engine_that_was_not_started_raises_and_can_be_stopped() -> None:
    engine = make_engine()
    with pytest.raises(EngineError, match="not started"):
        await engine.health()
    assert engine.stats().running == 0
    assert engine.operators == {}
    await engine.stop()


async def test_only_start_imports_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.engine.vllm_engine.set_environment", lambda *_: None)
    monkeypatch.setitem(sys.modules, "vllm.engine.arg_utils", None)
    engine = make_engine()
    with pytest.raises(ImportError, match="arg_utils"):
        await engine.start()


async def test_several_candidates_come_in_one_output(
    started: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, fake, _ = await started()
    asked: list[Any] = []

    async def generate(prompt: Any, params: Any, *_: Any, **__: Any) -> AsyncIterator[Any]:
        asked.append(params)
        texts = ((" One.", [1, 2], "stop"), (" Two", [3], "length"))
        names = ("text", "token_ids", "finish_reason")
        yield SimpleNamespace(
            outputs=[
                SimpleNamespace(**dict(zip(names, one, strict=True)), logprobs=None)
                for one in texts
            ]
        )

    monkeypatch.setattr(fake, "generate", generate)
    sampling = Sampling(n=2, seed=7)
    found = [chunk async for chunk in engine.generate("one", [1], None, sampling)]
    assert found == [TextChunk(" One.", 2, "stop"), TextChunk(" Two", 1, "length")]
    [params] = asked
    assert (params.n, params.output_kind) == (2, RequestOutputKind.FINAL_ONLY)


def test_vllm_gives_each_candidate_a_seed_of_its_own_that_a_repeat_has_too() -> None:
    def seeds() -> list[int]:
        params = sampling_params(Sampling(n=3, seed=7))
        request: Any = SimpleNamespace(request_id="r", external_req_id="r", params=params)
        parent = ParentRequest(request)
        return [parent.get_child_info(number)[1].seed for number in range(3)]

    assert len(set(seeds())) == 3
    assert seeds() == seeds()


def test_one_answer_comes_in_parts() -> None:
    assert sampling_params(Sampling()).output_kind == RequestOutputKind.DELTA
