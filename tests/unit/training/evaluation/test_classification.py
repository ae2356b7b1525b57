"""Measures of predictions, against cases computed by hand."""

import math

import pytest
import torch

from training.evaluation.classification import calibration_error, fit_temperature, scores

pytestmark = pytest.mark.usefixtures("one_thread")


def logits_with_confidence(confidence: float, *predicted: int) -> torch.Tensor:
    """Build rows with `confidence` in the predicted class, and the rest shared by the others."""
    probabilities = torch.full((len(predicted), 6), (1 - confidence) / 5)
    probabilities[range(len(predicted)), list(predicted)] = confidence
    return probabilities.log()


def test_accuracy_and_macro_f1_of_a_case_by_hand() -> None:
    # Class 0 has precision 1/3 and recall 1, class 1 precision 1 and recall 1/2. Class 2 is never
    # right, and the others do not occur.
    measured = scores(logits_with_confidence(0.9, 0, 0, 1, 0), [0, 1, 1, 2])
    f1_of_0 = 2 * (1 / 3) * 1 / (1 / 3 + 1)
    f1_of_1 = 2 * 1 * 0.5 / 1.5
    assert measured["accuracy"] == 0.5
    assert measured["macro_f1"] == pytest.approx((f1_of_0 + f1_of_1) / 6, abs=1e-4)


def test_scores_of_perfect_predictions() -> None:
    measured = scores(logits_with_confidence(1 - 1e-7, *range(6)), list(range(6)))
    assert measured == {"accuracy": 1, "macro_f1": 1, "ece": 0}


def test_missing_class_lowers_macro_f1() -> None:
    measured = scores(logits_with_confidence(0.9, 0, 0), [0, 0])
    assert measured["macro_f1"] == pytest.approx(1 / 6, abs=1e-4)


@pytest.mark.parametrize(
    ("confidence", "labels", "error"),
    [
        (0.75, [0, 0, 0, 1], 0),
        (0.9, [1, 1, 1, 1], 0.9),
        (0.5, [0, 0, 0, 0], 0.5),
        (0.95, [0, 0, 0, 1], 0.2),
    ],
)
def test_calibration_error_is_confidence_minus_accuracy(
    confidence: float, labels: list[int], error: float
) -> None:
    logits = logits_with_confidence(confidence, 0, 0, 0, 0)
    assert calibration_error(logits, labels) == pytest.approx(error, abs=1e-5)


def test_errors_of_two_bins_do_not_cancel() -> None:
    logits = torch.cat([logits_with_confidence(0.9, 0, 0), logits_with_confidence(0.5, 0, 0)])
    expected = 0.5 * 0.4 + 0.5 * 0.5
    assert calibration_error(logits, [0, 1, 0, 0]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("factor", [0.5, 1, 2.5])
def test_fitted_temperature_undoes_known_overconfidence(factor: float) -> None:
    # 700 of 1000 rows are right at confidence 0.7 and the others are spread evenly, so the logits
    # are calibrated before they are scaled by `factor`.
    labels = [0] * 700 + [1, 2, 3, 4, 5] * 60
    logits = logits_with_confidence(0.7, *[0] * 1000) * factor
    temperature = fit_temperature(logits, labels)
    assert temperature == pytest.approx(factor, abs=0.011)
    assert calibration_error(logits / temperature, labels) < 0.01
    assert math.isclose(scores(logits, labels)["accuracy"], 0.7)
