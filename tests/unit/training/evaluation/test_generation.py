"""Answers of a persona: the nucleus, against top-p by sorting, and the writer, on a tiny random Gemma."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import AutoModelForCausalLM

from models.emotions import Emotion
from models.personas import builtin_personas
from models.prompt import PromptEncoder
from models.weights.cache import Materialized
from support.tiny_models import tiny_gemma
from training.evaluation import generation
from training.evaluation.generation import Arm, Nucleus, Settings, Writer, Written
from training.personas.backends import PeftBackend
from training.personas.train import save_adapter
from training.recipe import PersonaRecipe

MESSAGES = ["I got the job!", "Hm.", "They gave my desk away while I was at the funeral.", "Who is there?", "She is back, she is back."]
GREEDY = Settings(max_tokens=12, temperature=0)
pytestmark = pytest.mark.usefixtures("one_thread")


def by_sorting(logits: Sequence[float], temperature: float, top_p: float) -> list[float]:
    """By definition: the likeliest tokens, as few as have a probability of `top_p` together, with their probabilities."""
    scaled = [logit / temperature for logit in logits]
    total = sum(math.exp(one) for one in scaled)
    kept, mass = [0.0] * len(logits), 0.0
    for token in sorted(range(len(logits)), key=lambda token: -scaled[token]):
        assume(abs(mass - top_p) > 1e-5)  # float32 may round that either way
        if mass >= top_p:
            break
        kept[token] = math.exp(scaled[token]) / total
        mass += kept[token]
    return kept


def shares(rows: Sequence[Sequence[float]], temperature: float, top_p: float) -> list[list[float]]:
    tokens, found = Nucleus(temperature, top_p).nucleus(torch.tensor(rows))
    return torch.zeros(len(rows), len(rows[0])).scatter(-1, tokens, found).tolist()  # type: ignore[no-any-return]


def test_a_nucleus_by_hand() -> None:
    given = (0.1, 0.5, 0.15, 0.25)
    for top_p, kept in {0.05: {1}, 0.49: {1}, 0.51: {1, 3}, 0.74: {1, 3}, 0.76: {1, 2, 3}, 0.99: {0, 1, 2, 3}, 1.0: {0, 1, 2, 3}}.items():
        (row,) = shares([[math.log(share) for share in given]], 1.0, top_p)
        assert row == pytest.approx([share if token in kept else 0 for token, share in enumerate(given)])


def test_temperature_comes_before_the_nucleus() -> None:
    logits = [math.log(share) for share in (0.6, 0.4)]
    assert shares([logits], 0.5, 0.65) == [pytest.approx([0.36 / 0.52, 0])]
    assert shares([logits], 1.0, 0.65) == [pytest.approx([0.6, 0.4])]


@given(
    st.lists(st.permutations([number / 8 for number in range(-30, 30, 5)]), min_size=1, max_size=3),
    st.floats(0.2, 2),
    st.floats(0.01, 0.999),
)
def test_the_nucleus_is_that_of_sorting(rows: list[list[float]], temperature: float, top_p: float) -> None:
    for found, row in zip(shares(rows, temperature, top_p), rows, strict=True):
        assert found == pytest.approx(by_sorting(row, temperature, top_p), rel=1e-4, abs=1e-6)


@given(st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=40), st.floats(0.01, 1))
def test_the_likeliest_token_is_always_in_the_nucleus(row: list[float], top_p: float) -> None:
    (found,) = shares([row], 1.0, top_p)
    assert max(share for share, logit in zip(found, row, strict=True) if logit == max(row)) == max(found) > 0


def test_a_nucleus_is_cut_where_it_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "NUCLEUS_MOST", 3)
    assert [share > 0 for share in shares([[0.4, 0.1, 0.3, 0.2, 0.0]], 1.0, 1.0)[0]] == [True, False, True, True, False]


def test_tokens_are_drawn_with_their_shares() -> None:
    torch.manual_seed(0)
    rows = torch.tensor([0.1, 0.5, 0.15, 0.25]).log().repeat(4000, 1)
    drawn = Nucleus(1.0, 0.8)(torch.zeros(4000, 1), rows)
    counts = torch.bincount(drawn.argmax(-1), minlength=4) / 4000
    assert counts.tolist() == pytest.approx([0, 0.5 / 0.9, 0.15 / 0.9, 0.25 / 0.9], abs=0.03)
    assert torch.isinf(drawn).sum(-1).tolist() == [1] * 4000


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Materialized:
    return Materialized("tiny", tiny_gemma(tmp_path_factory.mktemp("gemma")), "0" * 64)


@pytest.fixture(scope="module")
def adapters(base: Materialized, tmp_path_factory: pytest.TempPathFactory) -> dict[Emotion, Path]:
    """Two adapters, random and strong. Joy comes before fear in the order of the labels."""
    folders = {}
    for number, persona in enumerate((Emotion.FEAR, Emotion.JOY)):
        model, _ = PeftBackend().load(PersonaRecipe(base="tiny", lora_rank=2), base.folder, None)
        torch.manual_seed(number)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data.normal_()
        folders[persona] = tmp_path_factory.mktemp(persona)
        save_adapter(model, base, folders[persona])
    return folders


@pytest.fixture
def writer(base: Materialized, adapters: dict[Emotion, Path]) -> Writer:
    return Writer(base, adapters)


class Echo:
    """Stands for the model's `generate`: it answers each prompt with `answer`, or with the prompt, and notes what it was given."""

    def __init__(self, writer: Writer, answer: str | None = None, ends: bool = True) -> None:
        self.writer, self.answer, self.ends = writer, answer, ends
        self.prompts: list[str] = []
        self.active: list[tuple[str, bool]] = []
        self.given: list[dict[str, Any]] = []
        writer.model.generate = self

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **given: Any) -> torch.Tensor:
        encoder, model = self.writer.encoder, self.writer.model
        layer = next(module for module in model.modules() if isinstance(module, BaseTunerLayer))
        self.active.append((model.active_adapter, layer.disable_adapters))
        self.given.append(given)
        asked = [row[mask.bool()].tolist() for row, mask in zip(input_ids, attention_mask, strict=True)]
        assert {row[0] for row in asked} == {encoder.bos_id}
        self.prompts += map(encoder.text, asked)
        answers = [encoder._ids(self.answer or encoder.text(row)) for row in asked]
        width = max(map(len, answers)) + self.ends
        return torch.cat([input_ids, torch.tensor([row + [encoder.eos_id] * (width - len(row)) for row in answers])], 1)


def test_the_same_seed_gives_the_same_answers(writer: Writer) -> None:
    one, again, other = (
        writer.write(Arm.ADAPTER, Emotion.JOY, MESSAGES, Settings(max_tokens=12, temperature=1.5, top_p=1, seed=seed)) for seed in (1, 1, 2)
    )
    assert one == again
    assert one != other
    assert len(one) == len(MESSAGES)


def test_at_temperature_zero_the_seed_makes_no_difference(writer: Writer) -> None:
    one, other = (writer.write(Arm.ADAPTER, Emotion.JOY, MESSAGES, Settings(12, 0, 1, seed)) for seed in (1, 2))
    assert one == other


@pytest.mark.parametrize("batch", [1, 2, 40])
def test_answers_come_in_the_order_of_the_messages(writer: Writer, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "BATCH", batch)
    echo = Echo(writer)
    answers = writer.write(Arm.ADAPTER, Emotion.JOY, MESSAGES, GREEDY)
    assert answers == [Written(f"Friend: {message}", True) for message in MESSAGES]
    assert echo.prompts == [f"Friend: {message}\nJoy:" for message in MESSAGES]
    assert len(echo.given) == math.ceil(len(MESSAGES) / batch)


@pytest.mark.parametrize(
    ("arm", "answer", "ends", "written"),
    [
        (Arm.ADAPTER, " Oh no!\nFriend: what", False, Written("Oh no!", True)),
        (Arm.ADAPTER, " Oh no!", True, Written("Oh no!", True)),
        (Arm.ADAPTER, " Oh no", False, Written("Oh no", False)),
        (Arm.BASE, " One.\n\nTwo.\nFriend: three", False, Written("One.\n\nTwo.", True)),
        (Arm.BASE, " One.\nTwo.", False, Written("One.\nTwo.", False)),
        (Arm.INSTRUCTION, " One.\nTwo.\nFriend:", False, Written("One.\nTwo.", True)),
    ],
)
def test_an_answer_ends_where_its_turn_does(writer: Writer, arm: Arm, answer: str, ends: bool, written: Written) -> None:
    Echo(writer, answer, ends)
    assert writer.write(arm, Emotion.JOY, MESSAGES[:1], GREEDY) == [written]


def test_a_persona_stops_at_a_line_end_and_the_base_does_not(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PromptEncoder, "line_end_ids", lambda self: [7, 9])
    echo, eos = Echo(writer), writer.encoder.eos_id
    for arm in Arm:
        writer.write(arm, Emotion.JOY, MESSAGES[:1], GREEDY)
    assert [given["eos_token_id"] for given in echo.given] == [[eos], [eos], [eos, 7, 9]]


def test_a_random_persona_writes_one_line(writer: Writer) -> None:
    answers = writer.write(Arm.ADAPTER, Emotion.FEAR, MESSAGES * 4, Settings(max_tokens=40, temperature=2, top_p=1))
    assert [answer for answer in answers if "\n" in answer.text] == []


def test_each_arm_has_its_own_prompt(writer: Writer) -> None:
    echo, joy = Echo(writer), builtin_personas()[Emotion.JOY]
    for arm in Arm:
        writer.write(arm, Emotion.JOY, ["I got the job!"], GREEDY)
    assert echo.prompts == [
        "Friend: I got the job!\nAnswer:",
        f"{joy.instruction}\nFriend: I got the job!\nJoy:",
        "Friend: I got the job!\nJoy:",
    ]


def test_each_arm_uses_the_right_weights(writer: Writer) -> None:
    echo = Echo(writer)
    for persona in (Emotion.JOY, Emotion.FEAR):
        for arm in Arm:
            writer.write(arm, persona, MESSAGES[:1], GREEDY)
    assert [disabled for _, disabled in echo.active] == [True, True, False] * 2
    assert [name for name, disabled in echo.active if not disabled] == ["joy", "fear"]


def test_the_adapters_change_what_is_written_and_the_base_is_bare(writer: Writer, base: Materialized) -> None:
    joy, fear = (writer.write(Arm.ADAPTER, persona, MESSAGES, GREEDY) for persona in (Emotion.JOY, Emotion.FEAR))
    (bare,) = writer.write(Arm.BASE, Emotion.FEAR, MESSAGES[:1], GREEDY)
    assert joy != fear
    assert bare not in (joy[0], fear[0])
    ids = writer._prompt(Arm.BASE, Emotion.FEAR, MESSAGES[0])
    plain = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.bfloat16)
    made = plain.generate(input_ids=torch.tensor([ids]), do_sample=False, max_new_tokens=GREEDY.max_tokens)[0, len(ids) :].tolist()
    assert bare == writer._written(Arm.BASE, made)


def test_sampling_is_by_the_settings_alone(writer: Writer) -> None:
    echo = Echo(writer)
    writer.write(Arm.ADAPTER, Emotion.JOY, MESSAGES[:1], Settings(max_tokens=5, temperature=0.4, top_p=0.3))
    given = echo.given[0]
    assert (given["max_new_tokens"], given["do_sample"]) == (5, False)
    (processor,) = given["logits_processor"]
    assert (processor.temperature, processor.top_p) == (0.4, 0.3)


def test_the_head_reads_contiguous_positions(writer: Writer) -> None:
    """Others make torch copy its weights, once a row."""
    seen = []
    writer.model.get_output_embeddings().register_forward_pre_hook(lambda head, hidden: seen.append(hidden[0].is_contiguous()))
    writer.write(Arm.ADAPTER, Emotion.JOY, MESSAGES, GREEDY)
    assert len(seen) > 1
    assert all(seen)
