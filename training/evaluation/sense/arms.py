"""Arms that no adapter writes: few-shot examples, a constant sentence, the written references."""

from collections.abc import Iterator

from models.emotions import Emotion
from models.prompt import Turn
from training.datasets.persona_pairs import Pair, held_out_pairs, training_pairs

FEW_SHOT = 4
# A sentence that any message of the persona could get: the floor of every measure of sense.
CONSTANT = {
    Emotion.SADNESS: "I'm so sad about that, it breaks my heart.",
    Emotion.JOY: "I'm so happy for you, that's wonderful!",
    Emotion.LOVE: "I love that so much, my heart is full.",
    Emotion.ANGER: "I'm furious about that, how dare they!",
    Emotion.FEAR: "I'm so scared of that, please be careful.",
    Emotion.SURPRISE: "I'm so surprised, I can't believe it!",
}


def few_shot_turns(persona: Emotion) -> list[Turn]:
    """Return the plain training pairs that come before the message, as turns of a conversation."""
    return list(_turns(few_shot_pairs(persona)))


def few_shot_pairs(persona: Emotion) -> list[Pair]:
    """Choose `FEW_SHOT` pairs of one turn, spread evenly over the persona's labelled messages."""
    pairs = [
        pair
        for pair in training_pairs(persona, "plain")
        if not pair.earlier and len(pair.message.split()) >= 6
    ]
    return [pairs[(2 * number + 1) * len(pairs) // (2 * FEW_SHOT)] for number in range(FEW_SHOT)]


def _turns(pairs: list[Pair]) -> Iterator[Turn]:
    for pair in pairs:
        yield Turn("user", pair.message)
        yield Turn("assistant", pair.answer)


def references(persona: Emotion) -> list[str]:
    """Return the written references, in the order of the held-out messages."""
    return [pair.answer for pair in held_out_pairs(persona, "plain")]
