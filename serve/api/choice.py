"""Choice of the personas that answer, where a request names them. Both APIs use it."""

from collections.abc import Mapping

from fastapi.exceptions import RequestValidationError

from serve.pipeline.replica import Responder
from serve.responder.mix import heaviest


def invalid_field(field: str, problem: str) -> RequestValidationError:
    """Return the error of a field of the body. `problem` must repeat nothing of it."""
    return RequestValidationError([{"type": "persona", "loc": ("body", field), "msg": problem}])


async def speaker_of(blend: Mapping[str, float] | None, responder: Responder) -> str | None:
    """Return the persona under whose name a blend speaks, None without a blend.

    Raises:
        RequestValidationError: one of its personas does not exist.
    """
    if not blend:
        return None
    for persona in blend:
        if not await responder.personas.has(persona):
            known = ", ".join(responder.personas.known)
            raise invalid_field("blend", f"unknown persona; known are {known}")
    return heaviest(blend)
