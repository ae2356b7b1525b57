"""Accuracy, macro-F1 and calibration of predictions. Logits are `(n, 6)`, labels `(n,)`.

Calibration follows Guo et al. 2017, https://arxiv.org/abs/1706.04599.
"""

import torch
from sklearn.metrics import f1_score
from torch.nn.functional import cross_entropy

from training.report.schema import Bin

ECE_BINS = 15


def scores(logits: torch.Tensor, labels: list[int]) -> dict[str, float]:
    """Return accuracy, macro-F1 over the six, and expected calibration error of the top class."""
    predicted = logits.argmax(-1)
    accuracy = (predicted == torch.tensor(labels)).float().mean().item()
    classes = range(logits.shape[-1])
    macro = f1_score(labels, predicted.tolist(), average="macro", labels=classes, zero_division=0)
    return {
        "accuracy": round(accuracy, 4),
        "macro_f1": round(float(macro), 4),
        "ece": round(calibration_error(logits, labels), 4),
    }


def reliability_bins(logits: torch.Tensor, labels: list[int]) -> list[Bin]:
    """Return the non-empty bins, of equal width, of the top class's confidence."""
    confidence, predicted = torch.softmax(logits, -1).max(-1)
    correct = (predicted == torch.tensor(labels)).float()
    bin_of_row = (confidence * ECE_BINS).long().clamp(max=ECE_BINS - 1)
    masks = [bin_of_row == number for number in range(ECE_BINS)]
    return [
        Bin(
            rows=int(mask.sum()),
            confidence=confidence[mask].mean().item(),
            accuracy=correct[mask].mean().item(),
        )
        for mask in masks
        if mask.any()
    ]


def calibration_error(logits: torch.Tensor, labels: list[int]) -> float:
    """Return the expected calibration error over the bins of `reliability_bins`."""
    bins = reliability_bins(logits, labels)
    return sum(each.rows * abs(each.accuracy - each.confidence) for each in bins) / len(labels)


def fit_temperature(logits: torch.Tensor, labels: list[int]) -> float:
    """Find the temperature with the lowest negative log-likelihood, by grid search."""
    grid = torch.linspace(0.3, 3.0, 271)
    target = torch.tensor(labels)
    losses = [cross_entropy(logits / temperature, target).item() for temperature in grid]
    return round(grid[losses.index(min(losses))].item(), 3)
