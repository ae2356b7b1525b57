"""Correctness of the replies under load, compared with replies of the idle server.

The emotion is correct if the idle server finds the same one, the adapter if the idle server replies
as that persona with the same one. A probe's greedy text is correct if no other persona's text is
closer to it: batched bf16 may change one token, and the text differs from there on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any

import aiohttp
from pydantic import BaseModel, Field

from load.harness.arrivals import Send
from load.harness.outcomes import Outcome
from load.harness.workload import probe_requests
from models.emotions import LABELS, Emotion

MAX_TEXTS = 128  # per arm, classified again one by one


class Reference(BaseModel):
    """Replies of an idle server to one probe, by persona."""

    texts: dict[Emotion, str]
    adapters: dict[Emotion, str | None]


class Score(BaseModel):
    """Numbers of replies, and of the correct ones among them."""

    emotions: int = 0
    correct_emotions: int = 0
    adapters: int = 0
    correct_adapters: int = 0
    probes: int = 0
    closest: int = Field(default=0, description="probes that are closest to their own persona")
    identical: int = Field(default=0, description="probes with exactly the reference text")
    common_prefix: float = Field(default=0.0, description="mean share of the reference's words")
    wrong: list[str] = Field(default=[], description="probes that are closer to another persona")


async def collect_references(send: Send, report: Callable[[str], None]) -> list[Reference]:
    """Collect the reply to each probe as each persona, one after the other.

    Raises:
        RuntimeError: the idle server did not reply.
    """
    references = []
    probes = probe_requests()
    for probe in probes:
        replies = {
            label: await send(replace(probe, persona=label, emotion=label)) for label in LABELS
        }
        failed = next((reply for reply in replies.values() if reply.end != "ok"), None)
        if failed:
            raise RuntimeError(f"the idle server did not reply: {failed.end} {failed.error}")
        texts = {label: reply.text for label, reply in replies.items()}
        adapters = {label: reply.adapter for label, reply in replies.items()}
        references.append(Reference(texts=texts, adapters=adapters))
        report(f"replies of the idle server: {len(references)} of {len(probes)} probes")
    return references


async def classify_again(
    session: aiohttp.ClientSession, url: str, outcomes: Sequence[Outcome]
) -> dict[str, Emotion]:
    """Classify the texts one by one, up to `MAX_TEXTS` different ones."""
    emotions: dict[str, Emotion] = {}
    texts = list(dict.fromkeys(outcome.message for outcome in outcomes if outcome.detected))
    for text in texts[:MAX_TEXTS]:
        async with session.post(f"{url}/v1/detect", json={"text": text}) as response:
            response.raise_for_status()
            body: dict[str, Any] = await response.json()
            emotions[text] = Emotion(body["results"][0]["label"])
    return emotions


def score_outcomes(
    outcomes: Sequence[Outcome],
    emotions: Mapping[str, Emotion],
    references: Sequence[Reference],
) -> Score:
    """Score the complete replies.

    Args:
        outcomes: All outcomes of an arm.
        emotions: Emotion of each text that was classified again.
        references: Replies of the idle server by probe; empty to score no text and no adapter.
    """
    score = Score()
    for outcome in outcomes:
        if outcome.end != "ok":
            continue
        if outcome.detected and outcome.message in emotions:
            score.emotions += 1
            score.correct_emotions += outcome.detected == emotions[outcome.message]
        if references:
            _score_adapter(score, outcome, references[0])
            _score_text(score, outcome, references)
    score.common_prefix = score.common_prefix / score.probes if score.probes else 0
    return score


def _score_adapter(score: Score, outcome: Outcome, reference: Reference) -> None:
    # A safety reply has no tokens and no adapter.
    if outcome.detected and outcome.completion_tokens:
        score.adapters += 1
        score.correct_adapters += outcome.adapter == reference.adapters[outcome.detected]


def _score_text(score: Score, outcome: Outcome, references: Sequence[Reference]) -> None:
    if outcome.probe is None:
        return
    persona = outcome.detected or outcome.emotion
    texts = references[outcome.probe].texts
    score.probes += 1
    score.identical += outcome.text.strip() == texts[persona].strip()
    score.common_prefix += common_prefix(outcome.text, texts[persona])
    if is_closest(outcome.text, persona, texts):
        score.closest += 1
    else:
        score.wrong.append(f"{persona}: {outcome.text} (idle: {texts[persona]})")


def is_closest(text: str, persona: Emotion, texts: Mapping[Emotion, str]) -> bool:
    """Decide whether no other persona's text is closer; equally close ones are both correct."""
    similarities = {label: similarity(text, other) for label, other in texts.items()}
    return similarities[persona] >= max(similarities.values())


def similarity(left: str, right: str) -> tuple[float, float]:
    """Measure the common prefix first, then the rest.

    Greedy texts are equal until one token differs.
    """
    matcher = SequenceMatcher(None, left.split(), right.split(), autojunk=False)
    return common_prefix(left, right), matcher.ratio()


def common_prefix(left: str, right: str) -> float:
    """Compute the share of the longer text's words that both begin with."""
    left_words = left.split()
    right_words = right.split()
    if not left_words and not right_words:
        return 1.0
    pairs = zip(left_words, right_words, strict=False)
    shorter = min(len(left_words), len(right_words))
    same = next((number for number, (a, b) in enumerate(pairs) if a != b), shorter)
    return same / max(len(left_words), len(right_words))
