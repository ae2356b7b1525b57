"""Claim of a port, so that two servers cannot share it.

HAProxy binds with SO_REUSEPORT, for its reloads, so the kernel would let a second server in.
"""

import socket
import sys

from serve.cli.address import authority
from serve.errors import ServingError


def check_port(host: str, port: int) -> None:
    """Check that the address is free.

    Raises:
        ServingError: the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = error.strerror or error
        raise ServingError(
            f"cannot listen on {authority(host, port)}: {reason}; choose another port with --port"
        ) from error


def claim_port(port: int) -> socket.socket:
    """Claim a port for as long as the returned socket is open, at most until the process ends.

    Raises:
        ServingError: another server of this kind has claimed it.
    """
    claim = socket.socket(socket.AF_UNIX)
    if sys.platform == "linux":
        try:
            claim.bind(f"\0face-your-emotions:{port}")  # a name that the kernel frees
        except OSError as error:
            claim.close()
            raise ServingError(
                f"another server starts or runs on port {port}; choose another with --port"
            ) from error
    return claim
