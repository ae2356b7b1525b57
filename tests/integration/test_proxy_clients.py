"""Clients as they speak HTTP, through the real HAProxy and the real HTTP server.

The responder behind them is a fake, and there is no Ray: what is tested is the way between.
"""

import asyncio
import json
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn

from support.haproxy import before_server, generate
from support.http_client import HELLO, FakeResponder, http_app

CHAT = "/v1/chat/completions"
READ_TIMEOUT_S = 60
BODY = json.dumps(HELLO).encode()
STREAM = json.dumps(HELLO | {"stream": True}).encode()
H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB")
WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
JAVA = """
import java.net.URI;
import java.net.http.*;
public class Post {
  public static void main(String[] arguments) throws Exception {
    var request = HttpRequest.newBuilder(URI.create(arguments[0]))
        .header("content-type", "application/json")
        .POST(HttpRequest.BodyPublishers.ofString(arguments[1])).build();
    var reply = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
    System.out.print(reply.statusCode() + " " + reply.body());
  }
}
"""


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> str:
    return generate(tmp_path_factory.mktemp("ray")).deployed


@pytest.fixture
async def address(configuration: str, tmp_path: Path) -> AsyncIterator[str]:
    """Address of HAProxy in front of the application."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        config = uvicorn.Config(
            http_app(FakeResponder()), lifespan="off", log_config=None, access_log=False
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:  # noqa: ASYNC110 (uvicorn has no event)
            await asyncio.sleep(0.01)
        async with before_server(configuration, tmp_path, f"127.0.0.1:{port}") as found:
            yield found
        server.should_exit = True
        await serving


async def send(address: str, head: list[str], body: bytes = b"") -> tuple[str, str]:
    """Send bytes, and return head and body of the response once it is complete."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write("\r\n".join([*head, "", ""]).encode() + body)
    async with asyncio.timeout(READ_TIMEOUT_S):
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = [line for line in answer.lower().split("\r\n") if "content-length" in line]
        size = int(length[0].split(":")[1]) if length and not head[0].startswith("HEAD") else 0
        content = (await reader.readexactly(size)).decode()
    writer.close()
    return answer, content


def head_of(
    body: bytes, *headers: str, version: str = "1.1", host: str = "Host: localhost"
) -> list[str]:
    line = f"POST {CHAT} HTTP/{version}"
    json_body = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    return [line, *([host] if host else []), *json_body, *headers]


@pytest.mark.parametrize("offer", [H2C, WEBSOCKET], ids=["h2c", "websocket"])
async def test_an_offered_upgrade_is_ignored(address: str, offer: tuple[str, ...]) -> None:
    """Java's HttpClient and `curl --http2` offer h2c with every request (encode/uvicorn#2722)."""
    answer, body = await send(address, head_of(BODY, *offer), BODY)
    assert answer.startswith("HTTP/1.1 200 ")
    assert json.loads(body)["choices"][0]["message"]["content"] == "Oh no"


async def test_a_stream_for_http_1_0_has_no_chunks(address: str) -> None:
    answer, body = await send(address, head_of(STREAM, version="1.0"), STREAM)
    assert "transfer-encoding" not in answer.lower()
    assert body.startswith("data: {")
    assert body.endswith("data: [DONE]\n\n")


async def test_a_request_without_host_is_rejected(address: str) -> None:
    answer, body = await send(address, head_of(BODY, host=""), BODY)
    assert answer.startswith("HTTP/1.1 400 ")
    assert json.loads(body)["error"]["code"] == "bad-request"


async def test_http_1_0_needs_no_host(address: str) -> None:
    answer, _ = await send(address, ["GET /healthz HTTP/1.0"])
    assert answer.split()[1] == "200"


async def test_a_body_that_is_too_large_is_rejected_before_it_is_sent(address: str) -> None:
    head = head_of(b"", "Expect: 100-continue")
    head[3] = "Content-Length: 9000000"
    answer, body = await send(address, head)
    assert answer.startswith("HTTP/1.1 413 ")
    assert json.loads(body)["error"]["code"] == "body-too-large"


async def test_a_body_that_is_waited_for_is_asked_for(address: str) -> None:
    answer, _ = await send(address, head_of(BODY, "Expect: 100-continue"))
    assert answer.startswith("HTTP/1.1 100 ")


@pytest.mark.parametrize("path", ["/healthz", "/v1/models"])
async def test_head_has_no_body(address: str, path: str) -> None:
    answer, _ = await send(address, [f"HEAD {path} HTTP/1.1", "Host: localhost"])
    assert answer.startswith("HTTP/1.1 200 ")


async def run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    return out.decode()


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize("option", ["--http1.0", "--http1.1", "--http2"])
async def test_curl(address: str, option: str) -> None:
    json_type = ("-H", "content-type: application/json")
    url = f"http://{address}{CHAT}"
    out = await run("curl", "-s", option, *json_type, "-d", BODY.decode(), url)
    assert json.loads(out)["choices"][0]["message"]["content"] == "Oh no"


@pytest.mark.skipif(not shutil.which("java"), reason="Java is not installed")
async def test_java(address: str, tmp_path: Path) -> None:
    """The client of the standard library, as it is by default."""
    (tmp_path / "Post.java").write_text(JAVA)
    url = f"http://{address}{CHAT}"
    out = await run("java", str(tmp_path / "Post.java"), url, BODY.decode())
    status, _, body = out.partition(" ")
    assert (status, json.loads(body)["object"]) == ("200", "chat.completion")
