"""The policy behind Ray Serve's interface for application policies."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from ray.serve._private.autoscaling_state import ApplicationAutoscalingState
from ray.serve.config import AutoscalingPolicy

from serve.capacity.policy import DETECTOR, RESPONDER
from serve.capacity.ray_policy import ApplicationPolicy, signals_of
from serve.capacity.signals import DetectorLoad, ResponderLoad
from serve.errors import ConfigError
from support.fakes import FakeClock

PATH = "serve.capacity.ray_policy:ApplicationPolicy"


@dataclass
class FakeContext:
    """State of one deployment, as Serve gives it."""

    deployment_name: str
    target_num_replicas: int = 1
    current_num_replicas: int = 1
    current_time: float | None = 100.0
    total_num_requests: float = 0
    aggregated_metrics: dict[str, dict[Any, float]] | None = field(default_factory=dict)


def loaded(running: float) -> dict[str, dict[Any, float]]:
    reports = {"a": ResponderLoad(running, 0, 10, 1, 0), "b": ResponderLoad(running, 0, 10, 1, 0)}
    names = reports["a"].report()
    return {name: {key: each.report()[name] for key, each in reports.items()} for name in names}


def contexts(running: float = 10) -> dict[Any, FakeContext]:
    responder = FakeContext(RESPONDER, 2, 2, aggregated_metrics=loaded(running))
    detector = FakeContext(DETECTOR, aggregated_metrics={"busy": {"d": 0.9}})
    return {"responder-id": responder, "detector-id": detector}


def test_decisions_go_by_the_ids_that_serve_passed() -> None:
    decisions, state = ApplicationPolicy(busy=0.5, detector_busy=0.5)(contexts())
    assert decisions == {"responder-id": 4, "detector-id": 2}
    assert state == {}


def test_signals_are_put_together_by_replica() -> None:
    responder, detector = contexts(7).values()
    signals = signals_of(responder, detector)
    assert signals.responders == (ResponderLoad(7, 0, 10, 1, 0),) * 2
    assert signals.detectors == (DetectorLoad(0.9, 0),)
    assert signals.held == 0


def test_requests_are_held_only_while_there_is_no_replica() -> None:
    responder = FakeContext(RESPONDER, 0, 0, total_num_requests=3, aggregated_metrics=None)
    assert signals_of(responder, None).held == 3


def test_a_failure_leaves_the_replicas_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is logged each minute for as long as it lasts, and not at each decision."""
    clock = FakeClock()
    monkeypatch.setattr("serve.capacity.ray_policy.time.monotonic", clock)
    logged: list[tuple[Any, ...]] = []
    monkeypatch.setattr("serve.capacity.ray_policy.log.error", lambda *line: logged.append(line))
    broken = contexts()
    broken["responder-id"].aggregated_metrics = {"running": {"a": "many"}}  # type: ignore[dict-item]
    policy = ApplicationPolicy()
    for _ in range(125):
        assert policy(broken)[0] == {"responder-id": 2, "detector-id": 1}
        clock.pass_ms(1000)
    assert [line[1] for line in logged] == ["ValueError"] * 3


def test_only_the_deployments_that_serve_scales_are_decided() -> None:
    both = contexts()
    del both["detector-id"]
    assert set(ApplicationPolicy()(both)[0]) == {"responder-id"}
    assert ApplicationPolicy()({"c": FakeContext("AdapterController")})[0] == {}


def test_ray_creates_the_class_once_with_its_arguments() -> None:
    """Ray's own code resolves the import path and accepts what the policy returns."""
    state = ApplicationAutoscalingState("app")
    policy: Any = AutoscalingPolicy(  # type: ignore[no-untyped-call]
        policy_function=PATH, policy_kwargs={"busy": 0.5}
    )
    policy.serialize_policy()
    state.register(policy)
    assert state.has_policy()
    assert state.get_decision_num_replicas({}) == {}


@pytest.mark.parametrize(
    "settings",
    [
        {"bussy": 1},
        {"start_s": "90"},
        {"busy": 0},
        {"detector_busy": 0},
        {"step_up": 0.5},
        {"hold_s": float("nan")},
        {"idle_s": None},
    ],
    ids=str,
)
def test_a_setting_that_cannot_work_is_refused_by_its_name(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        ApplicationPolicy(**settings)


def test_whole_numbers_are_numbers() -> None:
    assert ApplicationPolicy(slo_ttft_ms=1000, start_s=90)({})[0] == {}
