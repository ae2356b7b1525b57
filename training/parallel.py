"""Trains on Ray: the personas side by side as independent tasks, or one detector on several workers with data parallelism.

    personas: shared stage -> one task a persona, with the CPUs and GPUs that the recipe states -> the adapters of a serial run
    detector: TorchTrainer -> `recipe.workers` processes, each with its own rows of every step -> one artefact

Ray is local, on loopback, and gone afterwards. With the environment variable RAY_ADDRESS it is that cluster: then `run`, the data
and base weights given by path must lie on storage that all nodes share, and FYE_CACHE and HF_TOKEN must be set on the nodes.

Nothing heavy is imported up here: a task's process must be able to import Unsloth before anything else.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from models.emotions import LABELS, Emotion
from models.materialize import materialize
from training.errors import RecipeError, TrainingError
from training.recipe import DetectorRecipe, PersonaRecipe
from training.unsloth_first import import_unsloth

if TYPE_CHECKING:
    from transformers import Trainer

    from training.progress import ProgressTable, Step

Recipe = DetectorRecipe | PersonaRecipe
SHARED = "shared"
POLL_S = 0.5
LOOPBACK = "lo" if sys.platform == "linux" else "lo0"
LOCAL_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # what has Ray's own ports listen on loopback alone
    "GLOO_SOCKET_IFNAME": LOOPBACK,
}
WORKER_ENVIRONMENT = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a worker without a GPU sees none
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths stay what they are
}


def train_personas_parallel(recipe: PersonaRecipe, run: Path, chosen: Sequence[Emotion] = LABELS) -> list[Path]:
    """The adapters' folders, as from `train_personas`. Begun again, it keeps what is finished and goes on with the rest.

    One failed persona stops no other. Raises TrainingError, when all have ended, with what failed and why; LeakError, RecipeError.
    """
    from training.personas import open_personas_run
    from training.progress import ProgressTable

    run = run.resolve()
    open_personas_run(recipe, run)
    stages = {SHARED: "all six"} if recipe.shared_epochs else {}
    with _ray(recipe, workers=1), ProgressTable(stages | dict.fromkeys(chosen, "own")) as table:
        work = partial(_train_personas, recipe, run)
        for titles in filter(None, (list(stages), list(dict.fromkeys(chosen)))):
            _follow({title: partial(work, title) for title in titles}, run, recipe, table)
    return [run / persona / "adapter" for persona in chosen]
