"""Responder on a scripted engine, with a fake detector and a fake adapter controller."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any

from serve.adapters.registry import ControllerStatus, Releases, ReplicaReport
from serve.capacity import derive_limits
from serve.config import (
    DetectorConfig,
    HardwareProfile,
    ResponderConfig,
    ServeConfig,
)
from serve.detector.protocol import Detection
from serve.engine.protocol import Sampling, TextChunk
from serve.engine.scripted import ScriptedEncoder, ScriptedEngine
from serve.errors import (
    EngineDead,
)
from serve.pipeline.answer import Answer, Collector
from serve.pipeline.quota import KeyLimits
from serve.pipeline.replica import Responder
from serve.responder.adapter_sync import AdapterSync
from serve.responder.runtime import Runtime
from serve.telemetry.tracing import Carrier
from support.adapter_fleet import INITIAL
from support.fakes import SCRIPTED_TOKENS, FakeHandle, FakeStages, context, message

CONFIG = ServeConfig(
    detector=DetectorConfig(kind="scripted"),
    responder=ResponderConfig(kind="scripted", hardware=HardwareProfile(max_num_seqs=1), queue=0),
)


class FaultyEngine(ScriptedEngine):
    """Engine that can hang or die."""

    operators = {"lora": "active"}  # noqa: RUF012

    def __init__(self, token_s: float = 0) -> None:
        super().__init__(tuple(INITIAL.aliases.values()), token_s)
        self.hangs = False
        self.dies_at_check = 0  # 0: never
        self.checks = 0
        self.stopped = False
        self.traces: list[Carrier | None] = []

    async def generate(
        self,
        request_id: str,
        prompt: list[int],
        adapter: str | None,
        sampling: Sampling,
        trace: Carrier | None = None,
    ) -> AsyncGenerator[TextChunk]:
        self.traces.append(trace)
        if self.hangs:
            await asyncio.Event().wait()
        async for chunk in super().generate(request_id, prompt, adapter, sampling, trace):
            yield chunk

    async def health(self) -> None:
        self.checks += 1
        if self.checks == self.dies_at_check:
            raise EngineDead("the engine has stopped")

    async def stop(self) -> None:
        self.stopped = True


class FakeController:
    """Adapter controller that records the changes it is asked for."""

    def __init__(self) -> None:
        self.changes: list[tuple[object, ...]] = []
        self.reports: list[ReplicaReport] = []
        self.desired: Releases = INITIAL

    async def status(self) -> ControllerStatus:
        return ControllerStatus(INITIAL)

    async def sync(self, report: ReplicaReport) -> Releases:
        self.reports.append(report)
        return self.desired

    async def publish(self, folder: str) -> ControllerStatus:
        self.changes.append(("publish", folder))
        return await self.status()

    async def promote(self, name: str, share: float = 1) -> ControllerStatus:
        self.changes.append(("promote", name) if share == 1 else ("promote", name, share))
        return await self.status()

    async def rollback(self, persona: str) -> ControllerStatus:
        self.changes.append(("rollback", persona))
        return await self.status()


@dataclass
class Parts:
    """A responder and what it was made of."""

    responder: Responder
    engine: FaultyEngine
    detector: FakeStages
    controller: FakeController
    adapters: AdapterSync

    async def answer(
        self, limits: KeyLimits | None = None, timeout_s: float = 60, texts: str = "Hm."
    ) -> Answer:
        """Answer one message of a key."""
        request = replace(context(timeout_s), limits=limits)
        asked = message(texts, request=request)
        asked = replace(asked, sampling=Sampling(max_tokens=SCRIPTED_TOKENS))
        return await self.responder.answer(asked, Collector())

    async def detect(
        self, count: int = 1, limits: KeyLimits | None = None, timeout_s: float = 60
    ) -> list[Detection]:
        """Classify texts of a key."""
        request = replace(context(timeout_s), limits=limits)
        return await self.responder.detect(["Hm."] * count, request)


def make_responder(
    config: ServeConfig = CONFIG, detector: FakeStages | None = None, token_s: float = 0
) -> Parts:
    """Build a responder on a scripted engine; by default it answers one message at once."""
    engine = FaultyEngine(token_s)
    limits = derive_limits(config.responder, [])
    runtime = Runtime(engine, ScriptedEncoder(), dict(INITIAL.aliases), limits)
    detector = detector or FakeStages()
    controller = FakeController()
    handles: list[Any] = [FakeHandle(detector), FakeHandle(controller)]
    adapters = AdapterSync(runtime, "one", controller.sync)
    responder = Responder(config, runtime, adapters, *handles)
    return Parts(responder, engine, detector, controller, adapters)
