"""Plan a training without running it: stages, parameters, memory and time.

    recipe -> rows and tokens, by the real tokenizer -> parameters, of a model without storage
           -> memory and time

Memory is an estimate. Time is estimated from FLOPs, or measured with a few real steps: only that
loads weights.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from pydantic import Field
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from models.emotions import LABELS, Emotion
from models.precision import device_name, has_gpu, training_dtype
from models.schema import FrozenModel
from models.weights.cache import Materialized, materialize
from training.datasets.mixture import training_examples
from training.detector.train import Rows, trainable_model, with_trainable_part
from training.detector.train import make_trainer as detector_trainer
from training.jobs.memory import Memory, detector_activations, memory_of, persona_activations
from training.jobs.stage import PlannedStage, build_stage, persona_stages
from training.jobs.timing import (
    Timing,
    estimate_from_flops,
    head_parameters,
    measure_steps,
)
from training.personas.backends import choose_backend
from training.personas.trainer import TrainingStage
from training.personas.trainer import make_trainer as persona_trainer
from training.recipe import DetectorRecipe, PersonaRecipe
from training.runs.machine import prepare_machine
from training.runs.progress import console, quiet_libraries


class Plan(FrozenModel):
    """Size, needs and duration of a training on this machine."""

    base: str
    backend: str
    device: str
    stages: tuple[PlannedStage, ...]
    trainable_parameters: int
    all_parameters: int
    memory: Memory
    seconds: float = Field(
        description="of all stages in sequence, without evaluation and checkpoints"
    )
    time_basis: str = Field(description="how the time was found")


def plan_detector(recipe: DetectorRecipe, data: Path | None, measure: bool = False) -> Plan:
    """Plan the training of a detector. `measure` times real steps.

    `data` is the folder of the public data sets, None to download them. Raises LeakError.
    """
    base = _prepare(recipe)
    rows = Rows(training_examples(recipe, data), base.folder, recipe.max_tokens)
    lengths = [(len(ids), 0) for ids in rows.ids]
    stage = build_stage(recipe.part, lengths, recipe.epochs, recipe.batch_size * recipe.workers)
    model = _detector_model(recipe, base)
    if measure:
        timing = measure_steps(
            lambda run: detector_trainer(
                trainable_model(recipe, base.folder), rows, base, recipe, run
            ),
            [stage],
        )
    else:
        timing = estimate_from_flops(model, [stage], 0)
    return Plan(
        base=base.name,
        backend="peft" if recipe.lora_rank else "transformers",
        stages=(stage,),
        memory=_detector_memory(recipe, model, stage),
        **_model_facts(model),
        **_time_facts(timing, recipe.workers),
    )


def _detector_memory(recipe: DetectorRecipe, model: Any, stage: PlannedStage) -> Memory:
    skipped_layers = recipe.lora_skip_layers if recipe.lora_rank else 0
    batch_tokens = recipe.batch_size * stage.longest
    return memory_of(model, detector_activations(model, batch_tokens, skipped_layers))


def plan_personas(
    recipe: PersonaRecipe, chosen: Sequence[Emotion] = LABELS, measure: bool = False
) -> Plan:
    """Plan the shared stage, if the recipe has one, and the stages of the chosen personas.

    `measure` times real steps. Raises BackendError.
    """
    base = _prepare(recipe)
    backend = choose_backend(recipe)
    stages = persona_stages(recipe, base, chosen)
    model = _persona_model(recipe, base)
    if measure:
        personas = LABELS if recipe.shared_epochs else (chosen[0],)
        first = TrainingStage(stages[0].name, personas)
        timing = measure_steps(lambda run: persona_trainer(first, recipe, base, run), stages)
    else:
        timing = estimate_from_flops(model, stages, head_parameters(recipe, model))
    activations = persona_activations(recipe, backend, model, stages)
    return Plan(
        base=base.name,
        backend=backend.name,
        stages=tuple(stages),
        memory=memory_of(model, activations, recipe.four_bit),
        **_model_facts(model),
        **_time_facts(timing),
    )


def _prepare(recipe: DetectorRecipe | PersonaRecipe) -> Materialized:
    quiet_libraries()
    prepare_machine(recipe.threads)
    return materialize(recipe.base, console.print)


def _detector_model(recipe: DetectorRecipe, base: Materialized) -> Any:
    """Build the model of `trainable_model`, without storage."""
    config = AutoConfig.from_pretrained(base.folder, num_labels=len(LABELS))
    dtype = torch.float32 if recipe.lora_rank is None else training_dtype()
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config, dtype=dtype)
        return with_trainable_part(recipe, model)


def _persona_model(recipe: PersonaRecipe, base: Materialized) -> Any:
    """Build the model of a backend, without storage. Scale and dropout do not affect shapes."""
    config = AutoConfig.from_pretrained(base.folder)
    modules = list(recipe.lora_modules)
    lora = LoraConfig(r=recipe.lora_rank, target_modules=modules, task_type="CAUSAL_LM")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=training_dtype())
        return get_peft_model(model, lora)


def _model_facts(model: Any) -> dict[str, Any]:
    parameters = list(model.parameters())
    return {
        "device": device_name(),
        "trainable_parameters": sum(each.numel() for each in parameters if each.requires_grad),
        "all_parameters": sum(each.numel() for each in parameters),
    }


def _time_facts(timing: Timing, workers: int = 1) -> dict[str, Any]:
    """Divide the time among workers with a GPU each; workers without one share this machine."""
    devices = workers if has_gpu() else 1
    return {"seconds": timing.seconds / devices, "time_basis": timing.basis}
