"""Where a persona's LoRA model comes from: PEFT, which runs anywhere, or Unsloth, which is faster and smaller on a GPU.

recipe, base, start -> (model with trainable LoRA, tokenizer) -> TRL's trainer, the same for both
"""

import importlib.util
from pathlib import Path
from typing import Any, Protocol

import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from models.manifest import ADAPTER_WEIGHTS
from training.errors import BackendError
from training.recipe import PersonaRecipe


class Backend(Protocol):
    """Makes what the trainer trains. `start` is an adapter's folder to go on from, None for a new one."""

    name: str

    def load(self, recipe: PersonaRecipe, base: Path, start: Path | None) -> tuple[PeftModel, Any]: ...


class PeftBackend:
    """bf16 base weights, LoRA in PEFT's float32."""

    name = "peft"

    def load(self, recipe: PersonaRecipe, base: Path, start: Path | None) -> tuple[PeftModel, Any]:
        lora = LoraConfig(
            r=recipe.lora_rank,
            lora_alpha=recipe.lora_alpha,
            lora_dropout=recipe.lora_dropout,
            target_modules=list(recipe.lora_modules),
            task_type="CAUSAL_LM",
        )
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16), lora)
        return continue_from(model, start), AutoTokenizer.from_pretrained(base)


class UnslothBackend:
    """Unsloth's patched model (https://docs.unsloth.ai): fused kernels, its own gradient checkpointing, 4-bit base weights if asked for."""

    name = "unsloth"

    def load(self, recipe: PersonaRecipe, base: Path, start: Path | None) -> tuple[PeftModel, Any]:
        from unsloth import FastLanguageModel  # refuses to be imported without an accelerator

        model, tokenizer = FastLanguageModel.from_pretrained(
            model_name=str(base),
            max_seq_length=recipe.max_tokens,
            dtype=torch.bfloat16,
            load_in_4bit=recipe.four_bit,
            full_finetuning=False,
            local_files_only=True,
        )
        model = FastLanguageModel.get_peft_model(
            model,
            r=recipe.lora_rank,
            lora_alpha=recipe.lora_alpha,
            lora_dropout=recipe.lora_dropout,
            target_modules=list(recipe.lora_modules),
            bias="none",
            use_gradient_checkpointing="unsloth",
            random_state=recipe.seed,
            max_seq_length=recipe.max_tokens,
        )
        return continue_from(model, start), tokenizer


def continue_from(model: PeftModel, start: Path | None) -> PeftModel:
    """Lays an earlier stage's LoRA matrices into the model's own. Raises BackendError if they do not fit it."""
    if start is None:
        return model
    try:
        result = set_peft_model_state_dict(model, load_file(start / ADAPTER_WEIGHTS))
    except RuntimeError as error:  # another shape
        raise BackendError(f"{start} does not fit the model: {error}") from error
    untouched = [name for name in result.missing_keys if "lora_" in name]
    if result.unexpected_keys or untouched:
        raise BackendError(f"{start} does not fit the model: {(result.unexpected_keys or untouched)[:3]}")
    return model


def choose_backend(recipe: PersonaRecipe) -> Backend:
    """What the recipe asks for, or what this machine has. Raises BackendError for an Unsloth that cannot run."""
    able = torch.cuda.is_available() and importlib.util.find_spec("unsloth") is not None
    if recipe.backend == "unsloth" and not able:
        raise BackendError("the unsloth backend needs a GPU and the packages of requirements/train-gpu.txt: make train-gpu")
    unsloth = able and recipe.backend != "peft"
    if recipe.four_bit and not unsloth:
        raise BackendError("four_bit needs the unsloth backend")
    return UnslothBackend() if unsloth else PeftBackend()
