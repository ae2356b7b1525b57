"""Parts of a responder replica, put together for the scripted kind."""

import time

from models.emotions import LABELS
from serve.config import ResponderConfig, ScriptedConfig
from serve.engine.protocol import Sampling
from serve.responder.runtime import start_runtime


async def test_scripted_runtime_has_an_adapter_for_every_persona() -> None:
    runtime = await start_runtime(ResponderConfig(kind="scripted"))
    assert runtime.aliases == {label: f"{label}@scripted" for label in LABELS}
    assert set(runtime.engine.stats().adapters) == set(runtime.aliases.values())


async def test_scripted_engine_takes_its_schedule_from_the_configuration() -> None:
    config = ResponderConfig(kind="scripted", scripted=ScriptedConfig(token_s=0.02))
    engine = (await start_runtime(config)).engine
    started_at_s = time.monotonic()
    chunks = [chunk async for chunk in engine.generate("r", [1], None, Sampling(max_tokens=3))]
    assert sum(chunk.tokens for chunk in chunks) == 3
    assert 3 * 0.02 <= time.monotonic() - started_at_s < 30
