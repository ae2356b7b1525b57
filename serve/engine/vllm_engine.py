"""The real engine: vLLM's AsyncLLM, on a CPU or a GPU, with every persona's adapter resident.

It does not know of personas, prompts or HTTP: token ids in, text out.
"""

import itertools
import logging
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from models.errors import ArtifactError
from models.manifest import Adapter
from serve.capacity import Limits
from serve.config import NO_TRACES, HardwareProfile, TracingConfig
from serve.engine.detokenizer import detokenizer
from serve.engine.protocol import EngineStats, Sampling, TextChunk
from serve.engine.vllm_args import engine_arguments, sampling_params, set_environment
from serve.errors import EngineDead, EngineError
from serve.tracing import Carrier

if TYPE_CHECKING:
    from vllm.lora.request import LoRARequest
    from vllm.v1.engine.async_llm import AsyncLLM

log = logging.getLogger(__name__)
CANARY_LOGPROBS = 20  # the engine's default limit


class VllmEngine:
    """One vLLM engine and its resident adapters. `start` imports vLLM and loads the weights: tens of seconds on a CPU."""

    def __init__(
        self, base: Path, tokenizer: Tokenizer, hardware: HardwareProfile, limits: Limits, tracing: TracingConfig = NO_TRACES
    ) -> None:
        self._base, self._tokenizer, self._hardware, self._limits, self._tracing = base, tokenizer, hardware, limits, tracing
        self._llm: AsyncLLM | None = None
        self._adapters: dict[str, LoRARequest] = {}
        self._ids = itertools.count(1)  # vLLM does not check that adapter ids are unique; a counter makes them so
        self._running = 0

    async def start(self) -> None:
        set_environment(self._hardware, self._tracing)
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM
        from vllm.v1.metrics.ray_wrappers import RayPrometheusStatLogger

        arguments = engine_arguments(self._base, self._hardware, self._limits, self._tracing)
        self._llm = AsyncLLM.from_engine_args(
            AsyncEngineArgs(**arguments, skip_tokenizer_init=True), stat_loggers=[RayPrometheusStatLogger]
        )
        self._llm.output_processor.tokenizer = detokenizer(self._tokenizer)

    @property
    def _engine(self) -> "AsyncLLM":
        if self._llm is None:
            raise EngineError("the engine was not started")
        return self._llm

    async def generate(
        self, request_id: str, prompt: list[int], adapter: str | None, sampling: Sampling, trace: Carrier | None = None
    ) -> AsyncGenerator[TextChunk]:
        outputs = self._engine.generate(
            {"prompt_token_ids": prompt}, sampling_params(sampling), request_id, lora_request=self._lora(adapter), trace_headers=trace
        )
        self._running += 1
        try:
            with _own_errors():
                async for output in outputs:
                    part = output.outputs[0]
                    yield TextChunk(part.text, len(part.token_ids), _finish_reason(part.finish_reason))
        finally:
            self._running -= 1
            await outputs.aclose()  # aborts the request if it has not finished

    async def next_token_logprobs(self, prompt: list[int], adapter: str | None) -> dict[int, float]:
        from vllm import SamplingParams

        params = SamplingParams(max_tokens=1, temperature=0, logprobs=CANARY_LOGPROBS, detokenize=False)
        request_id = f"canary-{uuid.uuid4().hex}"
        outputs = self._engine.generate({"prompt_token_ids": prompt}, params, request_id, lora_request=self._lora(adapter))
        with _own_errors():
            positions = [output.outputs[0].logprobs async for output in outputs][-1]
        if not positions:
            raise EngineError("the engine gave no log-probabilities")
        return {token: entry.logprob for token, entry in positions[0].items()}

    def _lora(self, versioned_name: str | None) -> "LoRARequest | None":
        if versioned_name is None:
            return None
        if versioned_name not in self._adapters:
            raise EngineError(f"no adapter {versioned_name} is resident")
        return self._adapters[versioned_name]

    async def load(self, adapter: Adapter) -> None:
        from vllm.lora.request import LoRARequest
        from vllm.v1.engine.exceptions import EngineDeadError

        engine, name = self._engine, adapter.manifest.versioned_name
        if name in self._adapters:
            return
        request = LoRARequest(lora_name=name, lora_int_id=next(self._ids), lora_path=str(adapter.folder))
        try:
            accepted = await engine.add_lora(request)
        except EngineDeadError as error:
            raise EngineDead("the engine is dead") from error
        except Exception as error:  # a plain one: vLLM brings no more than the words from the process in which it computes
            await engine.remove_lora(request.lora_int_id)  # it may have taken a place before it failed
            raise ArtifactError(f"the engine refused {name}: {error}") from error
        if not accepted:
            raise ArtifactError(f"the engine refused {name}")
        self._adapters[name] = request

    async def unload(self, versioned_name: str) -> None:
        request = self._adapters.pop(versioned_name, None)
        if request is not None:
            await self._engine.remove_lora(request.lora_int_id)

    async def health(self) -> None:
        engine = self._engine
        with _own_errors():
            await engine.check_health()

    def stats(self) -> EngineStats:
        return EngineStats(running=self._running, adapters=tuple(self._adapters))

    async def stop(self) -> None:
        if self._llm is not None:
            self._llm.shutdown()
            self._llm = None


@contextmanager
def _own_errors() -> Iterator[None]:
    """Raises EngineDead or EngineError for what vLLM raises."""
    from vllm.exceptions import VLLMError
    from vllm.v1.engine.exceptions import EngineDeadError

    try:
        yield
    except EngineDeadError as error:
        raise EngineDead("the engine is dead") from error
    except (VLLMError, RuntimeError, ValueError) as error:
        raise EngineError(f"the engine failed: {type(error).__name__}") from error


def _finish_reason(reason: str | None) -> Any:
    if reason in {None, "stop", "length"}:
        return reason
    raise EngineError(f"the engine ended the answer: {reason}")
