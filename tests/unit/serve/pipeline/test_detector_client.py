"""Client of the detector: retries, the hedge, and Serve's rejections in our own errors."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from ray.exceptions import NodeDiedError, RayActorError, WorkerCrashedError
from ray.serve import metrics
from ray.serve._private.common import DeploymentID
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    ReplicaUnavailableError,
)

from models.prompt import Turn
from serve.capacity import GateLimits
from serve.config import NO_TRACES
from serve.detector.protocol import Detection, Input, Priority, length_of, tokens_of
from serve.errors import NotReady, Overloaded, ReplicaFailed
from serve.pipeline import detector_client
from serve.pipeline.admission import Gate
from serve.pipeline.detector_client import (
    MAX_REPLICA_DEATHS,
    PIECES_AT_ONCE,
    DetectorClient,
)
from serve.telemetry.tracing import Carrier, Tracing
from support.fakes import FakeClock, FakeHandle, FakeStages

TEXTS = ["a", "b"]
DEPLOYMENT = DeploymentID("Detector", "app")
DIED = RayActorError()
NODE_DIED = NodeDiedError("gone")  # type: ignore[no-untyped-call]
UNAVAILABLE = ReplicaUnavailableError("the replica rejected the call")
FULL = BackPressureError(9, 9)
Call = Callable[[], Awaitable[None]]


class Detectors(FakeStages):
    """Detector deployment whose first calls do what a script says."""

    def __init__(self, *script: Exception | Call) -> None:
        """Raise or await each item of `script`, then answer."""
        super().__init__()
        self.script = list(script)
        self.calls = 0
        self.cancelled = 0
        self.hedged = asyncio.Event()

    async def classify(
        self, inputs: Sequence[Input], trace: Carrier, priority: Priority = Priority.CHAT
    ) -> list[Detection]:
        self.calls += 1
        if self.calls == 2:
            self.hedged.set()
        if self.script:
            step = self.script.pop(0)
            if isinstance(step, Exception):
                raise step
            try:
                await step()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return await super().classify(inputs, trace, priority)


async def hang() -> None:
    await asyncio.Event().wait()


async def called_twice(detectors: Detectors) -> None:
    """Wait until there is a hedge."""
    async with asyncio.timeout(60):
        await detectors.hedged.wait()


def client_of(detectors: FakeStages, texts: Gate | None = None) -> DetectorClient:
    handle: Any = FakeHandle(detectors)
    return DetectorClient(handle, texts or Gate(GateLimits(9, 1)), Tracing(NO_TRACES, "responder"))


@pytest.fixture
def retries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stages of the retries that are counted."""
    found: list[str] = []

    def record(self: Any, value: float = 1.0, tags: dict[str, str] | None = None) -> None:
        assert self.info["name"] == "fye_retries"
        found.append((tags or {})["stage"])

    monkeypatch.setattr(metrics.Counter, "inc", record)
    monkeypatch.setattr(detector_client, "RETRY_DELAY_S", 0)
    return found


@pytest.fixture
def short_hedge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector_client, "HEDGE_AFTER_S", 0.01)


@pytest.mark.parametrize("error", [DIED, NODE_DIED, WorkerCrashedError(), UNAVAILABLE], ids=str)
async def test_repeats_a_call_whose_replica_died(retries: list[str], error: Exception) -> None:
    detectors = Detectors(error)
    assert len(await client_of(detectors).classify(TEXTS, {})) == 2
    assert retries == ["detector"]
    assert detectors.classified == [TEXTS]


async def test_first_success_is_not_a_retry(retries: list[str]) -> None:
    detectors = Detectors()
    assert len(await client_of(detectors).classify(TEXTS, {})) == 2
    assert (retries, detectors.calls) == ([], 1)


async def test_gives_up_when_the_request_may_crash_replicas(retries: list[str]) -> None:
    detectors = Detectors(*[DIED] * MAX_REPLICA_DEATHS)
    with pytest.raises(ReplicaFailed):
        await client_of(detectors).classify(TEXTS, {})
    assert detectors.calls == MAX_REPLICA_DEATHS
    assert len(retries) == MAX_REPLICA_DEATHS - 1


async def test_call_that_no_replica_took_is_repeated_without_limit(retries: list[str]) -> None:
    detectors = Detectors(*[UNAVAILABLE] * 5, DIED)
    await client_of(detectors).classify(TEXTS, {})
    assert len(retries) == 6


@pytest.mark.usefixtures("short_hedge")
async def test_hedges_a_call_that_hangs(retries: list[str]) -> None:
    detectors = Detectors(hang)
    async with asyncio.timeout(5):
        assert len(await client_of(detectors).classify(TEXTS, {})) == 2
    assert (retries, detectors.calls) == (["detector"], 2)
    await asyncio.sleep(0)
    assert detectors.cancelled == 1


@pytest.mark.usefixtures("short_hedge", "retries")
async def test_hedges_once_only() -> None:
    detectors = Detectors(hang, hang)
    task = asyncio.create_task(client_of(detectors).classify(TEXTS, {}))
    await called_twice(detectors)
    await asyncio.sleep(0.05)  # five times the time after which it hedges
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert detectors.calls == 2
    await asyncio.sleep(0)
    assert detectors.cancelled == 2


@pytest.mark.usefixtures("short_hedge", "retries")
@pytest.mark.parametrize("error", [FULL, DIED, UNAVAILABLE], ids=str)
async def test_hedge_that_fails_leaves_the_first_call_alone(error: Exception) -> None:
    """The first call goes on, although the second was refused or died at once."""
    proceed = asyncio.Event()

    async def wait() -> None:
        await proceed.wait()

    detectors = Detectors(wait, error)
    task = asyncio.create_task(client_of(detectors).classify(TEXTS, {}))
    await called_twice(detectors)
    await asyncio.sleep(0.05)
    assert not task.done()
    assert (detectors.calls, detectors.cancelled) == (2, 0)
    proceed.set()
    assert len(await task) == 2


@pytest.mark.usefixtures("short_hedge", "retries")
async def test_first_error_is_raised_when_both_calls_fail() -> None:
    async def fail_late() -> None:
        await called_twice(detectors)
        raise ZeroDivisionError

    detectors = Detectors(fail_late, FULL)
    async with asyncio.timeout(60):
        with pytest.raises(ZeroDivisionError):
            await client_of(detectors).classify(TEXTS, {})


async def test_cancelled_call_ends_that_of_the_detector() -> None:
    called = asyncio.Event()

    async def hang_visibly() -> None:
        called.set()
        await hang()

    detectors = Detectors(hang_visibly)
    task = asyncio.create_task(client_of(detectors).classify(TEXTS, {}))
    await called.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert detectors.cancelled == 1


async def test_full_detector_is_429_with_the_retry_after_of_the_gate(retries: list[str]) -> None:
    clock = FakeClock()
    gate = Gate(GateLimits(99, 1), clock)
    for _ in range(3):
        with gate.enter():
            clock.now_s += 0.5
    with pytest.raises(Overloaded) as rejected, gate.enter(5):  # four wait, two a second
        await client_of(Detectors(FULL), gate).classify(TEXTS, {})
    assert rejected.value.retry_after_s == 2
    assert retries == []


async def test_failed_deployment_is_503(retries: list[str]) -> None:
    with pytest.raises(NotReady):
        await client_of(Detectors(DeploymentUnavailableError(DEPLOYMENT))).classify(TEXTS, {})
    assert retries == []


async def test_other_errors_are_raised_as_they_are(retries: list[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        await client_of(Detectors(ZeroDivisionError())).classify(TEXTS, {})
    assert retries == []


async def test_ping_fails_if_the_detector_does() -> None:
    detectors = FakeStages()
    await client_of(detectors).ping()
    detectors.error = DIED
    with pytest.raises(RayActorError):
        await client_of(detectors).ping()


async def test_a_large_call_is_split_and_runs_a_few_pieces_at_a_time() -> None:
    running = most = 0

    class Counting(FakeStages):
        async def classify(
            self, inputs: Sequence[Input], trace: Carrier, priority: Priority = Priority.CHAT
        ) -> list[Detection]:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1
            await super().classify(inputs, trace, priority)
            return [Detection((float(length_of(given)),) * 6) for given in inputs]

    detectors = Counting()
    texts = ["a" * (number * 15) for number in range(256)]
    found = await client_of(detectors).classify_many(texts, {})
    assert [one.scores[0] for one in found] == [len(text) for text in texts]
    assert most == PIECES_AT_ONCE
    assert set(detectors.priorities) == {Priority.BULK}
    sizes = [sum(map(tokens_of, piece)) for piece in detectors.classified]
    assert max(sizes) <= 32 * 64
    assert len(sizes) > 8


@pytest.mark.parametrize(("texts", "priority"), [(4, Priority.SMALL), (5, Priority.BULK)])
async def test_a_small_call_goes_before_large_ones(texts: int, priority: Priority) -> None:
    detectors = FakeStages()
    client = client_of(detectors)
    await client.classify_many(["a"] * texts, {})
    await client.classify(["a"], {})
    assert detectors.priorities == [priority, Priority.CHAT]


async def test_the_pieces_of_a_cancelled_call_are_cancelled() -> None:
    detectors = Detectors(*[hang] * 8)
    call = asyncio.create_task(client_of(detectors).classify_many(["a"] * 256, {}))
    for _ in range(20):
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.sleep(0)
    assert (detectors.calls, detectors.cancelled) == (PIECES_AT_ONCE, PIECES_AT_ONCE)


class Scorers:
    """Detector deployment with a critic."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.calls = 0

    async def score(
        self, turns: tuple[Turn, ...], answers: Sequence[str], trace: Carrier
    ) -> list[float]:
        self.calls += 1
        if self.error:
            raise self.error
        return [float(len(turns) + len(answer)) for answer in answers]


async def test_critic_scores_each_answer() -> None:
    scorers: Any = Scorers()
    turns = (Turn("user", "Hm."),)
    assert await client_of(scorers).score(turns, ["a", "bcd"], {}) == [2.0, 4.0]


@pytest.mark.parametrize(
    ("error", "expected"),
    [(FULL, Overloaded), (DIED, RayActorError), (DeploymentUnavailableError(DEPLOYMENT), NotReady)],
    ids=str,
)
async def test_a_call_of_the_critic_is_not_repeated(
    retries: list[str], error: Exception, expected: type[Exception]
) -> None:
    scorers: Any = Scorers(error)
    with pytest.raises(expected):
        await client_of(scorers).score((Turn("user", "Hm."),), ["a"], {})
    assert (scorers.calls, retries) == (1, [])
