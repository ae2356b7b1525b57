"""Generated requests."""

import itertools

import pytest

from load.harness.workload import (
    PROBE_SHARE,
    example_messages,
    probe_requests,
    realistic_requests,
)
from models.emotions import LABELS


def test_same_seed_gives_the_same_requests() -> None:
    first, second = (list(itertools.islice(realistic_requests(7), 400)) for _ in range(2))
    assert first == second


def test_realistic_requests_vary_and_contain_probes() -> None:
    requests = list(itertools.islice(realistic_requests(7), 4000))
    probes = [request for request in requests if request.probe is not None]
    assert len(probes) / len(requests) == pytest.approx(PROBE_SHARE, abs=0.02)
    assert {request.emotion for request in requests} == set(LABELS)
    assert len({len(request.text.split()) for request in requests}) > 30


def test_there_is_a_probe_for_each_emotion() -> None:
    probes = probe_requests()
    assert [(request.probe, request.emotion) for request in probes] == list(enumerate(LABELS))
    assert [request.text for request in probes] == [example_messages(one)[0] for one in LABELS]
    assert {request.temperature for request in probes} == {0}
