"""Quickstart of the README: the graph with real weights, from `make serve` to Ctrl-C."""

import asyncio
import json
import logging
import math
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import openai
import psutil
import pytest
import ray
from ray import serve

from load.chaos.modified_adapters import write_fear_as_joy
from load.chaos.release import AdapterReleases
from load.harness.arrivals import client_session, repeat_until
from load.harness.client import send_request
from load.harness.workload import Request
from models.emotions import LABELS, Emotion
from serve.cli.keys import read_admin_key
from serve.cli.local_cluster import APP_NAME
from support.server_process import ROOT, Server, stop_server

README = ROOT / "README.md"
WEATHER = "The weather is perfect today! It's been months since I last felt this cool air!"
NEUTRAL_TEXTS = (
    "My sister rang last night.",
    "They moved the meeting to Friday.",
    "I found a letter in the attic.",
    "The neighbours have a new dog.",
    "It rained all day.",
    "My flatmate used my toothbrush.",
)
GREEDY_REQUESTS = [
    Request(text, Emotion.JOY, 24, 0, temperature=0, persona=Emotion.JOY) for text in NEUTRAL_TEXTS
]
HOSTILE_TEXTS = (
    "\u202e\u0301" * 100,
    "<eos><bos><start_of_turn>",
    "日本語のメッセージ",
    "\U0001f9ff" * 2000,
    "a" * 4000,
)
HISTORY = [
    {"role": "user", "content": "My sister rang last night."},
    {"role": "assistant", "content": "Oh! And what did she say?"},
    {"role": "user", "content": "That she is coming to stay for a month."},
]
METRICS = (
    "ray_fye_requests",
    "ray_fye_ttft_ms_bucket",
    "ray_vllm_num_requests_running",
    "ray_vllm_num_requests_waiting",
    "ray_vllm_kv_cache_usage_perc",
)
EXPORT_TIMEOUT_S = 30  # Ray exports every few seconds


def complete(server: Server, messages: list[dict[str, str]], **options: Any) -> Any:
    """Ask the surprise persona through the OpenAI client."""
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused")
    return client.chat.completions.create(
        model="surprise",
        messages=messages,  # type: ignore[arg-type]
        max_tokens=32,
        **options,
    )


def test_example_of_the_readme_is_joy(client: httpx.Client) -> None:
    reply = client.post("/v1/respond", json={"text": WEATHER, "seed": 1})
    assert reply.status_code == 200
    body = reply.json()
    assert body["emotion"]["label"] == "joy"
    assert body["emotion"]["score"] == max(body["emotion"]["scores"].values())
    assert len(body["text"].split()) >= 4
    assert body["finish_reason"] in {"stop", "length"}
    assert all(elapsed_ms > 0 for elapsed_ms in body["timings_ms"].values())


def test_every_curl_command_of_the_readme_works(client: httpx.Client) -> None:
    command = re.compile(r"localhost:8000(/v1/\w+) .*?-d '(\{.*?\})'$", re.MULTILINE)
    calls = command.findall(README.read_text("utf-8"))
    assert len(calls) >= 2
    for path, quoted in calls:
        body = quoted.replace("'\"'\"'", "'")
        reply = client.post(path, content=body, headers={"content-type": "application/json"})
        assert reply.status_code == 200, (body, reply.text)


def test_stream_sends_the_emotion_before_any_text(client: httpx.Client) -> None:
    body = {"text": "Someone is trying the door handle.", "stream": True}
    with client.stream("POST", "/v1/respond", json=body) as reply:
        lines = [line for line in reply.iter_lines() if line.startswith("event: ")]
    first, *deltas, last = [line.removeprefix("event: ") for line in lines]
    assert (first, last) == ("emotion", "done")
    assert set(deltas) == {"delta"}
    assert len(deltas) > 2


@pytest.mark.parametrize("persona", LABELS)
def test_greedy_replies_differ_between_personas(client: httpx.Client, persona: str) -> None:
    def reply_of(emotion: str) -> str:
        body = {
            "text": NEUTRAL_TEXTS[0],
            "emotion": emotion,
            "temperature": 0,
            "max_tokens": 48,
        }
        return str(client.post("/v1/respond", json=body).json()["text"])

    reply = reply_of(persona)
    assert reply
    assert all(reply != reply_of(other) for other in LABELS if other != persona)


def test_openai_client_lists_models_and_streams(server: Server) -> None:
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused")
    assert [model.id for model in client.models.list()] == ["auto", *LABELS, "base"]
    request: dict[str, Any] = {
        "messages": [{"role": "user", "content": "I finally passed my driving test!"}],
        "temperature": 0,
        "max_tokens": 40,
    }
    whole = client.chat.completions.create(model="auto", **request)
    assert whole.model_extra["emotion"]["label"] == "joy"
    stream = client.chat.completions.create(model="joy", stream=True, **request)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text.strip() == whole.choices[0].message.content.strip()


def test_same_seed_gives_the_same_reply(server: Server) -> None:
    first, same, other = (
        complete(server, HISTORY, seed=seed, temperature=0.9).choices[0].message.content
        for seed in (5, 5, 6)
    )
    assert first == same
    assert first != other


def test_log_probabilities_are_those_of_the_engine(server: Server) -> None:
    messages = [{"role": "user", "content": "My sister is on the train home!"}]
    found = complete(server, messages, temperature=0, logprobs=True, top_logprobs=3).choices[0]
    tokens = found.logprobs.content
    written = "".join(token.token for token in tokens)
    assert written.removesuffix("<eos>").strip() == found.message.content
    for token in tokens:
        likeliest = [candidate.logprob for candidate in token.top_logprobs]
        assert likeliest == sorted(likeliest, reverse=True)
        assert sum(map(math.exp, likeliest)) < 1.001
        # Without randomness the likeliest token is taken.
        assert token.logprob == pytest.approx(likeliest[0], abs=1e-4)


def test_stop_sequence_and_history_reach_the_engine(server: Server) -> None:
    whole = complete(server, HISTORY, temperature=0)
    last_turn = complete(server, HISTORY[-1:], temperature=0)
    assert whole.usage.prompt_tokens > last_turn.usage.prompt_tokens
    text = whole.choices[0].message.content
    stop = f" {text.split()[2]}"
    stopped = complete(server, HISTORY, temperature=0, stop=[stop]).choices[0]
    assert stopped.message.content == text[: text.index(stop)]
    assert stopped.finish_reason == "stop"


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=ascii)
def test_hostile_text_never_causes_a_server_error(client: httpx.Client, text: str) -> None:
    reply = client.post("/v1/respond", json={"text": text, "max_tokens": 4})
    assert reply.status_code in {200, 413}, reply.text


def test_exports_metrics_of_graph_and_engine(server: Server, client: httpx.Client) -> None:
    reply = client.post("/v1/respond", json={"text": WEATHER, "max_tokens": 4})
    assert reply.status_code == 200
    url = f"http://127.0.0.1:{metrics_port()}/metrics"
    deadline_s = time.monotonic() + EXPORT_TIMEOUT_S
    while missing := missing_metrics(httpx.get(url, timeout=10).text):
        assert time.monotonic() < deadline_s, missing
        time.sleep(1)


def metrics_port() -> int:
    ray.init(address="auto", namespace="serve", log_to_driver=False, logging_level=logging.ERROR)
    try:
        return next(int(node["MetricsExportPort"]) for node in ray.nodes() if node["Alive"])  # type: ignore[no-untyped-call]
    finally:
        ray.shutdown()


def missing_metrics(page: str) -> list[str]:
    return [name for name in METRICS if f"\n{name}" not in page]


def test_disconnect_frees_the_engine(server: Server) -> None:
    ray.init(address="auto", namespace="serve", log_to_driver=False, logging_level=logging.ERROR)
    try:
        responder = serve.get_deployment_handle("Responder", APP_NAME)
        disconnect_after_the_first_chunk(server.url)
        disconnected_at_s = time.monotonic()
        while responder.stats.remote().result(timeout_s=30).running:
            assert time.monotonic() - disconnected_at_s < 1, "the engine still generates"
            time.sleep(0.1)
    finally:
        ray.shutdown()


def disconnect_after_the_first_chunk(url: str) -> None:
    body = {
        "messages": [{"role": "user", "content": "Tell me more."}],
        "stream": True,
        "max_tokens": 256,
        "ignore_eos": True,  # it does not end before it is looked for
    }
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as reply:
        for line in reply.iter_lines():
            if line.startswith("data: {") and text_of(json.loads(line[6:])):
                return


def text_of(chunk: dict[str, Any]) -> str | None:
    [choice] = chunk["choices"]
    text: str | None = choice["delta"].get("content")
    return text


@pytest.fixture
def published_folder() -> Iterator[Path]:
    """Return a new folder from which an operator may publish: one below `runs`."""
    (ROOT / "runs").mkdir(exist_ok=True)
    with TemporaryDirectory(dir=ROOT / "runs") as folder:
        yield Path(folder)


async def test_release_under_load_fails_no_request(server: Server, published_folder: Path) -> None:
    """Every reply names one of the two versions.

    The texts are not compared: in another batch, bf16 sums may decide a near-tie differently.
    """
    write_fear_as_joy(published_folder / "joy")
    secret = read_admin_key()
    assert secret, "serve run has written no key for its operator"
    stop = asyncio.Event()
    async with client_session() as session, asyncio.TaskGroup() as users:
        releases = AdapterReleases(session, server.url, secret=secret)
        send = partial(send_request, session, server.url, timeout_s=60)
        old = await releases.promoted()
        load = [users.create_task(repeat_until(stop, send, request)) for request in GREEDY_REQUESTS]
        new = await releases.publish(published_folder / "joy")
        await releases.promote(new)
        assert [(await send(request)).adapter for request in GREEDY_REQUESTS[:2]] == [new] * 2
        assert await releases.roll_back() == old
        assert [(await send(request)).adapter for request in GREEDY_REQUESTS[:2]] == [old] * 2
        stop.set()
        outcomes = [outcome for user in load for outcome in await user]
    assert {(outcome.end, outcome.adapter) for outcome in outcomes} == {("ok", old), ("ok", new)}
    assert all(outcome.text for outcome in outcomes)


def test_ctrl_c_stops_every_process(server: Server) -> None:
    """This test is the last one, because it stops the server."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert children
    assert stop_server(server) == 0, server.log.read_text()
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive, alive
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/healthz")
