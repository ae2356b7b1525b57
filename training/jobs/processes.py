"""Train the personas on one GPU, each stage in a process of its own.

A process that ends gives back all its GPU memory. In one process, the base weights of every stage
would be loaded on top of what the earlier stages still hold.

This module imports nothing heavy at module level: a stage's process must be able to import Unsloth
before anything else.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

from models.emotions import LABELS, Emotion
from training.errors import TrainingError
from training.personas.unsloth import import_unsloth
from training.recipe import PersonaRecipe

SHARED = "shared"
P = ParamSpec("P")
R = TypeVar("R")


def train_personas_in_processes(
    recipe: PersonaRecipe, run: Path, chosen: Sequence[Emotion] = LABELS
) -> list[Path]:
    """Train the shared stage, then the chosen personas in turn, and return their folders.

    Stages that an interrupted run has finished are kept. Raises LeakError, BackendError, and
    TrainingError if a process was killed.
    """
    run = run.resolve()
    run_in_process(SHARED, _train_shared, recipe, run)
    return [run_in_process(persona, _train_persona, recipe, run, persona) for persona in chosen]


def run_in_process(title: str, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a new process and return its result. Its errors are raised here.

    Raises TrainingError if the process was killed.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        try:
            return pool.submit(function, *args, **kwargs).result()
        except BrokenProcessPool as error:
            raise TrainingError(
                f"the process of the stage {title} was killed: if memory ran out, set a smaller "
                "batch_size and more accumulation_steps; --dry-run estimates the memory"
            ) from error


def _train_shared(recipe: PersonaRecipe, run: Path) -> None:
    import_unsloth(recipe)
    from training.personas.backends import choose_backend
    from training.personas.train import open_personas_run, train_shared

    choose_backend(recipe)  # before any work
    open_personas_run(recipe, run)
    train_shared(recipe, run)


def _train_persona(recipe: PersonaRecipe, run: Path, persona: Emotion) -> Path:
    import_unsloth(recipe)
    from training.personas.train import train_persona
    from training.runs.progress import quiet_libraries

    quiet_libraries()
    return train_persona(recipe, run, persona)
