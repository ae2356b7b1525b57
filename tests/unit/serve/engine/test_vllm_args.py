"""Environment and arguments of vLLM for each device. vLLM itself is not imported."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from serve.capacity import EngineLimits
from serve.config import HardwareProfile, TracingConfig
from serve.engine.vllm_args import engine_arguments, set_environment

CPU = HardwareProfile(device="cpu", kv_cache_gib=2, max_num_seqs=7, max_model_len=512)
CUDA = HardwareProfile(device="cuda", gpu_memory_utilization=0.6, tensor_parallel_size=2)
SHAPE = {"max_num_seqs": 7, "max_model_len": 512}
NO_ADAPTERS = EngineLimits(max_loras=0, max_lora_rank=8, **SHAPE)
ADAPTERS = EngineLimits(max_loras=7, max_lora_rank=16, **SHAPE)
BASE = Path("weights")


def set_cores(monkeypatch: pytest.MonkeyPatch, ids: list[int], usable: int) -> None:
    monkeypatch.setattr("serve.engine.vllm_args.affinity", lambda: ids)
    monkeypatch.setattr("serve.engine.vllm_args.usable_cores", lambda: usable)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An empty environment, cores 3 to 5, and no vLLM to import."""
    environment: dict[str, str] = {}
    monkeypatch.setattr("serve.engine.vllm_args.os", SimpleNamespace(environ=environment))
    set_cores(monkeypatch, [3, 4, 5], 3)
    monkeypatch.setitem(sys.modules, "vllm", None)
    return environment


@pytest.mark.parametrize("hardware", [CPU, CUDA], ids=["cpu", "cuda"])
def test_arguments_carry_the_derived_limits(hardware: HardwareProfile) -> None:
    arguments = engine_arguments(BASE, hardware, ADAPTERS)
    expected = {
        "model": "weights",
        "dtype": "bfloat16",
        "max_model_len": 512,
        "max_num_seqs": 7,
        "tensor_parallel_size": hardware.tensor_parallel_size,
        "enable_lora": True,
        "max_loras": 7,
        "max_cpu_loras": 7,
        "max_lora_rank": 16,
    }
    assert {name: arguments[name] for name in expected} == expected


def test_no_lora_arguments_without_adapters() -> None:
    assert not [name for name in engine_arguments(BASE, CPU, NO_ADAPTERS) if "lora" in name]


def test_gpu_memory_is_set_on_a_gpu_only() -> None:
    assert engine_arguments(BASE, CUDA, ADAPTERS)["gpu_memory_utilization"] == 0.6
    assert "gpu_memory_utilization" not in engine_arguments(BASE, CPU, ADAPTERS)


def test_a_cpu_engine_gets_its_cache_size_and_every_usable_core(
    environment: dict[str, str],
) -> None:
    set_environment(CPU)
    assert environment == {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "GLOO_SOCKET_IFNAME": "lo",
        "VLLM_CPU_OMP_THREADS_BIND": "3,4,5",
    }


@pytest.mark.parametrize(
    ("ids", "usable", "workers", "expected"),
    [
        ([0, 1, 2, 3], 4, 2, {"VLLM_CPU_OMP_THREADS_BIND": "0,1|2,3"}),
        ([4, 6, 8], 3, 2, {"VLLM_CPU_OMP_THREADS_BIND": "4|6"}),
        (
            [*range(64)],
            2,
            1,
            {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "2"},
        ),
        ([7], 1, 2, {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}),
    ],
    ids=["shared", "one is left over", "quota", "more workers than cores"],
)
def test_workers_share_the_cores_and_are_unbound_under_a_quota(
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    ids: list[int],
    usable: int,
    workers: int,
    expected: dict[str, str],
) -> None:
    set_cores(monkeypatch, ids, usable)
    set_environment(HardwareProfile(tensor_parallel_size=workers))
    found = {name: value for name, value in environment.items() if "OMP" in name}
    assert found == expected


def test_a_gpu_engine_gets_no_cpu_variables(environment: dict[str, str]) -> None:
    set_environment(CUDA)
    assert environment == {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "GLOO_SOCKET_IFNAME": "lo",
    }


def test_traces_go_to_the_configured_endpoint_over_http(environment: dict[str, str]) -> None:
    tracing = TracingConfig(endpoint="http://127.0.0.1:4318/v1/traces")
    arguments = engine_arguments(BASE, CPU, ADAPTERS, tracing)
    assert arguments["otlp_traces_endpoint"] == tracing.endpoint
    assert "otlp_traces_endpoint" not in engine_arguments(BASE, CPU, ADAPTERS)
    set_environment(CUDA, tracing)
    assert environment["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] == "http/protobuf"


@pytest.mark.parametrize(("gib", "size"), [(0.5, 2**29), (1, 2**30), (1.5, 3 * 2**29)])
def test_the_cache_has_exactly_its_configured_size(gib: float, size: int) -> None:
    arguments = engine_arguments(BASE, HardwareProfile(kv_cache_gib=gib), ADAPTERS)
    assert arguments["kv_cache_memory_bytes"] == size
    assert "kv_cache_memory_bytes" not in engine_arguments(BASE, CUDA, ADAPTERS)


def test_variables_that_are_already_set_stay(environment: dict[str, str]) -> None:
    own = {
        "VLLM_NO_USAGE_STATS": "0",
        "VLLM_LOGGING_LEVEL": "DEBUG",
        "GLOO_SOCKET_IFNAME": "eth1",
        "VLLM_CPU_OMP_THREADS_BIND": "0",
    }
    environment.update(own)
    set_environment(CPU)
    assert environment == own
