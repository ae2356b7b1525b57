"""Limits that follow from the configuration: of the engine, of the gates, and of Serve."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.emotions import LABELS
from serve.capacity import (
    EngineLimits,
    GateLimits,
    adapter_slots,
    derive_gates,
    derive_limits,
    detector_requests,
    responder_requests,
)
from serve.config import (
    FEWEST_TOKENS,
    MAX_TEXTS,
    BlendConfig,
    DetectorConfig,
    HardwareProfile,
    Replicas,
    ResponderConfig,
    ServeConfig,
)

NO_BLENDS = ResponderConfig(blends=BlendConfig(resident=0))


def test_engine_without_adapters_has_no_slots() -> None:
    assert derive_limits(ResponderConfig(), []).max_loras == 0


@pytest.mark.parametrize("count", range(1, len(LABELS) + 1))
def test_engine_has_slots_for_two_spare_versions_and_an_empty_one(count: int) -> None:
    assert derive_limits(NO_BLENDS, [8] * count).max_loras == count + 3
    assert adapter_slots(count) == count + 2


def test_blends_have_slots_of_their_own_and_the_rank_of_all_their_personas() -> None:
    config = ResponderConfig(blends=BlendConfig(resident=5, personas=3))
    limits = derive_limits(config, [8])
    assert (limits.max_loras, limits.max_blends, limits.max_lora_rank) == (1 + 3 + 5, 5, 32)


@pytest.mark.parametrize(
    ("rank", "allowed"),
    [(1, 8), (8, 8), (9, 16), (16, 16), (65, 128), (257, 320), (321, 512), (512, 512)],
)
def test_rank_is_rounded_up_to_one_that_the_engine_knows(rank: int, allowed: int) -> None:
    assert derive_limits(NO_BLENDS, [1, rank]).max_lora_rank == allowed
    blended = derive_limits(ResponderConfig(), [1, rank]).max_lora_rank
    assert blended >= min(2 * rank, 512)


def test_engine_has_the_limits_of_its_hardware() -> None:
    config = ResponderConfig(hardware=HardwareProfile(max_num_seqs=7, max_model_len=300))
    assert derive_limits(config, []) == EngineLimits(0, 8, 7, 300, config.blends.resident)


def config_of(
    responders: Replicas = Replicas(),  # noqa: B008 (frozen)
    detectors: Replicas = Replicas(),  # noqa: B008 (frozen)
) -> ServeConfig:
    hardware = HardwareProfile(max_num_seqs=32)
    return ServeConfig(
        responder=ResponderConfig(hardware=hardware, queue=64, replicas=responders),
        detector=DetectorConfig(batch_size=32, queue=1024, replicas=detectors),
    )


def test_gate_of_answers_is_a_batch_and_its_queue() -> None:
    assert derive_gates(config_of()).answers == GateLimits(32 + 64, 32)


def test_gate_of_answers_does_not_depend_on_other_replicas() -> None:
    many = config_of(Replicas(minimum=3, maximum=9), Replicas(minimum=2, maximum=4))
    assert derive_gates(many).answers == derive_gates(config_of()).answers


@pytest.mark.parametrize(
    ("responders", "detectors", "texts"),
    [
        (1, 1, GateLimits(32 + 1024, 32)),
        (1, 3, GateLimits(3 * (32 + 1024), 3 * 32)),
        (2, 1, GateLimits(16 + 512, 16)),
        (3, 1, GateLimits(11 + 342, 11)),
        (50, 1, GateLimits(MAX_TEXTS, 1)),  # the largest call fits an empty gate
    ],
)
def test_responders_share_the_detectors_that_there_can_be(
    responders: int, detectors: int, texts: GateLimits
) -> None:
    config = config_of(
        Replicas(minimum=responders, maximum=responders + 4),
        Replicas(minimum=1, maximum=detectors),
    )
    limits = GateLimits(texts.admitted * FEWEST_TOKENS, texts.served * FEWEST_TOKENS)
    assert derive_gates(config).texts == limits


@given(
    max_num_seqs=st.integers(1, 512),
    queue=st.integers(0, 512),
    responders=st.integers(1, 64),
    detectors=st.integers(1, 64),
)
def test_serve_admits_more_than_the_gates_do(
    max_num_seqs: int, queue: int, responders: int, detectors: int
) -> None:
    replicas = Replicas(minimum=responders, maximum=responders)
    hardware = HardwareProfile(max_num_seqs=max_num_seqs)
    gates = derive_gates(
        ServeConfig(
            responder=ResponderConfig(hardware=hardware, queue=queue, replicas=replicas),
            detector=DetectorConfig(replicas=Replicas(maximum=detectors)),
        )
    )
    admitted = gates.answers.admitted + gates.texts.admitted // FEWEST_TOKENS
    assert responder_requests(gates) > admitted
    assert gates.answers.served <= gates.answers.admitted
    assert 0 < gates.texts.served <= gates.texts.admitted
    assert gates.texts.admitted >= MAX_TEXTS * FEWEST_TOKENS


def test_detector_accepts_a_few_batches() -> None:
    assert detector_requests(config_of()) == 4 * 32
