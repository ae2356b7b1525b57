"""A critic trained on a tiny encoder and few rows: it is written, loaded, measured and resumed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models.critic import Critic
from models.emotions import Emotion
from models.encoder.rows import SCALE
from models.errors import ManifestError
from models.manifest import DETECTOR_WEIGHTS
from support.tiny_models import tiny_bert
from training.critic import evaluate
from training.critic.evaluate import critic_metrics
from training.critic.train import train_critic
from training.datasets.persona_pairs import Pair, held_out_pairs
from training.datasets.read_labels import LabelledAnswer, read_labels, write_labels
from training.errors import ReadingError, RecipeError
from training.recipe import CriticRecipe, PairSet

LABELLED = [
    LabelledAnswer(persona=Emotion.JOY, message=f"message {number}", answer=f"a{mark}", mark=mark)
    for number in range(9)
    for mark in (0, 2)
]
pytestmark = pytest.mark.usefixtures("one_thread", "few_references")


@pytest.fixture(scope="module")
def few_references() -> Iterator[None]:
    """Measure on the first three references of each persona."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "held_out_pairs", few)
        yield


def few(persona: Emotion, pair_set: PairSet) -> list[Pair]:
    return held_out_pairs(persona, pair_set)[:3]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> CriticRecipe:
    base = tiny_bert(tmp_path_factory.mktemp("bert"))
    return CriticRecipe(
        base=str(base), pairs=8, contrast_repeats=0, batch_size=8, save_steps=2, max_tokens=32
    )


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    write_labels(LABELLED, file)
    return file


@pytest.fixture(scope="module")
def run(
    recipe: CriticRecipe,
    labels: Path,
    few_references: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    run = tmp_path_factory.mktemp("run")
    train_critic(recipe, [labels], run)
    return run


def test_artifact_is_what_the_run_measured(run: Path) -> None:
    critic = Critic(run / "artifact")
    metrics = critic.manifest.metrics
    kinds = ("shuffled", "same-emotion", "same-topic", "role-swapped", "contrast")
    assert {f"auc_{kind}" for kind in kinds} <= set(metrics)
    assert metrics["pick_messages"] * 2 == metrics["read_answers"]
    assert metrics["pick_chance"] == 0.5
    assert critic_metrics(run / "artifact", LABELLED) == metrics


def test_artifact_has_the_trained_matrices_in_one_byte_a_value(run: Path) -> None:
    tensors = load_file(run / "artifact" / DETECTOR_WEIGHTS)
    assert "bert.embeddings.word_embeddings.weight" not in tensors
    matrices = [name for name in tensors if name.endswith("query.weight")]
    assert matrices
    assert {tensors[name].dtype for name in matrices} == {torch.int8}
    assert all(name + SCALE in tensors for name in matrices)


def test_scores_do_not_depend_on_the_batch(run: Path) -> None:
    critic = Critic(run / "artifact")
    pairs = [("I got the job!", "You did it!"), ("Hm.", "What happened to you, and when? Tell me.")]
    together = critic.logits(pairs)
    assert together == pytest.approx([critic.logits([pair])[0] for pair in pairs], abs=1e-4)
    assert together[0] != pytest.approx(together[1], abs=1e-6)


def test_picks_the_answer_with_the_highest_score(run: Path) -> None:
    critic = Critic(run / "artifact")
    answers = ["You did it!", "Oh no.", "What is it?"]
    logits = critic.logits([("I got the job!", answer) for answer in answers])
    assert critic.pick("I got the job!", answers) == logits.index(max(logits))


def test_finished_run_is_not_trained_again(recipe: CriticRecipe, labels: Path, run: Path) -> None:
    before = (run / "artifact" / DETECTOR_WEIGHTS).read_bytes()
    checkpoints = sorted(folder.name for folder in run.glob("checkpoint-*"))
    assert checkpoints
    train_critic(recipe, [labels], run)
    assert (run / "artifact" / DETECTOR_WEIGHTS).read_bytes() == before
    history = json.loads((run / "metrics.json").read_text("utf-8"))["history"]
    assert history
    with pytest.raises(RecipeError, match="cannot resume"):
        train_critic(recipe, [], run)


def weights(critic: Critic) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = critic.model.state_dict()
    return tensors


def test_training_goes_on_from_an_earlier_critic(
    recipe: CriticRecipe, labels: Path, run: Path, tmp_path: Path
) -> None:
    still = recipe.model_copy(update={"learning_rate": 1e-9, "warmup_steps": 0})
    earlier = Critic(run / "artifact")
    went_on = Critic(train_critic(still, [labels], tmp_path / "next", start=run / "artifact"))
    afresh = Critic(train_critic(still, [labels], tmp_path / "new"))
    name = "classifier.weight"
    assert torch.allclose(weights(went_on)[name], weights(earlier)[name], atol=1e-4)
    assert not torch.allclose(weights(afresh)[name], weights(earlier)[name], atol=1e-4)


def test_rejects_weights_that_are_not_those_of_the_manifest(run: Path, tmp_path: Path) -> None:
    for file in (run / "artifact").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / DETECTOR_WEIGHTS).write_bytes(b"other")
    with pytest.raises(ManifestError, match="does not match the manifest"):
        Critic(tmp_path)


def test_rejects_labels_that_are_no_marks(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text('{"persona": "joy", "message": "m", "answer": "a", "mark": 3}\n', "utf-8")
    with pytest.raises(ReadingError, match="mark"):
        read_labels([file])
