"""Sentences about OpenAI's paths that this server does not have."""

from serve.api.requests import (
    CHAT_PATH,
    COMPLETIONS_PATH,
    MODELS_PATH,
    RESPONSES_PATH,
    VERSION_PREFIX,
    lacks_version,
)

EXISTING = (
    f"this server has POST {CHAT_PATH}, POST {RESPONSES_PATH}, POST {COMPLETIONS_PATH} "
    f"and GET {MODELS_PATH}"
)
NOT_STORED = "responses and conversations are not stored"
UNSUPPORTED = {
    "assistants": "assistants are not supported",
    "audio": "audio is not supported",
    "batches": "batches are not supported",
    "containers": "containers are not supported",
    "conversations": NOT_STORED,
    "embeddings": "embeddings are not supported",
    "files": "files are not supported",
    "fine_tuning": "fine-tuning is not supported",
    "images": "images are not supported",
    "moderations": "moderations are not supported",
    "realtime": "the Realtime API is not supported",
    "responses": NOT_STORED,
    "chat": "chat completions are not stored",
    "threads": "threads are not supported",
    "uploads": "uploads are not supported",
    "vector_stores": "vector stores are not supported",
    "videos": "videos are not supported",
}


def what_exists(path: str) -> str:
    """Return a sentence for a path that does not exist. It repeats nothing of the path."""
    if lacks_version(path):
        return f"the base URL must end with /v1; {EXISTING}"
    kind = path.removeprefix(VERSION_PREFIX).partition("/")[0]
    if kind == "v1":
        return f"the path has /v1 twice; {EXISTING}"
    return f"{UNSUPPORTED.get(kind, 'this path does not exist')}; {EXISTING}"
