"""The part of this machine that one training process uses: one GPU, and the cores it may use."""

import os
from collections.abc import Mapping

import torch

from models.machine.cores import usable_cores
from models.machine.precision import LAUNCHED, use_one_gpu
from training.errors import BackendError
from training.runs.progress import console


def prepare_machine(threads: int | None = None) -> None:
    """Take one GPU, and `threads` CPU threads; None: torch's choice, but no more than cores.

    Call it before the first use of a GPU.
    """
    gpu = use_one_gpu()
    if gpu is not None:
        console.print(
            f"several GPUs are visible, using GPU {gpu} only; to use more, set workers=N for a "
            "detector, or --parallel for the personas"
        )
    torch.set_num_threads(threads or min(torch.get_num_threads(), usable_cores()))


def refuse_launcher(advice: str, environment: Mapping[str, str] = os.environ) -> None:
    """Raise BackendError if a launcher such as `accelerate launch` has started this process.

    `advice` says what to do. Call it in a training whose processes would all write the same files.
    """
    if LAUNCHED in environment:
        raise BackendError(
            f"a launcher started this process ({LAUNCHED} is set), and several processes would "
            f"write the same files: start it without one; {advice}"
        )


def is_main_process(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell if this process is the only one of its training, or the one of rank 0."""
    return environment.get("RANK", "0") == "0"
