"""Runs the graph in a private Ray cluster on this machine."""

import asyncio
import logging
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from serve.cli.address import url_of
from serve.cli.console import console
from serve.cluster.ray_compat import set_http_environment, start_local_ray
from serve.cluster.sockets import short_folder
from serve.config import ServeConfig
from serve.errors import ServingError

APP_NAME = "face-your-emotions"
START_TIMEOUT_S = 900
POLL_INTERVAL_S = 0.5
END_TIMEOUT_S = 5
SERVE_LOGS = "ray/session_latest/logs/serve"  # below RAY_TMPDIR
PREFIX = "fye-"
VLLM_SOCKETS = "VLLM_RPC_BASE_PATH"
# Longest paths of sockets below the folder of temporary files, with eight random characters after
# the prefix. HAProxy binds to a name with its process id, and renames it.
HAPROXY_SOCKET_BYTES = len(f"/{PREFIX}12345678/{'0' * 56}/admin.sock.1234567.tmp")
RAY_SOCKET_BYTES = len("/ray/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store.1")
# The graph writes one log line per request itself.
QUIET = {"log_level": "WARNING", "enable_access_log": False}


@contextmanager
def serving(config: ServeConfig, host: str, port: int) -> Iterator[Path]:
    """Start Ray and deploy the application; stop both at the end of the block.

    The block gets the folder of HAProxy's files, see `serve.proxy.drain`.

    The block is entered while the replicas are still starting, see `wait_ready`.
    """
    import ray
    from ray import serve
    from ray.serve.api import RunTarget

    from serve.app import build

    os.environ["RAY_TMPDIR"] = str(short_folder(RAY_SOCKET_BYTES, "RAY_TMPDIR"))
    # Only this user may enter the folder.
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=short_folder(HAPROXY_SOCKET_BYTES))
    set_http_environment(config.http, Path(folder), _free_port())
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    console.print("Starting the graph: detector, responder ...")
    with ExitStack() as started:
        started.callback(shutil.rmtree, folder, ignore_errors=True)
        if VLLM_SOCKETS not in os.environ:  # engines that are killed leave their sockets there
            os.environ[VLLM_SOCKETS] = folder
            started.callback(os.environ.pop, VLLM_SOCKETS, None)
        start_local_ray(cpus_for_ray(config))
        # Not before Ray has started: `serve.shutdown` would connect to the cluster of RAY_ADDRESS.
        started.callback(ray.shutdown)
        started.callback(serve.shutdown)
        serve.start(http_options={"host": host, "port": port}, logging_config=QUIET)
        target = RunTarget(build(config), APP_NAME, logging_config=QUIET)
        serve.run_many([target], wait_for_applications_running=False)
        yield Path(folder)


def end_requests() -> None:
    """End the requests that the responder's replicas still answer, with an error.

    A change of the adapters that still waits for replicas is undone. What a replica that does not
    reply answers is cut when it is stopped.
    """
    from ray import serve

    async def end() -> None:
        calls = {"Responder": "end_requests", "AdapterController": "end_changes"}
        replies = [
            serve.get_deployment_handle(name, APP_NAME).broadcast(call)
            for name, call in calls.items()
        ]
        for reply in replies:
            await reply.results_async(timeout_s=END_TIMEOUT_S)

    # A handle needs a running loop, and Serve's shutdown an open one, so it runs to the end.
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    try:
        asyncio.run_coroutine_threadsafe(end(), loop).result(2 * END_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001 (the server stops in any case)
        console.print(f"Not every replica replied ({type(error).__name__}); its requests are cut.")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def cpus_for_ray(config: ServeConfig) -> int:
    """Return a number of CPUs that lets Ray place every replica.

    Ray uses it only for placement, so it may be higher than what the machine has.
    """
    scaled = (config.detector.replicas, config.responder.replicas)
    needed = sum(replicas.maximum * replicas.cpus for replicas in scaled)
    return max(os.cpu_count() or 1, round(needed + 0.5))


def wait_ready(host: str, port: int, stop: threading.Event) -> None:
    """Wait until `/readyz` returns 200, or until `stop` is set.

    Raises:
        ServingError: a deployment failed to start, or the graph is not ready in time.
    """
    deadline_s = time.monotonic() + START_TIMEOUT_S
    with console.status("Loading models") as status:
        while not stop.wait(POLL_INTERVAL_S):
            if _is_ready(host, port):
                return
            status.update(f"Loading models ({_unhealthy_deployments()})")
            if time.monotonic() > deadline_s:
                raise ServingError(
                    f"timed out after {START_TIMEOUT_S} s: the graph is not ready;"
                    f" see Serve's logs in {Path(os.environ.get('RAY_TMPDIR', ''), SERVE_LOGS)}"
                )


def _is_ready(host: str, port: int) -> bool:
    try:
        return httpx.get(f"{url_of(host, port)}/readyz", timeout=10).status_code == 200
    except httpx.TransportError:
        return False  # the proxy does not listen yet


def _unhealthy_deployments() -> str:
    """Return the names of the deployments that are still starting, for display.

    Raises:
        ServingError: a deployment has failed for good; the message is the deployment's own.
    """
    from ray import serve

    application = serve.status().applications.get(APP_NAME)
    if application is None:
        return "starting"
    deployments = application.deployments
    if application.status in {"DEPLOY_FAILED", "UNHEALTHY"}:
        messages = [found.message for found in deployments.values() if found.message]
        details = "\n".join(messages or [application.message])
        raise ServingError(f"the graph failed to start: {details}")
    starting = [name for name, found in deployments.items() if found.status != "HEALTHY"]
    return ", ".join(starting) or "routes"
