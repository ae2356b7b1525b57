"""The part of this machine that one training process uses: one GPU, and the cores it may use."""

import torch

from models.machine.cores import usable_cores
from models.machine.precision import use_one_gpu
from training.runs.progress import console


def prepare_machine(threads: int | None = None) -> None:
    """Take one GPU, and `threads` CPU threads; None: torch's choice, but no more than cores.

    Call it before the first use of a GPU.
    """
    gpu = use_one_gpu()
    if gpu is not None:
        console.print(
            f"several GPUs are visible, using GPU {gpu} only; to use more, set workers=N for a "
            "detector, --parallel for the personas, or start with `accelerate launch`"
        )
    torch.set_num_threads(threads or min(torch.get_num_threads(), usable_cores()))
