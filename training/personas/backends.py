"""Training backends for LoRA: PEFT on any machine, or Unsloth on a GPU.

    recipe, base, start -> (model with trainable LoRA, tokenizer) -> trainer, the same for both

Unsloth is faster and needs less memory, but works only with an accelerator.
"""

import importlib.util
from pathlib import Path
from typing import Any, Protocol

import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from models.attention import attention_of
from models.machine.precision import has_gpu, training_dtype
from models.manifest import ADAPTER_WEIGHTS
from training.errors import BackendError
from training.recipe import PersonaRecipe


class Backend(Protocol):
    """Loader of the model that the trainer trains."""

    name: str

    def load(self, recipe: PersonaRecipe, base: Path, start: Path | None) -> tuple[PeftModel, Any]:
        """Load the base weights with trainable LoRA, and the tokenizer.

        `start` is the folder of an adapter to continue from, None for a new adapter. Raises
        BackendError if that adapter does not fit the model.
        """
        ...


class PeftBackend:
    """PEFT: base weights in the type that the device computes in fastest, LoRA in float32."""

    name = "peft"

    def load(self, recipe: PersonaRecipe, base: Path, start: Path | None) -> tuple[PeftModel, Any]:
        """Load the base weights with trainable LoRA, and the tokenizer."""
        lora = LoraConfig(
            r=recipe.lora_rank,
            lora_alpha=recipe.lora_alpha,
            lora_dropout=recipe.lora_dropout,
            target_modules=list(recipe.lora_modules),
            task_type="CAUSAL_LM",
        )
        model = AutoModelForCausalLM.from_pretrained(
            base, dtype=torch.bfloat16, attn_implementation=attention_of(base)
        ).to(training_dtype())  # serving has bf16 weights, so these values are trained on
        adapted = load_start_weights(get_peft_model(model, lora), start)
        return adapted, AutoTokenizer.from_pretrained(base)


class UnslothBackend:
    """Unsloth's patched model (https://docs.unsloth.ai), with 4-bit base weights on request.

    It brings fused kernels and its own gradient checkpointing.
    """

    name = "unsloth"

    def load(self, recipe: PersonaRecipe, base: Path, start: Path | None) -> tuple[PeftModel, Any]:
        """Load the base weights with trainable LoRA, and the tokenizer."""
        from unsloth import FastLanguageModel  # its import fails without an accelerator

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
        return load_start_weights(model, start), tokenizer


def load_start_weights(model: PeftModel, start: Path | None) -> PeftModel:
    """Copy the LoRA matrices of the adapter `start` into the model.

    Raises BackendError if the matrices do not fit the model.
    """
    if start is None:
        return model
    try:
        result = set_peft_model_state_dict(model, load_file(start / ADAPTER_WEIGHTS))
    except RuntimeError as error:  # the shapes differ
        raise BackendError(f"adapter {start} does not fit the model: {error}") from error
    missing = [name for name in result.missing_keys if "lora_" in name]
    names = result.unexpected_keys or missing
    if names:
        raise BackendError(
            f"adapter {start} does not fit the model, tensors differ: {', '.join(names[:3])}; "
            "use the lora_modules that it was trained with"
        )
    return model


def choose_backend(recipe: PersonaRecipe) -> Backend:
    """Choose the backend by the recipe and the machine.

    Raises BackendError if the recipe needs Unsloth and this machine cannot run it.
    """
    available = has_gpu() and importlib.util.find_spec("unsloth") is not None
    if recipe.backend == "unsloth" and not available:
        raise BackendError(
            "the unsloth backend needs a GPU and the packages of requirements/train-gpu.txt: "
            "run `make train-gpu`"
        )
    unsloth = available and recipe.backend != "peft" and training_dtype() is torch.bfloat16
    if recipe.backend == "unsloth" and not unsloth:
        raise BackendError(
            "the unsloth backend needs a GPU with bf16 (Ampere or newer), since Gemma is unstable "
            'in the fp16 that it would use here: set backend = "peft" to train in float32'
        )
    if recipe.four_bit and not unsloth:
        raise BackendError(
            "four_bit needs the unsloth backend: set four_bit = false or run `make train-gpu`"
        )
    return UnslothBackend() if unsloth else PeftBackend()
