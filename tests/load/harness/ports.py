"""Choice of a port for a server that binds it only some seconds later."""

import random
import socket

# Below Linux's ephemeral ports (32768 and up), of which Ray's processes take dozens meanwhile.
PORT_RANGE = range(20_000, 30_000)


def free_port() -> int:
    """Pick a random loopback port that is not in use."""
    rng = random.SystemRandom()
    while True:
        port = rng.choice(PORT_RANGE)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
