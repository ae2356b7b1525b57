"""Environment variables, engine arguments and sampling parameters for vLLM.

Nothing here needs vLLM except `sampling_params`.
"""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from models.machine.cores import affinity, usable_cores
from serve.capacity import EngineLimits
from serve.cluster.sockets import short_folder
from serve.config import NO_TRACES, HardwareProfile, TracingConfig
from serve.engine.protocol import Sampling
from serve.errors import ConfigError, InvalidRequest

# vLLM's default of 128 is longer than most conversations, and only whole blocks are cached.
CPU_BLOCK_TOKENS = 32
GIB = 2**30
ZEROMQ_SOCKET_BYTES = 1 + 36  # a slash and a UUID
BF16_CAPABILITY = 80  # compute capability 8.0: Ampere


def set_environment(hardware: HardwareProfile, tracing: TracingConfig = NO_TRACES) -> None:
    """Set the environment variables that vLLM reads. Variables that are set already stay.

    Raises:
        ConfigError: the folder of temporary files is too long for sockets, and so are the others.
    """
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    # An engine runs on one machine. Gloo would listen on the address of the machine's host name.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    path = short_folder(ZEROMQ_SOCKET_BYTES, "VLLM_RPC_BASE_PATH")
    os.environ["VLLM_RPC_BASE_PATH"] = str(path)
    if tracing.endpoint:
        # vLLM's default is gRPC.
        os.environ.setdefault("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
    if hardware.device == "cpu":
        for name, value in _thread_variables().items():
            os.environ.setdefault(name, value)


def check_bf16(platform: Any) -> None:
    """Raise ConfigError if vLLM's platform is a GPU without bf16, such as T4 or V100.

    It asks the driver, so CUDA is not initialised in this process.
    """
    if not platform.has_device_capability(BF16_CAPABILITY):
        raise ConfigError(
            f"{platform.get_device_name()} has no bf16, Gemma is unstable in fp16, and vLLM has no "
            "LoRA in float32: use a GPU of the Ampere generation or newer, or hardware.device: cpu"
        )


def _thread_variables() -> dict[str, str]:
    """Give the engine the usable cores.

    By default vLLM reserves one core, which is half of a two-core machine. With a CPU quota the
    threads are not bound: every container with a quota would choose the same first cores.
    """
    cores = affinity()
    usable = usable_cores()
    if usable < len(cores):
        return {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(usable)}
    return {"VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cores))}


def engine_arguments(
    base: Path, hardware: HardwareProfile, limits: EngineLimits, tracing: TracingConfig = NO_TRACES
) -> dict[str, Any]:
    """Return the arguments of `AsyncEngineArgs`."""
    arguments: dict[str, Any] = {
        "model": str(base),
        "dtype": _dtype(hardware.device),
        "max_model_len": limits.max_model_len,
        "max_num_seqs": limits.max_num_seqs,
        "tensor_parallel_size": hardware.tensor_parallel_size,
        "enable_prefix_caching": True,
        "disable_log_stats": False,  # the engine exports them as Ray metrics
    }
    if tracing.endpoint:
        arguments["otlp_traces_endpoint"] = tracing.endpoint
    if hardware.device == "cpu":
        arguments["block_size"] = CPU_BLOCK_TOKENS
        arguments["kv_cache_memory_bytes"] = int(hardware.kv_cache_gib * GIB)
    if hardware.device == "cuda":
        arguments["gpu_memory_utilization"] = hardware.gpu_memory_utilization
    if limits.max_loras:
        arguments["enable_lora"] = True
        arguments["max_loras"] = limits.max_loras
        arguments["max_cpu_loras"] = limits.max_loras
        arguments["max_lora_rank"] = limits.max_lora_rank
    return arguments


def _dtype(device: str) -> str:
    """Return bf16, or float32 on a CPU that computes faster in it; Gemma is unstable in fp16."""
    from models.machine.precision import fastest_dtype

    return "bfloat16" if device == "cuda" else str(fastest_dtype("cpu")).removeprefix("torch.")


def sampling_params(sampling: Sampling) -> Any:
    """Convert to vLLM's `SamplingParams`, for outputs that hold only new tokens.

    Several candidates come in one output, at the end. vLLM adds a candidate's number to the seed.

    Raises:
        InvalidRequest: vLLM rejects them; its message is left out, since it may have user text.
    """
    from vllm import SamplingParams
    from vllm.exceptions import VLLMError
    from vllm.sampling_params import RequestOutputKind

    fields = asdict(sampling) | {"stop": list(sampling.stop)}
    try:
        several = sampling.n > 1
        kind = RequestOutputKind.FINAL_ONLY if several else RequestOutputKind.DELTA
        return SamplingParams(**fields, output_kind=kind)
    except (ValueError, VLLMError) as error:
        raise InvalidRequest("the engine does not accept these sampling parameters") from error
