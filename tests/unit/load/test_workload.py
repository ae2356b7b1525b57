"""Generated requests."""

import itertools

from load.harness.workload import PROBE_SHARE, probe_requests, realistic_requests
from models.emotions import LABELS


def test_same_seed_gives_the_same_requests() -> None:
    first, second = (list(itertools.islice(realistic_requests(7), 400)) for _ in range(2))
    assert first == second


def test_realistic_requests_vary_and_contain_probes() -> None:
    requests = list(itertools.islice(realistic_requests(7), 400))
    probes = [request for request in requests if request.probe is not None]
    assert abs(len(probes) / len(requests) - PROBE_SHARE) < 0.08
    assert {request.emotion for request in requests} == set(LABELS)
    assert len({len(request.text.split()) for request in requests}) > 30


def test_there_is_a_probe_for_each_emotion() -> None:
    assert [request.probe for request in probe_requests()] == list(range(len(LABELS)))
