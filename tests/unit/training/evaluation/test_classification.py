"""Measures of predictions, against cases computed by hand."""

import math

import pytest
import torch

from training.evaluation.classification import calibration_error, fit_temperature, scores

pytestmark = pytest.mark.usefixtures("one_thread")


def sure(confidence: float, *predicted: int) -> torch.Tensor:
    """Logits of rows that give `confidence` to the predicted class and share the rest among the other five."""
    probabilities = torch.full((len(predicted), 6), (1 - confidence) / 5)
    probabilities[range(len(predicted)), list(predicted)] = confidence
    return probabilities.log()


def test_accuracy_and_macro_f1_of_a_case_by_hand() -> None:
    # F1: class 0 has precision 1/2 and recall 1; class 1 has 1 and 1/2; class 2 is never right; the others never occur.
    measured = scores(sure(0.9, 0, 0, 1, 0), [0, 1, 1, 2])
    zero, one = 2 * (1 / 3) * 1 / (1 / 3 + 1), 2 * 1 * 0.5 / 1.5
    assert measured["accuracy"] == 0.5
    assert measured["macro_f1"] == pytest.approx((zero + one) / 6, abs=1e-4)


def test_perfect_predictions_of_all_six() -> None:
    assert scores(sure(1 - 1e-7, *range(6)), list(range(6))) == {"accuracy": 1, "macro_f1": 1, "ece": 0}


def test_a_missing_class_lowers_the_macro_f1() -> None:
    assert scores(sure(0.9, 0, 0), [0, 0])["macro_f1"] == pytest.approx(1 / 6, abs=1e-4)


@pytest.mark.parametrize(
    ("confidence", "labels", "error"),
    [(0.75, [0, 0, 0, 1], 0), (0.9, [1, 1, 1, 1], 0.9), (0.5, [0, 0, 0, 0], 0.5), (0.95, [0, 0, 0, 1], 0.2)],
)
def test_calibration_error_is_confidence_against_accuracy(confidence: float, labels: list[int], error: float) -> None:
    assert calibration_error(sure(confidence, 0, 0, 0, 0), labels) == pytest.approx(error, abs=1e-5)


def test_errors_of_two_bins_do_not_cancel() -> None:
    logits = torch.cat([sure(0.9, 0, 0), sure(0.5, 0, 0)])
    assert calibration_error(logits, [0, 1, 0, 0]) == pytest.approx(0.5 * 0.4 + 0.5 * 0.5, abs=1e-5)


@pytest.mark.parametrize("factor", [0.5, 1, 2.5])
def test_the_temperature_undoes_a_known_over_confidence(factor: float) -> None:
    # 700 rows are right at 0.7, the others spread evenly: exactly what `sure(0.7)` claims before it is sharpened.
    labels = [0] * 700 + [1, 2, 3, 4, 5] * 60
    logits = sure(0.7, *[0] * 1000)
    temperature = fit_temperature(logits * factor, labels)
    assert temperature == pytest.approx(factor, abs=0.011)
    assert calibration_error(logits * factor / temperature, labels) < 0.01
    assert math.isclose(scores(logits * factor, labels)["accuracy"], 0.7)
