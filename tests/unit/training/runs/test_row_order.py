"""Order of the rows of a training, also over an interruption."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from training.runs.row_order import GroupedByLength, LengthBatches

ROWS, BATCH = 40, 4
STOP = 15  # steps; an epoch has ten


def order(epoch: int, seed: int = 0) -> list[int]:
    return list(LengthBatches([number % 50 for number in range(400)], 16, seed, lambda: epoch))


def test_batches_have_rows_of_similar_length_and_come_in_any_order() -> None:
    rows = order(0)
    assert sorted(rows) == list(range(400))
    batches = [[row % 50 for row in rows[start : start + 16]] for start in range(0, 400, 16)]
    assert all(max(batch) - min(batch) <= 3 for batch in batches)
    assert batches != sorted(batches)
    assert batches != sorted(batches, reverse=True)


def test_order_is_a_function_of_seed_and_epoch() -> None:
    assert order(3) == order(3)
    assert len({tuple(order(epoch, seed)) for epoch in range(3) for seed in range(3)}) == 9


class Numbered(Dataset[dict[str, object]]):
    """Rows of several lengths whose first token is their number."""

    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, index: int) -> dict[str, object]:
        return {"input_ids": [index] * (1 + index % 7), "labels": 0}


class Recorder(torch.nn.Module):
    """Model that notes the rows that it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[int] = []

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        self.seen += input_ids.tolist()
        return {"loss": (self.weight - labels).square().sum()}


class TinyTrainer(GroupedByLength, Trainer):  # type: ignore[misc]
    """Trainer in the way that ours are."""


class Interrupt(TrainerCallback):  # type: ignore[misc]
    """Interruption after the checkpoint of a step."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop = state.global_step == STOP


def train(run: Path, *callbacks: TrainerCallback) -> list[int]:
    """Start or resume a run in a process that has drawn nothing yet; return the rows seen."""
    torch.manual_seed(0)
    model = Recorder()
    args = TrainingArguments(
        output_dir=str(run),
        num_train_epochs=3,
        per_device_train_batch_size=BATCH,
        save_steps=5,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    trainer = TinyTrainer(
        model=model,
        args=args,
        train_dataset=Numbered(),
        data_collator=collate,
        callbacks=list(callbacks),
    )
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(run)) if run.is_dir() else None)
    return model.seen


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    return {
        "input_ids": torch.tensor([row["input_ids"][0] for row in rows]),
        "labels": torch.tensor([row["labels"] for row in rows]),
    }


@pytest.mark.usefixtures("one_thread")
def test_resumed_run_sees_the_rows_of_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    epochs = [whole[start : start + ROWS] for start in range(0, len(whole), ROWS)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(ROWS))] * 3
    assert epochs[0] != epochs[1] != epochs[2]
    first = train(tmp_path / "parts", Interrupt())
    assert first == whole[: STOP * BATCH]
    assert first + train(tmp_path / "parts") == whole
