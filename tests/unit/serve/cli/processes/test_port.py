"""Claim of a port: one server at a time, on IPv4 and IPv6."""

import re
import socket

import pytest

from load.harness.ports import free_port
from serve.cli.address import authority
from serve.cli.processes.port import check_port, claim_port
from serve.errors import ServingError


def test_two_servers_cannot_claim_one_port() -> None:
    port = free_port()
    with claim_port(port), pytest.raises(ServingError, match=f"port {port}"):
        claim_port(port)
    claim_port(port).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_taken_address_is_named(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServingError, match=rf"{re.escape(authority(host, port))}: .*--port"):
            check_port(host, port)
    check_port(host, port)
