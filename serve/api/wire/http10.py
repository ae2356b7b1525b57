"""Responses for HTTP/1.0, which has no chunks: a stream is sent as a whole, with its length."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LENGTH = b"content-length"


class WholeForHttp10:
    """ASGI middleware that gives responses without a length one, for clients of HTTP/1.0.

    If the application fails on the way, nothing is sent, and the HTTP server reports the failure.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and scope["http_version"] == "1.0":
            send = _Whole(send)
        await self._app(scope, receive, send)


class _Whole:
    """Sender that holds a response without a length back until it is complete."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = bytearray()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not _has_length(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_all(self._start)

    async def _send_all(self, start: Message) -> None:
        length = (LENGTH, str(len(self._body)).encode())
        await self._send({**start, "headers": [*start["headers"], length]})
        await self._send({"type": "http.response.body", "body": bytes(self._body)})


def _has_length(start: Message) -> bool:
    return any(name.lower() == LENGTH for name, _ in start["headers"])
