"""The `openai` package for Python: python openai_python.py http://127.0.0.1:8000."""

import sys
from collections.abc import Callable
from typing import Any

import openai

MESSAGES: Any = [{"role": "user", "content": "Hang on, you speak Finnish?!"}]


def features(client: openai.OpenAI) -> dict[str, Callable[[], bool]]:
    """Return a check of each feature."""
    chat: Any = client.chat.completions
    responses: Any = client.responses

    def asked(**fields: Any) -> Any:
        return chat.create(model="auto", messages=MESSAGES, **fields)

    def streamed() -> bool:
        found = list(asked(stream=True, stream_options={"include_usage": True}))
        return bool(found[-1].usage) and any(one.choices[0].delta.content for one in found[:-1])

    def response_stream() -> bool:
        with responses.stream(model="auto", input="hello") as stream:
            return bool(stream.get_final_response().output_text)

    def logprobs() -> bool:
        found = asked(logprobs=True, top_logprobs=5).choices[0].logprobs.content
        sizes = {len(token.top_logprobs) for token in found}
        return sizes == {5} and max(token.logprob for token in found) <= 0

    def history() -> bool:
        empty: Any = [*MESSAGES, {"role": "assistant", "content": None}, *MESSAGES]
        return bool(chat.create(model="auto", messages=empty).choices)

    def overflow() -> bool:
        long: Any = [{"role": "user", "content": "q " * 1999}] * 4
        return _code(lambda: chat.create(model="auto", messages=long)) == "context_length_exceeded"

    return {
        "models": lambda: client.models.list().data[0].id == "auto",
        "chat": lambda: bool(asked().choices[0].message.content),
        "chat stream": streamed,
        "logprobs": logprobs,
        "history with empty messages": history,
        "responses": lambda: bool(responses.create(model="auto", input="hello").output_text),
        "responses stream": response_stream,
        "completions": lambda: bool(
            client.completions.create(model="auto", prompt="hello").choices[0].text
        ),
        "context overflow": overflow,
        "unknown model": lambda: (
            _code(lambda: chat.create(model="gpt-4o", messages=MESSAGES)) == "unknown-model"
        ),
        "embeddings refused": lambda: (
            _code(lambda: client.embeddings.create(model="auto", input="x")) == "not-found"
        ),
    }


def _code(call: Callable[[], object]) -> str | None:
    try:
        call()
    except openai.APIStatusError as error:
        return error.code
    return None


def main() -> None:
    """Print the result of each feature."""
    client = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key="unused", max_retries=0)
    for name, check in features(client).items():
        try:
            result = "ok" if check() else "wrong answer"
        except Exception as error:  # noqa: BLE001 (every failure is reported)
            result = f"{type(error).__name__}: {error}"
        print(f"openai (Python) | {name} | {result}")


if __name__ == "__main__":
    main()
