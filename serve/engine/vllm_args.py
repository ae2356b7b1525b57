"""What vLLM is started with, by its environment and its arguments, and how it is told to draw tokens. vLLM itself is not needed for it."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from serve.capacity import Limits
from serve.config import NO_TRACES, HardwareProfile, TracingConfig
from serve.engine.protocol import Sampling

CPU_BLOCK_TOKENS = 32  # vLLM's 128 are more than most conversations have, and the prefix cache finds whole blocks alone


def set_environment(hardware: HardwareProfile, tracing: TracingConfig = NO_TRACES) -> None:
    """What vLLM reads from the environment. An operator's own settings win."""
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    # An engine is on one machine. Gloo would listen on whatever address the machine's name stands for.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    if tracing.endpoint:
        os.environ.setdefault("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")  # by default vLLM speaks gRPC to the endpoint
    if hardware.device == "cpu":
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(max(round(hardware.kv_cache_gib), 1)))
        # By default vLLM keeps a core for itself, half of a two-core machine.
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", ",".join(map(str, sorted(os.sched_getaffinity(0)))))


def engine_arguments(base: Path, hardware: HardwareProfile, limits: Limits, tracing: TracingConfig = NO_TRACES) -> dict[str, Any]:
    """Arguments of `AsyncEngineArgs`. Gemma is unstable in fp16, so bf16 it is."""
    arguments: dict[str, Any] = {
        "model": str(base),
        "dtype": "bfloat16",
        "max_model_len": limits.max_model_len,
        "max_num_seqs": limits.max_num_seqs,
        "tensor_parallel_size": hardware.tensor_parallel_size,
        "enable_prefix_caching": True,
        "disable_log_stats": False,  # to Ray's metrics, see `start`
    }
    if tracing.endpoint:
        arguments["otlp_traces_endpoint"] = tracing.endpoint
    if hardware.device == "cpu":
        arguments["block_size"] = CPU_BLOCK_TOKENS
    if hardware.device == "cuda":
        arguments["gpu_memory_utilization"] = hardware.gpu_memory_utilization
    if limits.max_loras:
        arguments |= {"enable_lora": True, "max_loras": limits.max_loras, "max_lora_rank": limits.max_lora_rank}
        arguments["max_cpu_loras"] = limits.max_loras
    return arguments


def sampling_params(sampling: Sampling) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    named_alike = asdict(sampling) | {"stop": list(sampling.stop)}
    return SamplingParams(**named_alike, output_kind=RequestOutputKind.DELTA)
