"""Measure a critic on held-out messages and on the held-out part of what readers marked."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from models.critic import Critic
from training.critic.measures import Picks, auc, picks
from training.critic.rows import MADE, Row, Wrong, contrast_rows, message_text, written_rows
from training.datasets.contrasts import load_contrasts
from training.datasets.persona_pairs import held_out_pairs
from training.datasets.read_labels import LabelledAnswer

WRONG_EACH = len(MADE)  # wrong answers to each held-out message, one of each kind


def critic_metrics(folder: Path, labelled: Sequence[LabelledAnswer]) -> dict[str, float]:
    """Return the measures of a critic, by name.

    `auc_KIND` is the AUC of the references to held-out messages against wrong answers of a kind.
    With labels there are `auc_read`, and the measures of its choices if a message has several
    answers.
    """
    critic = Critic(folder)
    return written_metrics(critic) | read_metrics(critic, labelled)


def written_metrics(critic: Critic) -> dict[str, float]:
    """Measure the critic on held-out references and contrasts, and on wrong answers to them."""
    rows = written_rows(partial(held_out_pairs, pair_set="plain"), WRONG_EACH, None, seed=0)
    logits = critic.logits([(row.conversation, row.answer) for row in rows])
    scored = list(zip(rows, logits, strict=True))
    found = {f"auc_{kind}": _auc_of(scored, kind) for kind in MADE}
    contrasts = contrast_rows([each for each in load_contrasts() if each.is_held_out], 1)
    logits = critic.logits([(row.conversation, row.answer) for row in contrasts])
    found["auc_contrast"] = auc(logits, [row.kind is None for row in contrasts])
    return {name: round(value, 4) for name, value in found.items() if value is not None}


def _auc_of(scored: Sequence[tuple[Row, float]], kind: Wrong) -> float | None:
    own = [(row, logit) for row, logit in scored if row.kind in (None, kind)]
    return auc([logit for _, logit in own], [row.kind is None for row, _ in own])


def read_metrics(critic: Critic, labelled: Sequence[LabelledAnswer]) -> dict[str, float]:
    """Measure the critic on the held-out part of the labelled answers."""
    rows = [each for each in labelled if each.is_held_out]
    scores = critic.logits([(message_text(each.message), each.answer) for each in rows])
    area = auc(scores, [each.makes_sense for each in rows])
    found = {} if area is None else {"auc_read": area, "read_answers": float(len(rows))}
    return {name: round(value, 4) for name, value in (found | _pick_metrics(rows, scores)).items()}


def _pick_metrics(rows: Sequence[LabelledAnswer], scores: Sequence[float]) -> dict[str, float]:
    found: Picks | None = picks(rows, scores)
    if found is None:
        return {}
    return {
        "pick_messages": float(found.messages),
        "pick_p1": found.critic.value,
        "pick_p1_low": found.critic.low,
        "pick_p1_high": found.critic.high,
        "pick_chance": found.chance,
    }
