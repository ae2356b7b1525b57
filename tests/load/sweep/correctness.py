"""Was what was answered under load right? Asked once more of an idle server: the emotion of every text, and the probes as each persona.

The emotion is right if it is the one found alone, the adapter if it is the one that an idle server lets answer as that persona. A probe's
greedy text is right if no other persona's text is closer to it; batched bf16 may differ in a token, and goes other ways from there on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any

import aiohttp
from pydantic import BaseModel

from load.harness.arrivals import Send
from load.harness.outcomes import Outcome
from load.harness.workload import probes
from models.emotions import LABELS, Emotion

MAX_TEXTS = 128  # of one arm whose emotion is found once more, one by one


class Reference(BaseModel):
    """What an idle server says to one probe as each persona, and which adapter says it."""

    texts: dict[Emotion, str]
    adapters: dict[Emotion, str | None]


class Score(BaseModel):
    """Counts. `closest` leaves out nothing: a probe that is closer to another persona's text is the difference to `probes`."""

    emotions: int = 0
    emotion_as_alone: int = 0
    adapters: int = 0
    adapter_right: int = 0
    probes: int = 0
    closest: int = 0
    identical: int = 0
    common_prefix: float = 0  # mean share of the reference's words
    wrong: list[str] = []


async def references(send: Send, tell: Callable[[str], None]) -> list[Reference]:
    """One request after the other, so nothing is batched. Raises RuntimeError if an idle server does not answer."""
    found = []
    for probe in probes():
        answers = {label: await send(replace(probe, persona=label, emotion=label)) for label in LABELS}
        bad = next((one for one in answers.values() if one.end != "ok"), None)
        if bad:
            raise RuntimeError(f"an idle server did not answer: {bad.end} {bad.problem}")
        texts = {label: one.text for label, one in answers.items()}
        found.append(Reference(texts=texts, adapters={label: one.adapter for label, one in answers.items()}))
        tell(f"idle answers: {len(found)} of {len(probes())} probes")
    return found


async def detected_alone(client: aiohttp.ClientSession, url: str, outcomes: Sequence[Outcome]) -> dict[str, Emotion]:
    """The emotion of each text, one by one, of as many different ones as there is time for."""
    found: dict[str, Emotion] = {}
    for text in list(dict.fromkeys(one.asked for one in outcomes if one.detected))[:MAX_TEXTS]:
        async with client.post(f"{url}/v1/detect", json={"text": text}) as reply:
            reply.raise_for_status()
            body: dict[str, Any] = await reply.json()
            found[text] = Emotion(body["results"][0]["label"])
    return found


def scored(outcomes: Sequence[Outcome], alone: Mapping[str, Emotion], idle: Sequence[Reference]) -> Score:
    """Of the whole answers; `idle` may be empty, and then no text is scored."""
    score = Score()
    for one in outcomes:
        if one.end != "ok":
            continue
        if one.detected and one.asked in alone:
            score.emotions += 1
            score.emotion_as_alone += one.detected == alone[one.asked]
        if idle:
            _score_answer(score, one, idle)
    score.common_prefix = score.common_prefix / score.probes if score.probes else 0
    return score


def _score_answer(score: Score, one: Outcome, idle: Sequence[Reference]) -> None:
    persona = one.detected or one.emotion
    if one.detected and one.completion_tokens:  # without any, it spoke of harm and no persona answered
        score.adapters += 1
        score.adapter_right += one.adapter == idle[0].adapters[persona]
    if one.probe is None:
        return
    texts = idle[one.probe].texts
    score.probes += 1
    score.identical += one.text.strip() == texts[persona].strip()
    score.common_prefix += common_prefix(one.text, texts[persona])
    if is_closest(one.text, persona, texts):
        score.closest += 1
    else:
        score.wrong.append(f"{persona}: {one.text} (idle: {texts[persona]})")


def is_closest(text: str, persona: Emotion, texts: Mapping[Emotion, str]) -> bool:
    """No other persona's text is closer than its own; where two say the same, both are right."""
    near = {label: closeness(text, other) for label, other in texts.items()}
    return near[persona] >= max(near.values())


def closeness(left: str, right: str) -> tuple[float, float]:
    """Words that begin both, then how alike the rest is: greedy texts are the same until one token differs."""
    return common_prefix(left, right), SequenceMatcher(None, left.split(), right.split(), autojunk=False).ratio()


def common_prefix(left: str, right: str) -> float:
    """Share of the longer one's words with which both begin; 1 for two that are empty."""
    ours, theirs = left.split(), right.split()
    same = next((n for n, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))
    return same / max(len(ours), len(theirs)) if ours or theirs else 1.0
