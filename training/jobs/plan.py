"""Plan a training without running it: stages, parameters, memory and time.

    recipe -> rows and tokens, by the real tokenizer -> parameters, of a model without storage
           -> memory and time

Memory is an estimate. Time is estimated from FLOPs, or measured with a few real steps: only that
loads weights. A recipe for a GPU can be planned without one, and without its base weights.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from pydantic import Field
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from models.emotions import LABELS, Emotion
from models.machine.precision import device_name, has_gpu, training_dtype
from models.schema import FrozenModel
from models.weights.cache import Materialized, is_cached, materialize
from training.datasets.mixture import training_examples
from training.detector.train import Rows, trainable_model, with_trainable_part
from training.detector.train import make_trainer as detector_trainer
from training.jobs.cards import Estimate, Fit, Work, fit_cards
from training.jobs.memory import Memory, detector_memory, layers_of, persona_memory
from training.jobs.stage import PlannedStage, build_stage, persona_stages
from training.jobs.stand_in import TOKEN_CHARACTERS, stand_in
from training.jobs.timing import (
    Timing,
    estimate_from_flops,
    head_parameters,
    measure_steps,
    training_flops,
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
    seconds: float | None = Field(
        description="of all stages in sequence, without evaluation and checkpoints; None: there is "
        "no GPU here, and the recipe is for one"
    )
    time_basis: str = Field(description="how the time was found")
    fits: tuple[Fit, ...] = Field(description="cards that a recipe for a GPU was fitted to")


def plan_detector(recipe: DetectorRecipe, data: Path | None, measure: bool = False) -> Plan:
    """Plan the training of a detector. `measure` times real steps.

    `data` is the folder of the public data sets, None to download them. Raises LeakError.
    """
    base = _prepare(recipe, measure)
    rows = Rows(training_examples(recipe, data), base.folder, recipe.max_tokens)
    lengths = [(len(ids), 0) for ids in rows.ids]
    stage = build_stage(recipe.part, lengths, recipe.epochs, recipe.step_rows * recipe.workers)
    model = _detector_model(recipe, base)
    if measure:
        timing = measure_steps(
            lambda run: detector_trainer(
                trainable_model(recipe, base.folder), rows, base, recipe, run
            ),
            [stage],
        )
    else:
        timing = _estimated(recipe, model, [stage], 0)

    def memory(changed: Any) -> Memory:
        return detector_memory(changed, model, stage)

    return Plan(
        base=base.name,
        backend="peft" if recipe.lora_rank else "transformers",
        stages=(stage,),
        memory=memory(recipe),
        fits=_fits(recipe, memory, _work(model, [stage], 0, 1)),
        **_model_facts(recipe, model),
        **_time_facts(timing, recipe.workers),
    )


def plan_personas(
    recipe: PersonaRecipe, chosen: Sequence[Emotion] = LABELS, measure: bool = False
) -> Plan:
    """Plan the shared stage, if the recipe has one, and the stages of the chosen personas.

    `measure` times real steps. Raises BackendError.
    """
    base = _prepare(recipe, measure)
    backend = _planned_backend(recipe)
    stages = persona_stages(recipe, base, chosen)
    model = _persona_model(recipe, base)
    if measure:
        personas = LABELS if recipe.shared_epochs else (chosen[0],)
        first = TrainingStage(stages[0].name, personas)
        timing = measure_steps(lambda run: persona_trainer(first, recipe, base, run), stages)
    else:
        timing = _estimated(recipe, model, stages, head_parameters(recipe, model))

    def memory(changed: Any) -> Memory:
        return persona_memory(changed, backend, model, stages)

    head = model.config.get_text_config().hidden_size * model.config.get_text_config().vocab_size
    return Plan(
        base=base.name,
        backend=backend,
        stages=tuple(stages),
        memory=memory(recipe),
        fits=_fits(recipe, memory, _work(model, stages, head, len(stages))),
        **_model_facts(recipe, model),
        **_time_facts(timing),
    )


def _prepare(recipe: DetectorRecipe | PersonaRecipe, measure: bool) -> Materialized:
    quiet_libraries()
    prepare_machine(recipe.threads)
    if not measure and not is_cached(recipe.base):
        shape = stand_in(recipe.base)
        if shape is not None:
            console.print(
                f"{recipe.base} is not downloaded: planned with its shape, and with tokens of "
                f"{TOKEN_CHARACTERS} characters"
            )
            return shape
    return materialize(recipe.base, console.print)


def _needs_gpu(recipe: DetectorRecipe | PersonaRecipe) -> bool:
    """Return True if the recipe is for a GPU and this machine has none: the plan is for one."""
    return recipe.worker_gpus > 0 and not has_gpu()


def _planned_backend(recipe: PersonaRecipe) -> str:
    """Return the backend that would train. Raises BackendError if this machine cannot run it."""
    if _needs_gpu(recipe):
        return "peft" if recipe.backend == "peft" else "unsloth"
    return choose_backend(recipe).name


def _planned_dtype(recipe: DetectorRecipe | PersonaRecipe) -> torch.dtype:
    return torch.bfloat16 if _needs_gpu(recipe) else training_dtype()


def _estimated(
    recipe: DetectorRecipe | PersonaRecipe, model: Any, stages: Sequence[PlannedStage], head: int
) -> Timing:
    if _needs_gpu(recipe):
        return Timing(None, "this machine has no GPU; see the cards")
    return estimate_from_flops(model, stages, head)


def _work(model: Any, stages: Sequence[PlannedStage], head: int, processes: int) -> Work:
    steps = sum(stage.steps for stage in stages)
    return Work(training_flops(model, stages, head), steps, layers_of(model), processes)


def _fits(recipe: DetectorRecipe | PersonaRecipe, memory: Estimate, work: Work) -> tuple[Fit, ...]:
    return fit_cards(recipe, memory, work) if recipe.worker_gpus else ()


def _detector_model(recipe: DetectorRecipe, base: Materialized) -> Any:
    """Build the model of `trainable_model`, without storage."""
    config = AutoConfig.from_pretrained(base.folder, num_labels=len(LABELS))
    dtype = torch.float32 if recipe.lora_rank is None else _planned_dtype(recipe)
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config, dtype=dtype)
        return with_trainable_part(recipe, model)


def _persona_model(recipe: PersonaRecipe, base: Materialized) -> Any:
    """Build the model of a backend, without storage. Scale and dropout do not affect shapes."""
    config = AutoConfig.from_pretrained(base.folder)
    modules = list(recipe.lora_modules)
    lora = LoraConfig(r=recipe.lora_rank, target_modules=modules, task_type="CAUSAL_LM")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=_planned_dtype(recipe))
        return get_peft_model(model, lora)


def _model_facts(recipe: DetectorRecipe | PersonaRecipe, model: Any) -> dict[str, Any]:
    parameters = list(model.parameters())
    return {
        "device": "a GPU" if _needs_gpu(recipe) else device_name(),
        "trainable_parameters": sum(each.numel() for each in parameters if each.requires_grad),
        "all_parameters": sum(each.numel() for each in parameters),
    }


def _time_facts(timing: Timing, workers: int = 1) -> dict[str, Any]:
    """Divide the time among workers with a GPU each; workers without one share this machine."""
    devices = workers if has_gpu() else 1
    seconds = None if timing.seconds is None else timing.seconds / devices
    return {"seconds": seconds, "time_basis": timing.basis}
