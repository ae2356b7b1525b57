"""Paths and headers of the HTTP API, in one place."""

import re
import uuid

from serve.pipeline.request_metrics import DETECT, RESPOND

REQUEST_ID = "x-request-id"
TIMEOUT_MS = "x-request-timeout-ms"
REGION = "x-region"
EMOTION = "x-emotion"
UNIQUE_ID = "x-fye-unique-id"  # set by HAProxy, see serve/proxy; a client's own value is replaced

RESPOND_PATH = "/v1/respond"
DETECT_PATH = "/v1/detect"
CHAT_PATH = "/v1/chat/completions"
MODELS_PATH = "/v1/models"
ADMIN_PATH = "/v1/admin"
HEALTH_PATHS = ("/healthz", "/health", "/readyz")
OPENAI_PATHS = (CHAT_PATH, MODELS_PATH)

ADMIN = "admin"
CALLS = {RESPOND_PATH: RESPOND, CHAT_PATH: RESPOND, DETECT_PATH: DETECT}

ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def call_of(path: str) -> str | None:
    """Return the call that a path is counted as, None if it is not counted."""
    return ADMIN if path.startswith(ADMIN_PATH) else CALLS.get(path)


def request_id_of(given: str | None) -> str:
    """Return the client's request id if it is a valid one, else a new one."""
    return given if given and ACCEPTED_ID.fullmatch(given) else uuid.uuid4().hex
