"""The page on a port of this machine, on a fake responder: without Ray, up at once."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from support.http_client import FakeResponder, http_app

POLL_S = 0.01


@contextmanager
def page_server() -> Iterator[str]:
    """Serve the page, and yield its URL. Its answers are the fake responder's."""
    config = uvicorn.Config(
        http_app(FakeResponder()), lifespan="off", log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "uvicorn did not start"
                time.sleep(POLL_S)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
