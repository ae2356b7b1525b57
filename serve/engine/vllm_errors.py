"""vLLM's errors and finish reasons in the terms of the engine protocol."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from serve.engine.protocol import FinishReason
from serve.errors import EngineDead, EngineError


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise EngineDead or EngineError in place of vLLM's errors.

    Their messages are left out, because they may contain user text.
    """
    from vllm.exceptions import VLLMError
    from vllm.v1.engine.exceptions import EngineDeadError

    try:
        yield
    except EngineDeadError as error:
        raise EngineDead("the engine is dead") from error
    except (VLLMError, RuntimeError, ValueError) as error:
        raise EngineError(f"the engine failed: {type(error).__name__}") from error


def finish_reason(reason: str | None) -> FinishReason | None:
    """Return vLLM's reason for the end of an answer. Raises EngineError for an aborted one."""
    if reason in {None, "stop", "length"}:
        return cast("FinishReason | None", reason)
    raise EngineError(f"the engine ended the answer with the unexpected reason {reason!r}")
