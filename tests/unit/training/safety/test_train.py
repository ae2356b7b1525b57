"""Training of the safety classifier: its loss, and a tiny run up to the card."""

import pytest
import torch

from models.manifest import SafetyManifest, Thresholds
from models.safety.levels import CONCERN, CRISES
from training.recipe import SafetyRecipe
from training.safety.data import ordinary_row
from training.safety.model import outcome_loss
from training.safety.thresholds import Score, choose_thresholds, group_of, lowest_threshold


def test_loss_counts_every_right_outcome() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    p = torch.softmax(logits, -1)[0]
    one = outcome_loss(logits, torch.tensor([[0.0, 1.0, 0.0, 0.0]]))
    two = outcome_loss(logits, torch.tensor([[0.0, 1.0, 1.0, 0.0]]))
    assert float(one) == pytest.approx(-float(p[1].log()), abs=1e-5)
    assert float(two) == pytest.approx(-float((p[1] + p[2]).log()), abs=1e-5)


def test_loss_has_a_finite_gradient() -> None:
    logits = torch.zeros(2, 4, requires_grad=True)
    right = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 1.0]])
    [gradient] = torch.autograd.grad(outcome_loss(logits, right), [logits])
    assert torch.isfinite(gradient).all()
    assert float(gradient[0, 0]) < 0


@pytest.mark.parametrize(
    ("scores", "allowed", "threshold"),
    [
        ([0.1] * 99 + [0.9], 0.01, 0.1001),  # one of a hundred may be flagged
        ([0.1] * 98 + [0.8, 0.9], 0.01, 0.8001),
        ([0.5] * 10, 0.0, 0.5001),
        ([0.001] * 10, 0.0, 0.05),
        ([0.99997] * 10, 0.01, 0.9999),  # a threshold is below 1, whatever the scores
    ],
)
def test_threshold_is_the_lowest_that_flags_no_more_than_allowed(
    scores: list[float], allowed: float, threshold: float
) -> None:
    assert lowest_threshold(scores, allowed) == pytest.approx(threshold)


def test_thresholds_keep_to_the_goals_of_every_group() -> None:
    rows = [ordinary_row("x", "short")] * 100 + [ordinary_row("x", "idiom")] * 100
    scores = [Score(0.1, 0.2)] * 100 + [Score(0.3, 0.4)] * 90 + [Score(0.6, 0.7)] * 10
    assert choose_thresholds(rows, scores) == Thresholds(crisis=0.6001, concern=0.6001)
    rows += [ordinary_row("x", "composed")] * 10
    scores += [Score(0.5, 0.6)] * 9 + [Score(0.8, 0.9)]
    assert choose_thresholds(rows, scores) == Thresholds(crisis=0.8001, concern=0.7001)


def test_thresholds_at_their_highest_value_are_valid_and_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [ordinary_row("x", "short")] * 10
    found = choose_thresholds(rows, [Score(0.99997, 0.99999)] * 10)
    assert found == Thresholds(crisis=0.9999, concern=0.9999)
    assert "highest value of 0.9999" in capsys.readouterr().out


def test_each_harmless_kind_belongs_to_a_group() -> None:
    assert group_of("short") == group_of("message") == "ordinary"
    assert group_of("long") == group_of("composed") == group_of("embedded short") == "long"
    assert group_of("idiom") == group_of("negation") == group_of("harm") == "lookalike"
    assert group_of("lookalike") == "contrast"


def test_shipped_classifier_was_trained_with_the_shipped_recipe() -> None:
    from models.manifest import SAFETY_ARTIFACT

    manifest = SafetyManifest.read(SAFETY_ARTIFACT)
    assert manifest.base == SafetyRecipe.read("safety-minilm-l6").base
    assert 0 < manifest.thresholds.concern <= manifest.thresholds.crisis < 1


def test_outcomes_are_ordered_by_seriousness() -> None:
    from models.safety.levels import OUTCOMES

    assert (None, CONCERN, *CRISES) == OUTCOMES
