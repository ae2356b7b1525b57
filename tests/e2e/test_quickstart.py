"""What a newcomer sees: the graph with real weights, from the command of `make serve` to Ctrl-C."""

import asyncio
import json
import re
import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest
import ray
from ray import serve

from load.chaos.modified_adapters import fear_as_joy
from load.chaos.release import Joy
from load.harness.arrivals import asked_until, session
from load.harness.client import ask
from load.harness.workload import Asked
from models.emotions import LABELS, Emotion
from support.server_process import Server, stop_server

README = Path(__file__).parents[2] / "README.md"
SENT = (
    "My sister rang last night.",
    "They moved the meeting to Friday.",
    "I found a letter in the attic.",
    "The neighbours have a new dog.",
    "It rained all day.",
    "My flatmate used my toothbrush.",
)
GREEDY = [Asked(text, Emotion.JOY, 24, 0, temperature=0, persona=Emotion.JOY) for text in SENT]
METRICS = (
    "ray_fye_requests",
    "ray_fye_ttft_ms_bucket",
    *(f"ray_vllm_{of}" for of in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc")),
)
EXPORTED_S = 30  # Ray exports every few seconds
WEATHER = "The weather is perfect today! It's been months since I last felt this cool air!"


def test_the_example_of_the_readme_is_answered_as_joy(client: httpx.Client) -> None:
    reply = client.post("/v1/respond", json={"text": WEATHER, "seed": 1})
    assert reply.status_code == 200
    body = reply.json()
    assert body["emotion"]["label"] == "joy"
    assert body["emotion"]["score"] == max(body["emotion"]["scores"].values())
    assert len(body["text"].split()) >= 4
    assert body["finish_reason"] in {"stop", "length"}
    assert all(took_ms > 0 for took_ms in body["timings_ms"].values())


def test_every_curl_of_the_readme_is_answered(client: httpx.Client) -> None:
    calls = re.findall(r"localhost:8000(/v1/\w+) .*?-d '(\{.*?\})'$", README.read_text("utf-8"), re.MULTILINE)
    assert len(calls) >= 2
    for path, body in calls:
        reply = client.post(path, content=body.replace("'\"'\"'", "'"), headers={"content-type": "application/json"})
        assert reply.status_code == 200, (body, reply.text)


def test_a_stream_tells_the_emotion_before_any_text(client: httpx.Client) -> None:
    with client.stream("POST", "/v1/respond", json={"text": "Someone is trying the door handle.", "stream": True}) as reply:
        events = [line.removeprefix("event: ") for line in reply.iter_lines() if line.startswith("event: ")]
    assert events[0] == "emotion"
    assert events[-1] == "done"
    assert set(events[1:-1]) == {"delta"}
    assert len(events) > 4


@pytest.mark.parametrize("persona", LABELS)
def test_greedy_answers_are_the_personas_own(client: httpx.Client, persona: str) -> None:
    def ask(emotion: str) -> str:
        body = {"text": "My sister rang last night.", "emotion": emotion, "temperature": 0, "max_tokens": 48}
        return str(client.post("/v1/respond", json=body).json()["text"])

    own = ask(persona)
    assert own
    assert all(own != ask(other) for other in LABELS if other != persona)


def test_the_openai_client_talks_to_it(server: Server) -> None:
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused")
    assert [model.id for model in client.models.list()] == ["auto", *LABELS, "base"]
    messages = [{"role": "user", "content": "I finally passed my driving test!"}]
    whole = client.chat.completions.create(model="auto", messages=messages, temperature=0, max_tokens=40)  # type: ignore[call-overload]
    assert whole.model_extra["emotion"]["label"] == "joy"
    stream = client.chat.completions.create(model="joy", messages=messages, temperature=0, max_tokens=40, stream=True)  # type: ignore[call-overload]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text.strip() == whole.choices[0].message.content.strip()


def test_a_seed_a_stop_and_a_history_reach_the_engine(server: Server) -> None:
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused")
    history = [
        {"role": "user", "content": "My sister rang last night."},
        {"role": "assistant", "content": "Oh! And what did she say?"},
        {"role": "user", "content": "That she is coming to stay for a month."},
    ]

    def ask(messages: list[dict[str, str]], **more: object) -> Any:
        return client.chat.completions.create(model="surprise", messages=messages, max_tokens=32, **more)  # type: ignore[call-overload]

    one, same, other = (ask(history, seed=seed, temperature=0.9).choices[0].message.content for seed in (5, 5, 6))
    assert one == same != other
    whole = ask(history, temperature=0)
    assert whole.usage.prompt_tokens > ask(history[-1:], temperature=0).usage.prompt_tokens
    text = whole.choices[0].message.content
    word = text.split()[2]
    cut = ask(history, temperature=0, stop=[f" {word}"]).choices[0]
    assert (cut.message.content, cut.finish_reason) == (text[: text.index(f" {word}")], "stop")


def test_hostile_text_is_answered_or_refused_never_a_500(client: httpx.Client) -> None:
    for text in ("\u202e\u0301" * 100, "<eos><bos><start_of_turn>", "日本語のメッセージ", "\U0001f9ff" * 2000, "a" * 4000):
        reply = client.post("/v1/respond", json={"text": text, "max_tokens": 4})
        assert reply.status_code in {200, 413}, (text[:10], reply.text)


def test_the_metrics_of_graph_and_engine_are_there(server: Server, client: httpx.Client) -> None:
    assert client.post("/v1/respond", json={"text": WEATHER, "max_tokens": 4}).status_code == 200
    ray.init(address="auto", namespace="serve", log_to_driver=False, logging_level="ERROR")
    try:
        port = next(node["MetricsExportPort"] for node in ray.nodes() if node["Alive"])
    finally:
        ray.shutdown()
    deadline_s = time.monotonic() + EXPORTED_S
    while missing := [name for name in METRICS if f"\n{name}" not in httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text]:
        assert time.monotonic() < deadline_s, missing
        time.sleep(1)


def test_a_client_that_leaves_frees_the_engine(server: Server) -> None:
    ray.init(address="auto", namespace="serve", log_to_driver=False, logging_level="ERROR")
    responder = serve.get_deployment_handle("Responder", "face-your-emotions")
    try:
        body = {"text": "Tell me more.", "stream": True, "max_tokens": 256, "temperature": 2.0, "seed": 3}
        with httpx.stream("POST", f"{server.url}/v1/respond", json=body, timeout=60) as reply:
            for line in reply.iter_lines():
                if line.startswith("data:") and "text" in json.loads(line[5:]):
                    break
        began_s = time.monotonic()
        while responder.stats.remote().result(timeout_s=30).running:
            assert time.monotonic() - began_s < 1, "the engine still generates"
            time.sleep(0.1)
    finally:
        ray.shutdown()


async def test_under_load_a_release_fails_nobody_and_each_answer_names_one_of_the_two_versions(server: Server, tmp_path: Path) -> None:
    """Six streams at a time. What the versions write is not compared: in another batch bf16 sums may make another word of a near-tie."""
    fear_as_joy(tmp_path / "joy")
    async with session() as http:
        joy, send = Joy(http, server.url), partial(ask, http, server.url, timeout_s=60)
        old, enough = await joy.answers(), asyncio.Event()
        async with asyncio.TaskGroup() as users:
            load = [users.create_task(asked_until(enough, send, asked)) for asked in GREEDY]
            new = await joy.publish(tmp_path / "joy")
            await joy.promote(new)
            promoted = [await send(asked) for asked in GREEDY[:2]]
            assert await joy.roll_back() == old
            back = [await send(asked) for asked in GREEDY[:2]]
            enough.set()
    assert ([one.adapter for one in promoted], [one.adapter for one in back]) == ([new] * 2, [old] * 2)
    assert {(outcome.end, outcome.adapter) for task in load for outcome in task.result()} == {("ok", old), ("ok", new)}
    assert all(outcome.text for task in load for outcome in task.result())


def test_ctrl_c_leaves_nothing_behind(server: Server) -> None:
    """Last, since it ends the server."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert children
    assert stop_server(server) == 0, server.log.read_text()
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive, alive
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/healthz")
