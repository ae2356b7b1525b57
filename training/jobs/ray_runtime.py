"""Ray for training: a Ray of its own or a cluster's, tasks that report their progress, and the failures of those that end badly."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from models.weights.cache import materialize
from training.errors import RecipeError, TrainingError
from training.recipe import DetectorRecipe, PersonaRecipe

if TYPE_CHECKING:
    from training.runs.progress import ProgressTable, Step

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


class Board:
    """A small actor: the last step of each task, None for one that has only begun."""

    def __init__(self) -> None:
        self._steps: dict[str, Step | None] = {}

    def put(self, title: str, step: "Step | None") -> None:
        self._steps[title] = step

    def steps(self) -> dict[str, "Step | None"]:
        return self._steps


def new_board(ray: Any) -> Any:
    return ray.remote(num_cpus=0)(Board).remote()


def reporter(board: Any, title: str) -> Callable[["Step | None"], None]:
    """Writes a task's steps on the board, and waits until they stand there: else the last ones are lost when its process ends."""
    import ray

    return lambda step: ray.get(board.put.remote(title, step))


@contextmanager
def open_ray(recipe: DetectorRecipe | PersonaRecipe, workers: int) -> Iterator[Any]:
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
    from training.runs.progress import console

    materialize(base, console.print)


def _check_room(recipe: DetectorRecipe | PersonaRecipe, workers: int, have: Mapping[str, float]) -> None:
    """Ray would wait forever. Raises RecipeError."""
    for kind, field in (("CPU", "worker_cpus"), ("GPU", "worker_gpus")):
        need = getattr(recipe, field) * workers
        if need > have.get(kind, 0):
            raise RecipeError(f"{need:g} {kind}s are asked for at once, and there are {have.get(kind, 0):g}: --set {field}=...")


def follow(tasks: Mapping[str, Any], board: Any, table: "ProgressTable") -> None:
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
