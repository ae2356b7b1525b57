"""Numbers about predictions. Logits are `(n, 6)`, labels `(n,)`."""

import torch
from sklearn.metrics import f1_score
from torch.nn.functional import cross_entropy

from training.report.schema import Bin

ECE_BINS = 15


def scores(logits: torch.Tensor, labels: list[int]) -> dict[str, float]:
    """Accuracy, macro-F1 over the six, and expected calibration error of the top class."""
    predicted = logits.argmax(-1)
    accuracy = (predicted == torch.tensor(labels)).float().mean().item()
    macro = f1_score(labels, predicted.tolist(), average="macro", labels=range(logits.shape[-1]), zero_division=0)
    return {"accuracy": round(accuracy, 4), "macro_f1": round(float(macro), 4), "ece": round(calibration_error(logits, labels), 4)}


def reliability(logits: torch.Tensor, labels: list[int]) -> list[Bin]:
    """The filled ones of equal-width bins of the top class's confidence (Guo et al. 2017, https://arxiv.org/abs/1706.04599)."""
    confidence, predicted = torch.softmax(logits, -1).max(-1)
    right = (predicted == torch.tensor(labels)).float()
    number = (confidence * ECE_BINS).long().clamp(max=ECE_BINS - 1)
    filled = [number == bin_number for bin_number in range(ECE_BINS) if (number == bin_number).any()]
    return [Bin(rows=int(here.sum()), confidence=confidence[here].mean().item(), accuracy=right[here].mean().item()) for here in filled]


def calibration_error(logits: torch.Tensor, labels: list[int]) -> float:
    """Expected calibration error over the bins of `reliability`."""
    return sum(bin_.rows * abs(bin_.accuracy - bin_.confidence) for bin_ in reliability(logits, labels)) / len(labels)


def fit_temperature(logits: torch.Tensor, labels: list[int]) -> float:
    """The temperature with the least negative log-likelihood on these rows (Guo et al. 2017), by search on a fine grid."""
    grid = torch.linspace(0.3, 3.0, 271)
    target = torch.tensor(labels)
    losses = [cross_entropy(logits / t, target).item() for t in grid]
    return round(grid[losses.index(min(losses))].item(), 3)
