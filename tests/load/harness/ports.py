"""A port for a server that listens only later, as Serve's proxy does, some seconds after it was chosen."""

import random
import socket

# Below those that Linux gives to whoever asks for any (32768 on), of which Ray's processes take dozens meanwhile.
CHOSEN = range(20_000, 30_000)


def free_port() -> int:
    """A port of loopback on which nobody listens."""
    dice = random.SystemRandom()
    while True:
        port = dice.choice(CHOSEN)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
