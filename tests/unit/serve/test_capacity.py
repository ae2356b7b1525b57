"""The engine's limits follow from the hardware profile and the adapters."""

import pytest

from models.emotions import LABELS, Emotion
from serve.capacity import derive_limits
from serve.config import HardwareProfile, ResponderConfig
from support.fakes import adapter


def test_without_adapters_the_engine_has_no_place_for_any() -> None:
    assert derive_limits(ResponderConfig(), []).max_loras == 0


@pytest.mark.parametrize("count", range(1, len(LABELS) + 1))
def test_every_adapter_is_resident_with_room_for_two_versions_and_one_place_stays_empty(count: int) -> None:
    manifests = [adapter(persona).manifest for persona in LABELS[:count]]
    assert derive_limits(ResponderConfig(), manifests).max_loras == count + 3


@pytest.mark.parametrize(("rank", "allowed"), [(1, 8), (8, 8), (9, 16), (16, 16), (65, 128), (257, 320), (321, 512), (512, 512)])
def test_the_rank_is_the_next_that_the_engine_knows(rank: int, allowed: int) -> None:
    manifests = [adapter(Emotion.JOY, 1).manifest, adapter(Emotion.FEAR, rank).manifest]
    assert derive_limits(ResponderConfig(), manifests).max_lora_rank == allowed


def test_a_replica_takes_a_full_batch_and_its_queue() -> None:
    config = ResponderConfig(hardware=HardwareProfile(max_num_seqs=7, max_model_len=300), queue=5)
    limits = derive_limits(config, [])
    assert (limits.max_num_seqs, limits.max_model_len, limits.max_ongoing_requests) == (7, 300, 12)
