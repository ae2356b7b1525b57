"""A Prometheus server that scrapes the graph, and what it says about the shipped rules."""

import json
import math
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from load.harness.ports import free_port

RULES = Path(__file__).parents[3] / "deploy" / "observability" / "prometheus" / "rules.yaml"
INTERVAL = "3s"  # also the time that a busy node has to reply
START_S = 60
STOP_S = 30
HOW_TO_INSTALL = "install Debian's package `prometheus`, which has promtool too"


@dataclass(frozen=True)
class Prometheus:
    """Running server."""

    url: str

    def values(self, query: str) -> list[float]:
        """Return the present value of every series that a query finds, without NaN.

        Raises:
            httpx.HTTPStatusError: the query is invalid.
        """
        reply = httpx.get(f"{self.url}/api/v1/query", params={"query": query}, timeout=30)
        found = [
            float(one["value"][1]) for one in reply.raise_for_status().json()["data"]["result"]
        ]
        return [value for value in found if not math.isnan(value)]

    def scrape_error(self) -> str:
        """Return why the last scrape failed, empty if it did not."""
        reply = httpx.get(f"{self.url}/api/v1/targets", timeout=30).raise_for_status()
        [target] = reply.json()["data"]["activeTargets"]
        return str(target["lastError"])

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule with its `health`, and its `state` if it is an alert."""
        reply = httpx.get(f"{self.url}/api/v1/rules", timeout=30).raise_for_status()
        return [rule for group in reply.json()["data"]["groups"] for rule in group["rules"]]


@contextmanager
def running_prometheus(target: str) -> Iterator[Prometheus]:
    """Scrape `target`, an address such as `127.0.0.1:8080`, with the shipped rules.

    Raises:
        FileNotFoundError: Prometheus is not installed.
        TimeoutError: it did not start; the message has the end of its log.
    """
    binary = shutil.which("prometheus")
    if binary is None:
        raise FileNotFoundError(f"cannot find `prometheus`: {HOW_TO_INSTALL}")
    url = f"http://127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(prefix="fye-prometheus-") as name:
        folder = Path(name)
        config = folder / "prometheus.json"  # JSON is YAML
        config.write_text(json.dumps(_config(target)), "utf-8")
        command = [
            binary,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={url.removeprefix('http://')}",
        ]
        log = folder / "log"
        with log.open("w") as output, subprocess.Popen(command, stderr=output) as process:
            try:
                _wait(url, process, log)
                yield Prometheus(url)
            finally:
                _stop(process)


def _config(target: str) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "graph", "static_configs": [{"targets": [target]}]}],
    }


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + START_S
    while not _is_ready(url):
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise TimeoutError(f"Prometheus did not start: {log.read_text('utf-8')[-2000:]}")
        time.sleep(0.2)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
