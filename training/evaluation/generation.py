"""Answers of a persona to many messages at once, by three arms, sampled as serving samples by default.

    base         the bare model, as `base` is served
    instruction  the bare model, told who it is: what a persona without an adapter gets
    adapter      the persona's LoRA adapter

Plain transformers and PEFT, so that it runs wherever training runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, LogitsProcessor, LogitsProcessorList

from models.emotions import LABELS, Emotion
from models.generation import DEFAULT_MAX_TOKENS, DEFAULT_TEMPERATURE, DEFAULT_TOP_P
from models.personas import builtin_personas
from models.prompt import BASE_SPEAKER, BASE_STOP, PERSONA_STOP, PromptEncoder, Turn
from models.weights.cache import Materialized

BATCH = 40
NUCLEUS_MOST = 512


class Arm(StrEnum):
    BASE = "base"
    INSTRUCTION = "instruction"
    ADAPTER = "adapter"


@dataclass(frozen=True, slots=True)
class Settings:
    """What serving uses when a request says nothing."""

    max_tokens: int = DEFAULT_MAX_TOKENS
    temperature: float = DEFAULT_TEMPERATURE
    top_p: float = DEFAULT_TOP_P
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """An answer, and whether it ended by itself."""

    text: str
    ended: bool


class Nucleus(LogitsProcessor):  # type: ignore[misc]
    """Draws the next token by temperature and top-p (Holtzman et al. 2019, https://arxiv.org/abs/1904.09751) for greedy search to take.

    Neither sorting nor drawing goes over all 262,144 tokens. Probabilities are exact; a nucleus of more than `NUCLEUS_MOST` is cut there.
    """

    def __init__(self, temperature: float, top_p: float) -> None:
        self.temperature, self.top_p = temperature, top_p

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """`scores` `(batch, vocabulary)`; the same with infinity at one token of each row, the one drawn."""
        tokens, shares = self.nucleus(scores)
        drawn = tokens.gather(-1, torch.multinomial(shares, 1))
        return scores.scatter_(-1, drawn, torch.inf)

    def nucleus(self, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and their probabilities, both `(batch, at most NUCLEUS_MOST)`, likeliest first, 0 outside of the nucleus."""
        best, tokens = scores.float().topk(min(NUCLEUS_MOST, scores.shape[-1]), dim=-1)
        whole = (scores.float() / self.temperature).logsumexp(-1, keepdim=True)
        shares = (best / self.temperature - whole).exp()
        return tokens, shares.masked_fill(shares.cumsum(-1) - shares >= self.top_p, 0)


class Writer:
    """The base model with every persona's adapter of `adapters` in it: one folder a persona, as training and publishing write them."""

    def __init__(self, base: Materialized, adapters: dict[Emotion, Path]) -> None:
        self.encoder = PromptEncoder(base.folder / "tokenizer.json")
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = AutoModelForCausalLM.from_pretrained(base.folder, dtype=torch.bfloat16).to(device)
        model.get_output_embeddings().register_forward_pre_hook(_contiguous)
        first, *others = [persona for persona in LABELS if persona in adapters]
        self.model = PeftModel.from_pretrained(model, adapters[first], adapter_name=first).eval()
        for persona in others:
            self.model.load_adapter(adapters[persona], adapter_name=persona)

    def write(self, arm: Arm, persona: Emotion, messages: Sequence[str], settings: Settings) -> list[Written]:
        """One answer a message, in order. The same seed, messages and machine give the same answers."""
        torch.manual_seed(settings.seed)
        prompts = [self._prompt(arm, persona, message) for message in messages]
        answers: list[Written] = []
        for start in range(0, len(prompts), BATCH):
            answers += self._batch(arm, persona, prompts[start : start + BATCH], settings)
        return answers

    def _prompt(self, arm: Arm, persona: Emotion, message: str) -> list[int]:
        turns = [Turn("user", message)]
        if arm is Arm.BASE:
            return self.encoder.prompt(BASE_SPEAKER, turns)
        character = builtin_personas()[persona]
        return self.encoder.prompt(character.name, turns, character.instruction if arm is Arm.INSTRUCTION else None)

    @torch.inference_mode()
    def _batch(self, arm: Arm, persona: Emotion, prompts: list[list[int]], settings: Settings) -> list[Written]:
        width = max(map(len, prompts))
        ids = torch.tensor([[self.encoder.eos_id] * (width - len(prompt)) + prompt for prompt in prompts], device=self.model.device)
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=self.model.device)
        draw = LogitsProcessorList([Nucleus(settings.temperature, settings.top_p)] if settings.temperature > 0 else [])
        sampling = {"do_sample": False, "logits_processor": draw, "max_new_tokens": settings.max_tokens}
        stops = self.encoder.line_end_ids() if arm is Arm.ADAPTER else []
        ends = {"eos_token_id": [self.encoder.eos_id, *stops], "pad_token_id": self.encoder.eos_id}
        if arm is Arm.ADAPTER:
            self.model.set_adapter(persona)
            made = self.model.generate(input_ids=ids, attention_mask=mask, **sampling, **ends)
        else:
            with self.model.disable_adapter():
                made = self.model.generate(input_ids=ids, attention_mask=mask, **sampling, **ends)
        return [self._written(arm, row) for row in made[:, width:].tolist()]

    def _written(self, arm: Arm, ids: list[int]) -> Written:
        eos = self.encoder.eos_id in ids
        text = self.encoder.text(ids[: ids.index(self.encoder.eos_id)] if eos else ids)
        before, stop, _ = text.partition(PERSONA_STOP if arm is Arm.ADAPTER else BASE_STOP)
        return Written(before.strip(), eos or bool(stop))


def _contiguous(_head: torch.nn.Module, hidden: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    """The last positions, cut from a prompt's, are not: for such, torch copies the head's weights once a row, 13 GB for a batch."""
    return (hidden[0].contiguous(),)
