"""Replica of the responder deployment: HTTP ingress, pipeline and engine in one process.

HTTP (serve.api) -> admission -> pipeline (classify by a call of the detector, generate here)

Everything that one streamed answer needs, apart from the classification, is in this process, so
no text travels between processes on its way to the socket.
"""

import asyncio
import logging
import math
import os
import time
import uuid
from collections.abc import Awaitable
from typing import Any

import httpx
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, RayServeException
from ray.serve.handle import DeploymentHandle

from serve.adapters.persona_cache import PersonaCache
from serve.adapters.registry import ControllerStatus
from serve.capacity import derive_gates
from serve.capacity.meters import ResponderMeter
from serve.cluster.ray_compat import metrics_url
from serve.config import ServeConfig
from serve.deadline import RunningRequests, deadline
from serve.detector.protocol import Detection, tokens_of
from serve.engine.protocol import EngineStats
from serve.errors import EngineDead, NotReady
from serve.pipeline.admission import Gate
from serve.pipeline.answer import Answer, AnswerWriter, Collector
from serve.pipeline.candidates import CandidateSlots, Picker, PickingGenerator
from serve.pipeline.detector_client import DetectorClient
from serve.pipeline.messages import Message, RequestContext
from serve.pipeline.quota import Quota
from serve.pipeline.request_metrics import RequestMetrics, ttft_ms
from serve.pipeline.respond import Rules, TextGenerator, respond
from serve.pipeline.trial_watch import TrialWatch
from serve.responder.adapter_sync import AdapterSync
from serve.responder.generator import Generator
from serve.responder.runtime import Runtime, start_runtime
from serve.telemetry.metrics import gauge
from serve.telemetry.tracing import Tracing

log = logging.getLogger(__name__)
PROBE_TIMEOUT_S = 5.0
PROBE_TTL_S = 10.0  # a detector that has answered is not asked again for that long
LARGEST_SHARE = 4  # a call of /v1/detect takes at most this part of the gate
ENGINE_CHECK_INTERVAL_S = 0.5
EXPORT_INTERVAL_S = 5.0  # Ray forgets a gauge that was not set for 20 s
EXIT_DELAY_S = 0.5  # for started streams to end with an error event


class Responder:
    """Answers requests with a started runtime. `ResponderReplica` is what Serve starts."""

    def __init__(
        self,
        config: ServeConfig,
        runtime: Runtime,
        sync: AdapterSync,
        detector: DeploymentHandle[Any],
        controller: DeploymentHandle[Any],
    ) -> None:
        """Connect the parts."""
        gates = derive_gates(config)
        self._runtime = runtime
        self._sync = sync
        self._rules = Rules(config.detector.harm != "off", config.responder.blends.auto_below)
        self._tracing = Tracing(config.tracing, "responder")
        self._answers = Gate(gates.answers)
        self._texts = Gate(gates.texts)
        self._texts_limit = gates.texts.admitted
        self._half = max(gates.answers.served // 2, 1)
        self._detector = DetectorClient(detector, self._texts, self._tracing)
        self._generator = Generator(config.responder, runtime, sync, self._tracing)
        self._picker = self._make_picker(config.responder.candidates)
        self._running = RunningRequests()
        self._metrics = RequestMetrics()
        self._meter = ResponderMeter()
        self._quota = Quota()
        guard = config.responder.guard
        self._watch = TrialWatch(
            sync.tallies,
            self._detector.classify,
            guard.classified,
            config.http.timeout_ms / 1000,
            self._is_busy,
        )
        self._controller = controller
        self._detector_seen_s = -math.inf
        self.personas = PersonaCache(controller.status.remote)

    async def answer(self, message: Message, writer: AnswerWriter) -> Answer:
        """Answer a message and tell `writer` after each step.

        Raises:
            RetryLater: too many requests, of this key or in all.
            DeadlineExceeded: the message's deadline has passed.
            NotReady: the server stops.
        """
        context = message.context
        answer = Answer(message)
        with (
            self._tracing.span("request", context.trace, "SERVER", context.began_s) as span,
            self._metrics.answer(answer, span),
            self._meter.answer(lambda: ttft_ms(answer)),
            self._answers.enter(),
            self._quota.enter(context.limits, message.sampling.max_tokens),
            self._watch.answer(answer),
        ):
            answer.trace = span.carrier
            async with self._running.enter(), deadline(context.deadline_s):
                generator = self._generator_of(answer)
                await respond(answer, writer, self._detector.classify, generator, self._rules)
        return answer

    def _is_busy(self) -> bool:
        """Return whether the engine has half of its answers, or the detector a client's texts."""
        return self._answers.admitted > self._half or self._texts.admitted > 0

    def _make_picker(self, candidates: int) -> Picker | None:
        if candidates == 1:
            return None
        slots = CandidateSlots(candidates, self._runtime.limits.max_num_seqs, self._answers)
        return Picker(slots, self._generator, self._detector.score)

    def _generator_of(self, answer: Answer) -> TextGenerator:
        return PickingGenerator(self._picker, answer) if self._picker else self._generator

    async def detect(self, texts: list[str], context: RequestContext) -> list[Detection]:
        """Return a detection of each text. Raises RetryLater, DeadlineExceeded or NotReady."""
        with (
            self._tracing.span("request", context.trace, "SERVER", context.began_s) as span,
            self._metrics.detection(context, span),
            self._texts.enter(self._weight(texts)),
            self._quota.enter(context.limits, 0),
        ):
            async with self._running.enter(), deadline(context.deadline_s):
                return await self._detector.classify_many(texts, span.carrier)

    def _weight(self, texts: list[str]) -> int:
        """Return the tokens of a call, at most a quarter of the gate.

        Not more of it than that is at the detectors at any time.
        """
        return min(sum(map(tokens_of, texts)), self._texts_limit // LARGEST_SHARE)

    async def probe(self) -> dict[str, str]:
        """Return the engine's optional operators once a detector has answered. Raises NotReady."""
        if time.monotonic() - self._detector_seen_s > PROBE_TTL_S:
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    await self._detector.ping()
            except BackPressureError:
                pass  # a full detector is there
            except (TimeoutError, RayActorError, RayServeException) as error:
                raise NotReady("no detector replica answers; retry later") from error
            self._detector_seen_s = time.monotonic()
        return self._runtime.engine.operators

    @property
    def adapters(self) -> dict[str, object]:
        """Origin of the adapters, and what answers for each persona without its version."""
        source = self._runtime.adapter_source.value
        return {"source": source, "fallbacks": dict(self._sync.fallbacks)}

    async def metrics(self) -> str:
        """Return the metrics of this node in Prometheus' format. Raises NotReady."""
        url = await asyncio.to_thread(metrics_url)
        try:
            async with httpx.AsyncClient(timeout=PROBE_TIMEOUT_S, trust_env=False) as client:
                return (await client.get(url)).raise_for_status().text
        except httpx.HTTPError as error:
            raise NotReady("Ray does not export its metrics now; retry later") from error

    async def adapter_status(self) -> ControllerStatus:
        """Return the adapter versions and the replicas that have them. Raises NotReady."""
        return await self._controlled(self._controller.status.remote())

    async def publish_adapter(self, folder: str) -> ControllerStatus:
        """Make an adapter resident on every replica. See `AdapterController.publish`."""
        return await self._controlled(self._controller.publish.remote(folder))

    async def promote_adapter(self, name: str, share: float = 1) -> ControllerStatus:
        """Use a version for all new requests, or on trial. See `AdapterController.promote`."""
        return await self._controlled(self._controller.promote.remote(name, share))

    async def roll_back_adapter(self, persona: str) -> ControllerStatus:
        """Use the previous version again. See `AdapterController.rollback`."""
        return await self._controlled(self._controller.rollback.remote(persona))

    async def _controlled(self, reply: Awaitable[ControllerStatus]) -> ControllerStatus:
        """Wait for the adapter controller. Raises NotReady if it ends before it replies."""
        try:
            return await reply
        except (RayActorError, RayServeException) as error:
            raise NotReady(
                "the adapter controller ended before it replied, and is replaced; a change that was"
                " not complete is undone: look at the list of versions, then retry"
            ) from error

    async def stats(self) -> EngineStats:
        """Return the engine's current load."""
        return self._runtime.engine.stats()

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """Return the load. Serve calls it for `serve.capacity.ray_policy`."""
        running = self._runtime.engine.stats().running
        slots = self._runtime.limits.max_num_seqs
        return self._meter.load(running, self._answers.admitted, slots).report()

    async def end_requests(self) -> None:
        """End the running requests with an error. The server stops after this."""
        self._running.end_all()

    async def check_health(self) -> None:
        """Raise if the engine cannot answer. Serve calls it and replaces the replica then."""
        await self._runtime.engine.health()

    async def close(self) -> None:
        """Stop the engine and send the remaining spans."""
        self._watch.close()
        await self._runtime.engine.stop()
        self._tracing.close()


class ResponderReplica(Responder):
    """Responder as Serve starts it: the constructor loads weights and promoted adapters."""

    _exits = False

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        config: ServeConfig,
        detector: DeploymentHandle[Any],
        controller: DeploymentHandle[Any],
    ) -> None:
        """Load everything. Raises ArtifactError if an artefact is not what it should be."""
        runtime = await start_runtime(config.responder, config.tracing)
        replica = serve.get_replica_context().replica_id.unique_id
        sync = AdapterSync(runtime, replica, controller.sync.remote)
        await sync.start()
        super().__init__(config, runtime, sync, detector, controller)
        self._tasks = [
            asyncio.create_task(sync.run()),
            asyncio.create_task(self._exit_when_engine_dies()),
            asyncio.create_task(export_operators(runtime)),
        ]

    async def answer(self, message: Message, writer: AnswerWriter) -> Answer:
        """Answer a message. If the engine is dead, the process exits.

        A stream has started by then, so it ends with an error event. A whole answer gets no
        response, so that HAProxy repeats its request.
        """
        try:
            return await super().answer(message, writer)
        except EngineDead:
            self._exit_soon()
            if isinstance(writer, Collector):
                await asyncio.Event().wait()
            raise

    async def _exit_when_engine_dies(self) -> None:
        """End the process with its engine. Serve sees that at once, failed checks only later."""
        while True:
            await asyncio.sleep(ENGINE_CHECK_INTERVAL_S)
            try:
                await self.check_health()
            except EngineDead:
                self._exit_soon()

    def _exit_soon(self) -> None:
        """End the process: a clean exit would wait for streams that cannot go on."""
        if not self._exits:
            self._exits = True
            log.error("the engine died; this replica exits to be replaced")
            asyncio.get_running_loop().call_later(EXIT_DELAY_S, os._exit, 1)

    async def __del__(self) -> None:
        """Stop the tasks and the engine. Serve awaits it before it ends a replica."""
        for task in getattr(self, "_tasks", ()):
            task.cancel()
        if hasattr(self, "_runtime"):
            await self.close()


async def export_operators(runtime: Runtime) -> None:
    """Export which of the engine's optional operators are active, until cancelled."""
    active = gauge("fye_engine_operator", "Whether an optional operator is active", ("operator",))
    while True:
        for name, state in runtime.engine.operators.items():
            active.set(float(state == "active"), tags={"operator": name})
        await asyncio.sleep(EXPORT_INTERVAL_S)


async def this_responder() -> Responder:
    """Return the responder of the replica that runs this code, for the HTTP routes."""
    responder: Any = serve.get_replica_context().servable_object
    return responder  # type: ignore[no-any-return]


def new_request_id(prefix: str) -> str:
    """Return a unique id of a request."""
    return f"{prefix}-{uuid.uuid4().hex}"
