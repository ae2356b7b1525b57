"""Engine that runs vLLM's AsyncLLM on a CPU or a GPU, with every adapter resident."""

import asyncio
import itertools
import shutil
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from models.errors import ArtifactError
from models.manifest import Adapter, adapter_hash
from serve.capacity import EngineLimits
from serve.config import NO_TRACES, HardwareProfile, TracingConfig
from serve.engine.detokenizer import detokenizer
from serve.engine.protocol import BlendParts, EngineStats, Sampling, TextChunk
from serve.engine.vllm_args import (
    check_bf16,
    engine_arguments,
    sampling_params,
    set_environment,
)
from serve.engine.vllm_cpu.worker import WORKER_EXTENSION
from serve.engine.vllm_errors import finish_reason, translated_errors
from serve.engine.vllm_logprobs import token_logprobs
from serve.errors import EngineDead, EngineError, InvalidRequest
from serve.telemetry.tracing import Carrier

if TYPE_CHECKING:
    from vllm.lora.request import LoRARequest
    from vllm.v1.engine.async_llm import AsyncLLM

CANARY_LOGPROBS = 20  # vLLM's default maximum


class VllmEngine:
    """One vLLM engine and its resident adapters."""

    def __init__(
        self,
        base: Path,
        tokenizer: Tokenizer,
        hardware: HardwareProfile,
        limits: EngineLimits,
        tracing: TracingConfig = NO_TRACES,
    ) -> None:
        """Store the settings; `start` loads the weights in `base`."""
        self._base = base
        self._tokenizer = tokenizer
        self._hardware = hardware
        self._limits = limits
        self._tracing = tracing
        self._llm: AsyncLLM | None = None
        self._adapters: dict[str, LoRARequest] = {}
        self._ranks: dict[str, int] = {}
        self._blends: dict[str, LoRARequest] = {}
        self._scratch: TemporaryDirectory[str] | None = None
        self._ids = itertools.count(1)  # vLLM does not check that adapter ids are unique
        self._running = 0
        self._operators: dict[str, str] = {}

    async def start(self) -> None:
        """Import vLLM and load the weights, which takes tens of seconds on a CPU."""
        set_environment(self._hardware, self._tracing)
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM
        from vllm.v1.metrics.ray_wrappers import RayPrometheusStatLogger

        arguments = engine_arguments(self._base, self._hardware, self._limits, self._tracing)
        if self._hardware.device == "cuda":
            from vllm.platforms import current_platform

            check_bf16(current_platform)
        arguments["skip_tokenizer_init"] = True
        if self._hardware.device == "cpu":
            arguments["worker_extension_cls"] = WORKER_EXTENSION
        self._llm = AsyncLLM.from_engine_args(
            AsyncEngineArgs(**arguments), stat_loggers=[RayPrometheusStatLogger]
        )
        self._llm.output_processor.tokenizer = detokenizer(self._tokenizer)
        if self._hardware.device == "cpu":
            # All workers run on one machine with one environment, so the first speaks for all.
            self._operators = (await self._llm.collective_rpc("cpu_operator_states"))[0]

    @property
    def operators(self) -> dict[str, str]:
        """State of each CPU operator in vLLM's worker: "active", or why vLLM's own is used.

        Empty on a GPU and before `start`.
        """
        return dict(self._operators)

    @property
    def _engine(self) -> "AsyncLLM":
        if self._llm is None:
            raise EngineError("the engine was not started; call start() first")
        return self._llm

    async def generate(
        self,
        request_id: str,
        prompt: list[int],
        adapter: str | None,
        sampling: Sampling,
        trace: Carrier | None = None,
    ) -> AsyncGenerator[TextChunk]:
        """Yield the chunks of an answer. Closing the generator aborts the request in vLLM.

        Raises EngineError, EngineDead if the engine cannot answer again, or InvalidRequest if vLLM
        rejects the sampling parameters.
        """
        outputs = self._engine.generate(
            {"prompt_token_ids": prompt},
            sampling_params(sampling),
            request_id,
            lora_request=self._lora(adapter),
            trace_headers=trace,
        )
        self._running += 1
        try:
            with translated_errors():
                async for output in outputs:
                    for new in output.outputs:
                        reason = finish_reason(new.finish_reason)
                        logprobs = token_logprobs(new.token_ids, new.logprobs, sampling.logprobs)
                        yield TextChunk(new.text, len(new.token_ids), reason, logprobs)
        finally:
            self._running -= 1
            await outputs.aclose()  # aborts the request if it has not finished

    async def next_token_logprobs(self, prompt: list[int], adapter: str | None) -> dict[int, float]:
        """Return the log-probabilities of the most likely next tokens. Raises EngineError."""
        from vllm import SamplingParams

        params = SamplingParams(
            max_tokens=1, temperature=0, logprobs=CANARY_LOGPROBS, detokenize=False
        )
        outputs = self._engine.generate(
            {"prompt_token_ids": prompt},
            params,
            f"canary-{uuid.uuid4().hex}",
            lora_request=self._lora(adapter),
        )
        with translated_errors():
            positions = [output.outputs[0].logprobs async for output in outputs][-1]
        if not positions:
            raise EngineError("the engine returned no log-probabilities")
        return {token: entry.logprob for token, entry in positions[0].items()}

    def _lora(self, versioned_name: str | None) -> "LoRARequest | None":
        if versioned_name is None:
            return None
        return _resident(versioned_name, self._adapters | self._blends)

    async def load(self, adapter: Adapter) -> None:
        """Make an adapter resident. Raises ArtifactError if vLLM rejects it, or EngineDead."""
        name = adapter.manifest.versioned_name
        if name not in self._adapters:
            self._adapters[name] = await self._add(name, adapter.folder)
            self._ranks[name] = adapter.manifest.rank

    def check_blend(self, parts: BlendParts) -> None:
        """Raise InvalidRequest if the ranks of the parts are too high together."""
        most = self._limits.max_lora_rank
        rank = sum(self._ranks.get(part, 0) for part, _ in parts)
        if rank > most:
            raise InvalidRequest(
                f"these adapters have rank {rank} together; the engine supports at most {most}: "
                "blend fewer personas"
            )

    async def load_blend(self, name: str, parts: BlendParts) -> None:
        """Make a weighted sum of resident adapters resident; see `Engine.load_blend`."""
        self.check_blend(parts)
        adapters = [
            (part, Path(_resident(part, self._adapters).lora_path), weight)
            for part, weight in parts
        ]
        self._scratch = self._scratch or TemporaryDirectory(prefix="fye-blends-")
        # vLLM's prefix cache knows an adapter by name and path: the same for the same content.
        folder = Path(self._scratch.name) / name
        try:
            await asyncio.to_thread(_write_blend, adapters, folder)
            self._blends[name] = await self._add(name, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _add(self, name: str, folder: Path) -> "LoRARequest":
        """Let vLLM load a PEFT folder."""
        from vllm.lora.request import LoRARequest
        from vllm.v1.engine.exceptions import EngineDeadError

        engine = self._engine
        request = LoRARequest(lora_name=name, lora_int_id=next(self._ids), lora_path=str(folder))
        try:
            accepted = await engine.add_lora(request)
        except EngineDeadError as error:
            raise EngineDead("the engine is dead") from error
        except Exception as error:  # vLLM passes only the message from its worker process
            with suppress(Exception):  # it must not hide the first error
                await engine.remove_lora(request.lora_int_id)  # it may have taken a slot
            raise ArtifactError(f"the engine rejected {name}: {error}") from error
        if not accepted:
            raise ArtifactError(f"the engine rejected {name}")
        return request

    async def unload(self, versioned_name: str) -> None:
        """Free the slot of an adapter or blend. Does nothing if it is not resident.

        Raises EngineDead, or EngineError if vLLM cannot.
        """
        from vllm.v1.engine.exceptions import EngineDeadError

        self._ranks.pop(versioned_name, None)
        request = self._adapters.pop(versioned_name, None) or self._blends.pop(versioned_name, None)
        if request is None:
            return
        try:
            await self._engine.remove_lora(request.lora_int_id)
        except EngineDeadError as error:
            raise EngineDead("the engine is dead") from error
        except Exception as error:  # as in `_add`
            raise EngineError(f"the engine cannot unload {versioned_name}: {error}") from error

    async def health(self) -> None:
        """Raise EngineDead or EngineError if vLLM cannot answer."""
        engine = self._engine
        with translated_errors():
            await engine.check_health()

    def stats(self) -> EngineStats:
        """Return the number of running requests, the resident adapters and blends."""
        return EngineStats(self._running, tuple(self._adapters), tuple(self._blends))

    async def stop(self) -> None:
        """Stop vLLM and its processes."""
        if self._llm is not None:
            self._llm.shutdown()
            self._llm = None
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None


def _resident(name: str, requests: "Mapping[str, LoRARequest]") -> "LoRARequest":
    if name not in requests:
        raise EngineError(f"no adapter {name} is resident; load it first")
    return requests[name]


def _write_blend(parts: Sequence[tuple[str, Path, float]], folder: Path) -> None:
    """Write the sum of adapters whose folders still hold the versions that were loaded."""
    from models.store.blend import write_blend

    for version, source, _ in parts:
        if not version.endswith(adapter_hash(source)[:12]):
            raise ArtifactError(f"{source} was changed after {version} was loaded from it")
    write_blend([(source, weight) for _, source, weight in parts], folder)
