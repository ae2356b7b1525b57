"""Trains on Ray: the personas side by side as independent tasks, or one detector on several workers with data parallelism.

    personas: shared stage -> one task a persona, with the CPUs and GPUs that the recipe states -> the adapters of a serial run
    detector: TorchTrainer -> `recipe.workers` processes, each with its own rows of every step -> one artefact

Ray is local, on loopback, and gone afterwards. With the environment variable RAY_ADDRESS it is that cluster: then `run`, the data
and base weights given by path must lie on storage that all nodes share, and FYE_CACHE and HF_TOKEN must be set on the nodes.

Nothing heavy is imported up here: a task's process must be able to import Unsloth before anything else.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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

SHARED = "shared"
POLL_S = 0.5
LOCAL_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # what has Ray's own ports listen on loopback alone
    "GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0",
}
WORKER_ENVIRONMENT = {
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # who reserves no GPU sees none, and trains on the CPU as the recipe says
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths stay what they are
}


def train_personas_parallel(recipe: PersonaRecipe, run: Path, chosen: Sequence[Emotion] = LABELS) -> list[Path]:
    """The adapters' folders, as from `train_personas`. Begun again, it keeps what is finished and goes on with the rest.

    One failed persona stops no other. Raises TrainingError, when all have ended, with what failed and why; RecipeError, LeakError.
    """
    from training.personas import open_personas_run
    from training.progress import ProgressTable

    run, personas = run.resolve(), list(dict.fromkeys(chosen))
    open_personas_run(recipe, run)
    shared = {SHARED: "all six"} if recipe.shared_epochs else {}
    with _ray(recipe, workers=1) as ray, ProgressTable({**shared, **dict.fromkeys(personas, "own")}) as table:
        task = ray.remote(num_cpus=recipe.worker_cpus, num_gpus=recipe.worker_gpus, max_calls=1, max_retries=0)(_train_persona)
        board = _board(ray)
        for titles in (list(shared), personas):
            _follow({title: task.remote(recipe, run, title, board) for title in titles}, board, table)
    return [run / persona / "adapter" for persona in chosen]


def train_detector_distributed(recipe: DetectorRecipe, data: Path | None, run: Path) -> Path:
    """The artefact's folder, as from `train_detector`, which every worker calls: an epoch has 1/workers of the steps.

    Raises TrainingError with what the first failed worker said.
    """
    from training.progress import ProgressTable

    run = run.resolve()
    with _ray(recipe, recipe.workers) as ray, ProgressTable({recipe.part: f"{recipe.workers} workers"}) as table:
        board = _board(ray)
        task = ray.remote(num_cpus=0, max_calls=1, max_retries=0)(_fit_detector)
        _follow({recipe.part: task.remote(recipe, data and data.resolve(), run, board)}, board, table)
    return run / "artifact"


class Board:
    """A small actor: the last step of each task, None for one that has only begun."""

    def __init__(self) -> None:
        self._steps: dict[str, Step | None] = {}

    def put(self, title: str, step: "Step | None") -> None:
        self._steps[title] = step

    def steps(self) -> dict[str, "Step | None"]:
        return self._steps


def _board(ray: Any) -> Any:
    return ray.remote(num_cpus=0)(Board).remote()


def _reporter(board: Any, title: str) -> Callable[["Step | None"], None]:
    """Writes a task's steps on the board, and waits until they stand there: else the last ones are lost when its process ends."""
    import ray

    return lambda step: ray.get(board.put.remote(title, step))


@contextmanager
def _ray(recipe: DetectorRecipe | PersonaRecipe, workers: int) -> Iterator[Any]:
    """A Ray of its own, or the cluster of RAY_ADDRESS. Raises RecipeError if this machine is too small for `workers` at once."""
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        for name, value in LOCAL_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        _fetch(recipe.base)
    import ray  # reads the environment

    environment = {"env_vars": WORKER_ENVIRONMENT}
    ray.init(address or "local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR, runtime_env=environment)
    try:
        if not address:
            _check_room(recipe, workers, ray.cluster_resources())  # type: ignore[no-untyped-call]
        yield ray
    finally:
        ray.shutdown()


def _fetch(base: str) -> None:
    """Before the tasks, where progress can be seen."""
    from training.progress import console

    materialize(base, console.print)


def _check_room(recipe: DetectorRecipe | PersonaRecipe, workers: int, have: Mapping[str, float]) -> None:
    """Ray would wait forever. Raises RecipeError."""
    for kind, field in (("CPU", "worker_cpus"), ("GPU", "worker_gpus")):
        need = getattr(recipe, field) * workers
        if need > have.get(kind, 0):
            raise RecipeError(f"{need:g} {kind}s are asked for at once, and there are {have.get(kind, 0):g}: --set {field}=...")


def _follow(tasks: Mapping[str, Any], board: Any, table: "ProgressTable") -> None:
    """Shows progress until all tasks, by title, have ended. Raises TrainingError if any failed."""
    import ray

    running, failed = {task: title for title, task in tasks.items()}, {}
    while running:
        ended, _ = ray.wait(list(running), timeout=POLL_S)
        for title, step in ray.get(board.steps.remote()).items():
            if title in running.values():
                table.step(title, step)
        for task in ended:
            title = running.pop(task)
            try:
                table.end(title, "done", ray.get(task))
            except ray.exceptions.RayError as error:
                failed[title] = error
                table.end(title, "failed")
    if failed:
        raise TrainingError("; ".join(f"{title} failed: {_why(error)}" for title, error in failed.items())) from next(iter(failed.values()))


def _why(error: Exception) -> str:
    """The task's own error, or that of the first worker of a distributed training that failed."""
    cause = getattr(error, "cause", error)
    first = next(iter(getattr(cause, "worker_failures", {}).values()), cause)
    return f"{type(first).__name__}: {first}"


def _train_persona(recipe: PersonaRecipe, run: Path, title: Any, board: Any) -> str:
    """In a task's process: one stage of one persona, or the shared one. Returns what it measures."""
    import_unsloth(recipe)
    from training.personas import train_persona, train_shared
    from training.progress import quiet_libraries

    quiet_libraries()
    report = _reporter(board, title)
    report(None)
    if title == SHARED:
        train_shared(recipe, run, report)
    else:
        train_persona(recipe, run, title, report)
    return _measured(run / title, "held_out_nll", "NLL")


def _measured(folder: Path, metric: str, name: str) -> str:
    file = folder / "metrics.json"
    return f"{name} {json.loads(file.read_text('utf-8'))['metrics'][metric]:.3f}" if file.exists() else ""


def _fit_detector(recipe: DetectorRecipe, data: Path | None, run: Path, board: Any) -> str:
    """In a task's process, which waits for the workers. Returns what the detector measures."""
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    resources = {"CPU": recipe.worker_cpus, "GPU": recipe.worker_gpus}
    trainer = TorchTrainer(
        _train_on_worker,
        train_loop_config={"recipe": recipe, "data": data, "run": run, "board": board},
        scaling_config=ScalingConfig(
            num_workers=recipe.workers,
            use_gpu=recipe.worker_gpus > 0,
            resources_per_worker={kind: amount for kind, amount in resources.items() if amount},
        ),
        run_config=RunConfig(name="ray", storage_path=str(run)),
    )
    trainer.fit()
    return _measured(run, "emotion_val_macro_f1", "macro-F1")


def _train_on_worker(config: dict[str, Any]) -> None:
    """In a worker of the TorchTrainer, whose torch.distributed group is there. Rank 0 alone opens the run and writes its results."""
    from ray.train import get_context
    from ray.train.huggingface.transformers import prepare_trainer
    from transformers.trainer_utils import get_last_checkpoint

    from training.detector import train_detector
    from training.progress import ProgressLine

    recipe, run, board = config["recipe"], config["run"], config["board"]
    leads = get_context().get_world_rank() == 0

    def prepare(trainer: "Trainer") -> "Trainer":
        trainer.remove_callback(ProgressLine)
        if leads:
            trainer.add_callback(ProgressLine(recipe.part, _reporter(board, recipe.part)))
        trainer.args.output_dir = str(run)  # where each rank's random state is kept
        trainer.accelerator.rng_types = ["torch"]  # one order of an epoch for all ranks; else, from the second on, they share rows
        return prepare_trainer(trainer)

    with TemporaryDirectory() as scratch:
        last = get_last_checkpoint(str(run)) if run.is_dir() else None
        if last:
            (Path(scratch) / Path(last).name).symlink_to(last)
        train_detector(recipe, config["data"], run if leads else Path(scratch), prepare)
