"""LangChain, LiteLLM and LlamaIndex: python frameworks.py http://127.0.0.1:8000."""

import sys
from collections.abc import Callable
from typing import Any

TEXT = "Hang on, you speak Finnish?!"
HISTORY = [
    {"role": "user", "content": TEXT},
    {"role": "assistant", "content": ""},
    {"role": "user", "content": TEXT},
]
Checks = dict[str, Callable[[], bool]]


def langchain(url: str) -> Checks:
    """Return the checks of `langchain-openai`."""
    from langchain_openai import ChatOpenAI

    fields: Any = {"base_url": url, "api_key": "unused", "model": "auto", "max_retries": 0}
    chat = ChatOpenAI(**fields)
    responses = ChatOpenAI(**fields, use_responses_api=True)
    return {
        "chat": lambda: bool(chat.invoke(TEXT).content),
        "chat stream": lambda: bool("".join(str(part.content) for part in chat.stream(TEXT))),
        "history with empty messages": lambda: bool(chat.invoke(HISTORY).content),
        "logprobs": lambda: bool(
            ChatOpenAI(**fields, logprobs=True, top_logprobs=5)
            .invoke(TEXT)
            .response_metadata["logprobs"]["content"]
        ),
        "responses": lambda: bool(responses.invoke(TEXT).content),
        "responses stream": lambda: any(part.content for part in responses.stream(TEXT)),
    }


def litellm(url: str) -> Checks:
    """Return the checks of `litellm`."""
    import litellm as package

    package.suppress_debug_info = True  # it prints advice between the lines of the checks
    fields: Any = {"model": "openai/auto", "api_base": url, "api_key": "unused", "num_retries": 0}

    def overflow() -> bool:
        long = [{"role": "user", "content": "q " * 1999}] * 4
        try:
            package.completion(messages=long, **fields)
        except package.ContextWindowExceededError:
            return True
        return False

    def streamed() -> bool:
        parts = package.completion(messages=HISTORY, stream=True, **fields)
        return any(part.choices[0].delta.content for part in parts)

    return {
        "chat": lambda: bool(
            package.completion(messages=HISTORY[:1], **fields).choices[0].message.content
        ),
        "chat stream": streamed,
        "history with empty messages": lambda: bool(
            package.completion(messages=HISTORY, **fields).choices[0].message.content
        ),
        "context overflow": overflow,
    }


def llama_index(url: str) -> Checks:
    """Return the checks of `llama-index-llms-openai-like`."""
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.openai_like import OpenAILike

    fields: Any = {"model": "auto", "api_base": url, "api_key": "unused", "max_retries": 0}
    model = OpenAILike(**fields, is_chat_model=True)
    history = [ChatMessage(**message) for message in HISTORY]
    return {
        "chat": lambda: bool(model.chat(history[:1]).message.content),
        "chat stream": lambda: any(part.delta for part in model.stream_chat(history[:1])),
        "history with empty messages": lambda: bool(model.chat(history).message.content),
        "completions": lambda: bool(OpenAILike(**fields, is_chat_model=False).complete(TEXT).text),
    }


def main() -> None:
    """Print the result of each feature of each framework."""
    packages = {"LangChain": langchain, "LiteLLM": litellm, "LlamaIndex": llama_index}
    for client, checks_of in packages.items():
        for name, check in checks_of(f"{sys.argv[1]}/v1").items():
            try:
                result = "ok" if check() else "wrong answer"
            except Exception as error:  # noqa: BLE001 (every failure is reported)
                result = f"{type(error).__name__}: {error}".replace("\n", " ")
            print(f"{client} | {name} | {result}")


if __name__ == "__main__":
    main()
