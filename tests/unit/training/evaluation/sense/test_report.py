"""Measures of sense of each arm, with an encoder that compares the words of two texts."""

from collections.abc import Sequence
from pathlib import Path

import torch

from models.emotions import LABELS
from support.tiny_models import tiny_bert
from training.evaluation.sense.arms import CONSTANT, FEW_SHOT, few_shot_pairs, references
from training.evaluation.sense.encoder import SentenceEncoder
from training.evaluation.sense.report import Answered, sense_report


class WordEncoder(SentenceEncoder):
    """Encodes a text as its words, so that texts with the same words are alike."""

    def __init__(self) -> None:
        self.words: dict[str, int] = {}

    def vectors(self, texts: Sequence[str]) -> torch.Tensor:
        result = torch.zeros(len(texts), 4096)
        for row, text in enumerate(texts):
            for word in text.split():
                result[row, self.words.setdefault(word, len(self.words))] = 1
        return torch.nn.functional.normalize(result, dim=-1)


def test_answers_of_the_message_are_picked_and_a_constant_one_is_not() -> None:
    messages = {label: [f"{label} {number}" for number in range(40)] for label in LABELS}
    arms = {
        "good": {
            label: [Answered(text, f"about {text}") for text in own]
            for label, own in messages.items()
        },
        "constant": {
            label: [Answered(text, CONSTANT[label]) for text in own]
            for label, own in messages.items()
        },
    }
    report = sense_report(WordEncoder(), "words", arms)
    good, constant = report.arms["good"], report.arms["constant"]
    assert (good.answers, good.candidates) == (240, 50)
    assert good.message_p1.value == good.answer_p1.value == good.message_mrr == 1
    assert good.message_p1.low < 1
    assert constant.answer_p1.value == 0
    assert constant.message_p1.value < 0.1
    assert constant.self_bleu == 1
    assert constant.trigram_share == 1 / 6
    assert good.trigram_share < 0.02


def test_every_persona_has_references_examples_and_a_constant_sentence() -> None:
    for persona in LABELS:
        assert len(references(persona)) == 40
        pairs = few_shot_pairs(persona)
        assert len({pair.answer for pair in pairs}) == FEW_SHOT
        assert len({pair.topic for pair in pairs}) > 1
    assert len(set(CONSTANT.values())) == 6


def test_encoder_returns_a_unit_vector_for_each_text_in_order(tmp_path: Path) -> None:
    encoder = SentenceEncoder(tiny_bert(tmp_path))
    texts = ["I got the job!", "Hm.", "I got the job!"]
    found = encoder.vectors(texts)
    assert torch.allclose(found.norm(dim=-1), torch.ones(3))
    assert torch.equal(found[0], found[2])
    assert not torch.allclose(found[0], found[1])
    assert torch.allclose(found[1], encoder.vectors(["Hm."])[0], atol=1e-5)
