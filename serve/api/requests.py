"""Paths and headers of the HTTP API, in one place."""

import re
import uuid

from serve.pipeline.request_metrics import DETECT, RESPOND

REQUEST_ID = "x-request-id"
TIMEOUT_MS = "x-request-timeout-ms"
REGION = "x-region"
EMOTION = "x-emotion"
DROPPED_MESSAGES = "x-dropped-messages"  # how many of the oldest messages had no effect
MAX_TOKENS = "x-max-tokens"  # the limit that was used instead of a larger one
UNIQUE_ID = "x-fye-unique-id"  # set by HAProxy, see serve/proxy; a client's own value is replaced

RESPOND_PATH = "/v1/respond"
DETECT_PATH = "/v1/detect"
CHAT_PATH = "/v1/chat/completions"
COMPLETIONS_PATH = "/v1/completions"
RESPONSES_PATH = "/v1/responses"
MODELS_PATH = "/v1/models"
PERSONAS_PATH = "/v1/personas"
ADMIN_PATH = "/v1/admin"
HEALTH_PATHS = ("/healthz", "/health", "/readyz")
METRICS_PATH = "/metrics"
VERSION_PREFIX = "/v1/"
# Every other path under /v1 is one that an OpenAI client may try.
OWN_PATHS = (RESPOND_PATH, DETECT_PATH, PERSONAS_PATH, ADMIN_PATH)
# First parts of OpenAI's paths, which a client sends without /v1 if its base URL lacks it.
OPENAI_PARTS = ("chat", "completions", "responses", "models", "embeddings", "engines")

ADMIN = "admin"
CALLS = {
    RESPOND_PATH: RESPOND,
    CHAT_PATH: RESPOND,
    COMPLETIONS_PATH: RESPOND,
    RESPONSES_PATH: RESPOND,
    DETECT_PATH: DETECT,
}

ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def call_of(path: str) -> str | None:
    """Return the call that a path is counted as, None if it is not counted."""
    return ADMIN if path.startswith(ADMIN_PATH) else CALLS.get(path)


def is_openai(path: str) -> bool:
    """Return whether a client of OpenAI's API reads the response."""
    if path.startswith(VERSION_PREFIX):
        return not any(path == own or path.startswith(f"{own}/") for own in OWN_PATHS)
    return lacks_version(path)


def lacks_version(path: str) -> bool:
    """Return whether a path is one of OpenAI's without /v1."""
    return path.split("/")[1:2] != [] and path.split("/")[1] in OPENAI_PARTS


def request_id_of(given: str | None) -> str:
    """Return the client's request id if it is a valid one, else a new one."""
    return given if given and ACCEPTED_ID.fullmatch(given) else uuid.uuid4().hex
