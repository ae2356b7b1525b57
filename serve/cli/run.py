"""`make serve`: starts the graph on this machine, says what it is doing, and ends everything on Ctrl-C.

config file -> base weights -> Ray (loopback, no dashboard) -> Serve application -> ready line -> wait -> tear down
"""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml
from pydantic import BaseModel, ConfigDict
from rich.console import Console
from rich.markup import escape

from models.detector.int8.cache import supports_int8, int8_weights
from models.errors import CatalogError, FyeError
from models.manifest import DetectorManifest
from models.weights.cache import materialize
from serve.api.auth import open_keys
from serve.config import SCRIPTED, DetectorConfig, ServeConfig
from serve.errors import ServingError
from serve.ray_compat import set_ray_environment

console = Console(highlight=False, stderr=True)
APP_NAME = "face-your-emotions"
START_TIMEOUT_S = 900
QUIET = {"log_level": "WARNING", "enable_access_log": False}  # the ingress has a line of its own for each request
EXAMPLE = "The weather is perfect today!"


class _App(BaseModel):
    """What is used of a Serve config file here: the application's arguments."""

    model_config = ConfigDict(extra="ignore")

    args: ServeConfig


def read_config(file: Path) -> ServeConfig:
    """The graph's configuration in a Serve config file. Raises CatalogError for one that Serve or this project would refuse."""
    set_ray_environment()  # Ray reads it when it is first imported, which is here
    from ray.serve.schema import ServeDeploySchema

    try:
        document = yaml.safe_load(file.read_text("utf-8"))
        if not ServeDeploySchema.model_validate(document).applications:
            raise CatalogError(f"{file}: it names no application")
        return _App.model_validate(document["applications"][0]).args
    except (OSError, yaml.YAMLError, ValueError) as error:
        raise CatalogError(f"{file}: {error}") from error


def run(config: ServeConfig, host: str, port: int) -> None:
    """Blocks until SIGINT or SIGTERM. Raises FyeError if the graph cannot start."""
    stop = threading.Event()
    _stop_on_signals(stop)
    open_keys(config.api_keys, host)  # before anything is started
    _check_port(host, port)
    fetch_weights(config)
    began_s = time.monotonic()
    with serving(config, host, port):
        _stop_on_signals(stop)  # again: Ray put a SIGTERM handler of its own in place, which would leave its processes behind
        wait_ready(host, port, stop)
        if not stop.is_set():
            console.print(f"[green]Ready[/] after {time.monotonic() - began_s:.0f} s on http://{host}:{port} (API at /docs). Try:")
            body = f'{{"text": "{EXAMPLE}"}}'
            print(f"curl -s http://{host}:{port}/v1/respond -H 'content-type: application/json' -d '{body}'", flush=True)
        stop.wait()
        console.print("Stopping ...")


def fetch_weights(config: ServeConfig) -> None:
    """Before the graph, where progress can be seen."""
    fetch_detector(config.detector)
    if config.responder.kind == "vllm":
        materialize(config.responder.base, _say)


def fetch_detector(config: DetectorConfig) -> None:
    """What the detector stands on."""
    if config.kind != "scripted":
        materialize(DetectorManifest.read(config.folder).base, _say)
        if config.precision == "auto" and config.device == "cpu" and supports_int8(config.folder):
            int8_weights(config.folder, _say)
    if config.harm == "shieldgemma":
        materialize(config.shieldgemma, _say)


def _say(line: str) -> None:
    console.print(f"  {line}")


@contextmanager
def serving(config: ServeConfig, host: str, port: int) -> Iterator[None]:
    """A Ray of its own with the application on it, ended on the way out."""
    import ray
    from ray import serve
    from ray.serve.api import RunTarget

    from serve.app import build
    from serve.proxy.middleware import INGRESS_VARIABLE

    os.environ[INGRESS_VARIABLE] = config.ingress.model_dump_json()
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    console.print("Starting the graph: ingress, detector, responder ...")
    try:
        ray.init("local", num_cpus=_ray_cpus(config), include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        serve.start(http_options={"host": host, "port": port}, logging_config=QUIET)
        serve.run_many([RunTarget(build(config), APP_NAME, logging_config=QUIET)], wait_for_applications_running=False)
        yield
    finally:
        serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()


def _ray_cpus(config: ServeConfig) -> int:
    """Ray counts CPUs only to place replicas: enough for all of them, whatever the machine has."""
    stages = (config.ingress.replicas, config.detector.replicas, config.responder.replicas)
    return max(os.cpu_count() or 1, round(sum(stage.maximum * stage.cpus for stage in stages) + 0.5))


def wait_ready(host: str, port: int, stop: threading.Event) -> None:
    """Returns when `/readyz` says so, or when asked to stop. Raises ServingError if a stage cannot start."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    with console.status("Loading models") as status:
        while not stop.wait(0.5):
            try:
                if httpx.get(f"http://{host}:{port}/readyz", timeout=10).status_code == 200:
                    return
            except httpx.TransportError:
                pass  # nobody listens yet
            status.update(f"Loading models ({_waiting_for()})")
            if time.monotonic() > deadline_s:
                raise ServingError(f"not ready after {START_TIMEOUT_S} s; Ray's logs are in /tmp/ray/session_latest/logs/serve")


def _waiting_for() -> str:
    """The stages that are not up. Raises ServingError with the stage's own words if one has failed for good."""
    from ray import serve

    application = serve.status().applications.get(APP_NAME)
    if application is None:
        return "starting"
    if application.status in {"DEPLOY_FAILED", "UNHEALTHY"}:
        messages = [stage.message for stage in application.deployments.values() if stage.message]
        raise ServingError("the graph did not start: " + "\n".join(messages or [application.message]))
    return ", ".join(name for name, stage in application.deployments.items() if stage.status != "HEALTHY") or "routes"


def _stop_on_signals(stop: threading.Event) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())


def _check_port(host: str, port: int) -> None:
    """Before anything is started. Raises ServingError if the address cannot be bound."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise ServingError(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another with --port") from error


def start(config_file: Path, scripted: bool, host: str, port: int) -> int:
    """The command: an exit status, and one plain sentence for an error that the operator can mend."""
    set_ray_environment()
    try:
        run(SCRIPTED if scripted else read_config(config_file), host, port)
    except FyeError as error:
        console.print(f"[red]{type(error).__name__}:[/] {escape(str(error))}")
        return 1
    return 0
