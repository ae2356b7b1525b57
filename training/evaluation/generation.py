"""Generate a persona's answers to many messages in batches, in one of four arms.

    base         the bare model, as `base` is served
    instruction  the bare model with the persona's instruction, as a persona without an adapter
    few-shot     the bare model with the instruction and four written pairs before the message
    adapter      the model with the persona's LoRA adapter

Two more arms are written and not generated: a constant sentence, and the references. It uses
transformers and PEFT instead of the serving engine, so it runs wherever training runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, LogitsProcessorList

from models.attention import attention_of
from models.emotions import LABELS, Emotion
from models.machine.precision import training_device, training_dtype
from models.personas import builtin_personas
from models.prompt import BASE_SPEAKER, BASE_STOP, PERSONA_STOP, PromptEncoder, Turn
from models.weights.cache import Materialized
from training.datasets.persona_pairs import Pair
from training.evaluation.sampling import NucleusSampler, SamplingSettings
from training.evaluation.sense.arms import few_shot_turns

BATCH_SIZE = 40


class Arm(StrEnum):
    """A way to answer as a persona."""

    BASE = "base"
    INSTRUCTION = "instruction"
    FEW_SHOT = "few-shot"
    ADAPTER = "adapter"
    CONSTANT = "constant"
    REFERENCE = "reference"


GENERATED = (Arm.BASE, Arm.INSTRUCTION, Arm.FEW_SHOT, Arm.ADAPTER)
ONE_LINE = (Arm.FEW_SHOT, Arm.ADAPTER)  # arms in which the model has seen that a turn is one line


@dataclass(frozen=True, slots=True)
class GeneratedAnswer:
    """The text of an answer."""

    text: str
    finished: bool  # the answer ended before the token limit


class PersonaGenerator:
    """The base model with the adapters of several personas loaded.

    `adapters` maps each persona to its folder, as training and publishing write it.
    """

    def __init__(self, base: Materialized, adapters: dict[Emotion, Path]) -> None:
        self.base_name = base.name
        self.encoder = PromptEncoder(base.folder / "tokenizer.json")
        model = AutoModelForCausalLM.from_pretrained(
            base.folder,
            dtype=torch.bfloat16,  # the values that are served
            attn_implementation=attention_of(base.folder),
        )
        model.to(training_device(), training_dtype())
        model.get_output_embeddings().register_forward_pre_hook(_contiguous)
        first, *others = [persona for persona in LABELS if persona in adapters]
        peft_model = PeftModel.from_pretrained(model, adapters[first], adapter_name=first)
        self.model = peft_model.eval()
        for persona in others:
            self.model.load_adapter(adapters[persona], adapter_name=persona)

    def generate(
        self,
        arm: Arm,
        persona: Emotion,
        messages: Sequence[str],
        settings: SamplingSettings,
        one_line: bool | None = None,
    ) -> list[GeneratedAnswer]:
        """Generate one answer per message, in order. `arm` is one of `GENERATED`.

        The same seed, messages and machine give the same answers. `one_line` ends answers at a
        line end, as serving does for every persona; None: only in the arms of `ONE_LINE`.
        """
        one_line = arm in ONE_LINE if one_line is None else one_line
        torch.manual_seed(settings.seed)
        prompts = [self._prompt(arm, persona, message) for message in messages]
        answers: list[GeneratedAnswer] = []
        for start in range(0, len(prompts), BATCH_SIZE):
            batch = prompts[start : start + BATCH_SIZE]
            output = self._generate_batch(arm, persona, batch, self._arguments(settings, one_line))
            answers += [self._decode(one_line, row) for row in output]
        return answers

    @torch.inference_mode()
    def nll(self, persona: Emotion, pairs: Sequence[Pair]) -> float:
        """Return the loss of the pairs' answers under the adapter, in nats a token of an answer."""
        self.model.set_adapter(persona)
        total, tokens = 0.0, 0
        for pair in pairs:
            prompt = self.encoder.prompt(builtin_personas()[persona].name, pair.conversation)
            answer = self.encoder.completion(pair.answer)
            ids = torch.tensor([prompt + answer], device=self.model.device)
            logits = self.model(input_ids=ids, logits_to_keep=len(answer) + 1).logits[0, :-1]
            total += cross_entropy(logits.float(), ids[0, -len(answer) :], reduction="sum").item()
            tokens += len(answer)
        return total / tokens

    def _prompt(self, arm: Arm, persona: Emotion, message: str) -> list[int]:
        turns = [Turn("user", message)]
        if arm is Arm.BASE:
            return self.encoder.prompt(BASE_SPEAKER, turns)
        definition = builtin_personas()[persona]
        if arm is Arm.FEW_SHOT:
            turns = [*few_shot_turns(persona), *turns]
        instruction = None if arm is Arm.ADAPTER else definition.instruction
        return self.encoder.prompt(definition.name, turns, instruction)

    @torch.inference_mode()
    def _generate_batch(
        self, arm: Arm, persona: Emotion, prompts: list[list[int]], sampling: dict[str, Any]
    ) -> list[list[int]]:
        """Return the new token ids of each row."""
        arguments = self._padded(prompts) | sampling
        if arm is Arm.ADAPTER:
            self.model.set_adapter(persona)
            output = self.model.generate(**arguments)
        else:
            with self.model.disable_adapter():
                output = self.model.generate(**arguments)
        width = arguments["input_ids"].shape[1]
        found: list[list[int]] = output[:, width:].tolist()
        return found

    def _padded(self, prompts: list[list[int]]) -> dict[str, Any]:
        """Pad the prompts on the left to one width; return ids and mask `(batch, width)`."""
        width = max(map(len, prompts))
        ids = [[self.encoder.eos_id] * (width - len(prompt)) + prompt for prompt in prompts]
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        device = self.model.device
        return {
            "input_ids": torch.tensor(ids, device=device),
            "attention_mask": torch.tensor(mask, device=device),
        }

    def _arguments(self, settings: SamplingSettings, one_line: bool) -> dict[str, Any]:
        sampler = NucleusSampler(settings.temperature, settings.top_p)
        stop_ids = self.encoder.line_end_ids() if one_line else []
        return {
            "do_sample": False,
            "logits_processor": LogitsProcessorList([sampler] if settings.temperature > 0 else []),
            "max_new_tokens": settings.max_tokens,
            "eos_token_id": [self.encoder.eos_id, *stop_ids],
            "pad_token_id": self.encoder.eos_id,
        }

    def _decode(self, one_line: bool, ids: list[int]) -> GeneratedAnswer:
        ended = self.encoder.eos_id in ids
        text = self.encoder.text(ids[: ids.index(self.encoder.eos_id)] if ended else ids)
        answer, stop, _ = text.partition(PERSONA_STOP if one_line else BASE_STOP)
        return GeneratedAnswer(answer.strip(), ended or bool(stop))


def _contiguous(_head: torch.nn.Module, hidden: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    """Make the sliced hidden states contiguous.

    Without it torch copies the weights of the LM head once per row, 13 GB for a batch.
    """
    return (hidden[0].contiguous(),)
