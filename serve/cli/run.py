"""Runs the graph on this machine until Ctrl-C: the command `python -m serve run`.

config file -> weights -> Ray on loopback -> Serve application -> ready line -> wait -> drain
"""

import os
import time
from pathlib import Path

from models.errors import FyeError
from serve.api.auth import open_keys
from serve.cli.address import url_of
from serve.cli.config_file import read_config
from serve.cli.console import console, print_error
from serve.cli.drain import drain
from serve.cli.keys import admin_key_file, with_admin_key
from serve.cli.local_cluster import end_requests, serving, wait_ready
from serve.cli.processes.port import check_port, claim_port
from serve.cli.processes.stop import Stop
from serve.cli.weights import fetch_weights
from serve.cluster.ray_compat import set_ray_environment
from serve.config import SCRIPTED, ServeConfig

INTERRUPTED = 130  # status of a command that Ctrl-C has ended
EXAMPLE = (
    "curl -s{option} {url}/v1/respond -H 'content-type: application/json'"
    """ -d '{{"text": "The weather is perfect today!"}}'"""
)


def start(config_file: Path, scripted: bool, host: str, port: int) -> int:
    """Run the graph and return an exit status. Errors of this project are printed in one line."""
    set_ray_environment()
    try:
        run(SCRIPTED if scripted else read_config(config_file), host, port)
    except FyeError as error:
        print_error(error)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def run(config: ServeConfig, host: str, port: int) -> None:
    """Run the graph until SIGINT or SIGTERM, then let running requests end.

    Raises:
        FyeError: the configuration is invalid, or the graph cannot start.
    """
    open_keys(config.api_keys, host)  # only to check them before anything starts
    with claim_port(port):
        check_port(host, port)
        _serve(config, host, port)


def _serve(config: ServeConfig, host: str, port: int) -> None:
    keyed = with_admin_key(config)
    fetch_weights(config)  # a signal ends the command at once until here
    parent = os.getppid()
    stop = Stop()
    stop.listen()
    started_at_s = time.monotonic()
    with serving(keyed, host, port) as folder:
        stop.listen()  # again, because Ray's own SIGTERM handler leaves processes behind
        wait_ready(host, port, stop.asked)
        if not stop.asked.is_set():
            _print_ready(host, port, time.monotonic() - started_at_s)
            if keyed is not config:
                console.print(f"Administration needs the key in {admin_key_file()}.")
        stop.asked.wait()
        console.print("Stopping ...")
        if os.getppid() == parent:  # without its supervisor, the command ends at once
            drain(folder, config.http.drain_s, stop.hurried, end_requests)


def _print_ready(host: str, port: int, elapsed_s: float) -> None:
    url = url_of(host, port)
    console.print(f"[green]Ready[/] after {elapsed_s:.0f} s on {url} (API at /docs). Try:")
    option = "g" if "[" in url else ""  # brackets are a pattern for curl
    print(EXAMPLE.format(option=option, url=url), flush=True)
