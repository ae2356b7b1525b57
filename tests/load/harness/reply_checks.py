"""Checks of a reply's text and adapter version. A check returns the error, or None."""

from collections.abc import Callable

from load.harness.workload import Request
from serve.engine.scripted import script

Check = Callable[[Request, str, str | None], str | None]  # request, text, adapter version


def accept_any(_request: Request, _text: str, _adapter: str | None) -> str | None:
    """Accept every reply."""
    return None


def check_persona(request: Request, _text: str, adapter: str | None) -> str | None:
    """Check that the adapter belongs to the emotion that the message is about."""
    if adapter is None or not adapter.startswith(f"{request.emotion}@"):
        return f"adapter {adapter} replied to a message about {request.emotion}"
    return None


def check_scripted_reply(request: Request, text: str, adapter: str | None) -> str | None:
    """Check the persona and the text; the scripted engine derives it from the adapter version."""
    wrong = check_persona(request, text, adapter)
    if wrong:
        return wrong
    expected = " ".join(script(adapter).split()[: request.max_tokens])
    return None if text.strip() == expected else "the text differs from the generated one"
