"""Learning from a teacher: its scores and its features, and the labels.

texts -> teacher -> TeacherOutputs, kept in the run -> rows -> Student -> loss

The student is a smaller model than the teacher. It learns the teacher's probabilities (Hinton et
al. 2015, https://arxiv.org/abs/1503.02531) and the direction of the teacher's features, which a
linear layer predicts from its own (after XtremeDistil, Mukherjee and Awadallah 2020,
https://arxiv.org/abs/2004.05686). The layer is not exported.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy, kl_div, log_softmax, softmax
from torch.utils.data import Dataset

from models.detector.base import TextClassifier
from models.emotions import LABELS
from models.hashing import json_sha256
from models.text.normalize import normalize
from training.datasets.sources import Example
from training.recipe import DetectorRecipe
from training.runs.progress import console

NO_LABEL = -100  # ignored by the cross-entropy
CHUNK = 1024  # texts that the teacher reads between two lines of progress
TEACHER_FILE = "teacher.safetensors"


class TeacherOutputs:
    """What the teacher says of some texts.

    Attributes:
        rows: `(texts, 7 + width)`: a 1, the six logits divided by the teacher's temperature, and
            the features.
    """

    def __init__(self, texts: Sequence[str], logits: Tensor, features: Tensor) -> None:
        """Take the outputs in the order of the texts."""
        self.rows = torch.cat([torch.ones(len(logits), 1), logits, features], 1)
        self._number = {text: number for number, text in enumerate(texts)}

    @property
    def width(self) -> int:
        """Width of the teacher's features."""
        return self.rows.shape[1] - 1 - len(LABELS)

    def find(self, text: str) -> Tensor:
        """Return the row of a text; zeros if the teacher has not read it."""
        number = self._number.get(text)
        return torch.zeros_like(self.rows[0]) if number is None else self.rows[number]


def ask_teacher(teacher: TextClassifier, texts: Sequence[str], run: Path) -> TeacherOutputs:
    """Return the teacher's outputs, from the run's file if it has those of the same texts."""
    file = run / TEACHER_FILE
    key = json_sha256([teacher.manifest.content_hash, *texts])
    if not file.exists() or _key_of(file) != key:
        save_file(_read(teacher, texts), file, metadata={"texts": key})
    tensors = load_file(file)
    return TeacherOutputs(texts, tensors["logits"], tensors["features"].float())


def _key_of(file: Path) -> str | None:
    with safe_open(file, "pt") as stored:
        metadata: dict[str, str] | None = stored.metadata()
    return (metadata or {}).get("texts")


def _read(teacher: TextClassifier, texts: Sequence[str]) -> dict[str, Tensor]:
    by_length = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    logits, features = [], []
    for start in range(0, len(texts), CHUNK):
        chunk = [normalize(texts[number]) for number in by_length[start : start + CHUNK]]
        outputs = teacher.outputs(chunk)
        logits.append(outputs[0] / teacher.manifest.temperature)
        features.append(outputs[1].half())
        console.print(f"teacher: {start + len(chunk)} of {len(texts)} texts")
    order = torch.tensor(by_length).argsort()
    return {"logits": torch.cat(logits)[order], "features": torch.cat(features)[order]}


class TaughtRows(Dataset[dict[str, object]]):
    """Rows with a label, with the teacher's outputs, or with both."""

    def __init__(
        self, examples: Sequence[Example], ids: Sequence[list[int]], outputs: TeacherOutputs
    ) -> None:
        """Take examples, whose label may be NO_LABEL, and the token ids of each."""
        self.labels = [example.label for example in examples]
        self.ids = ids
        self._texts = [example.text for example in examples]
        self._outputs = outputs

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, object]:
        return {
            "input_ids": self.ids[index],
            "labels": self.labels[index],
            "teacher": self._outputs.find(self._texts[index]).tolist(),  # collators take lists
        }


class Student(nn.Module):
    """Classifier with the loss of a row: of its label, its teacher, or both."""

    def __init__(self, model: Any, recipe: DetectorRecipe, teacher_width: int) -> None:
        """Wrap a classifier whose weights are marked for training."""
        super().__init__()
        self.model = model
        self.to_teacher = nn.Linear(model.config.hidden_size, teacher_width)
        self._recipe = recipe

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, teacher: Tensor
    ) -> dict[str, Tensor]:
        """Return `loss` and `logits` `(batch, 6)`.

        Args:
            input_ids: `(batch, tokens)`.
            attention_mask: `(batch, tokens)`.
            labels: `(batch,)`, NO_LABEL where there is none.
            teacher: `(batch, 7 + width)`, rows of `TeacherOutputs`.
        """
        taught, teacher_logits = teacher[:, 0], teacher[:, 1 : 1 + len(LABELS)]
        teacher_features = teacher[:, 1 + len(LABELS) :]
        output = self.model(
            input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True
        )
        logits = output.logits.float()
        hard = cross_entropy(
            logits,
            labels,
            ignore_index=NO_LABEL,
            label_smoothing=self._recipe.label_smoothing,
            reduction="none",
        )
        target = softmax(teacher_logits, -1)
        soft = kl_div(log_softmax(logits, -1), target, reduction="none").sum(1)
        # The share of the teacher: the recipe's where there is a label too, else all or nothing.
        share = torch.where(labels == NO_LABEL, taught, taught * self._recipe.teacher_weight)
        mask = attention_mask.unsqueeze(-1)
        mean = (output.hidden_states[-1].float() * mask).sum(1) / mask.sum(1)
        distance = 1 - cosine_similarity(self.to_teacher(mean), teacher_features, dim=-1)
        loss = (1 - share) * hard + share * soft + self._recipe.feature_weight * taught * distance
        return {"loss": loss.mean(), "logits": logits}
