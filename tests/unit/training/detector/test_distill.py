"""Learning from a teacher: what the loss of a row counts, and that a student comes near."""

from pathlib import Path

import pytest
import torch
from transformers import DataCollatorWithPadding

from models.detector.transformer import TransformerClassifier, blank_model, load_tokenizer
from models.weights.cache import materialize
from support.tiny_models import tiny_bert
from training.datasets.sources import Example
from training.detector.distill import NO_LABEL, Student, TaughtRows, TeacherOutputs, ask_teacher
from training.detector.export import export
from training.detector.train import token_ids, trainable_model
from training.errors import RecipeError
from training.recipe import DetectorRecipe

pytestmark = pytest.mark.usefixtures("one_thread")
TEXTS = ["hello", "rude cat", "no way"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Tiny BERT base weights."""
    return tiny_bert(tmp_path / "base")


@pytest.fixture
def teacher(base: Path, tmp_path: Path) -> TransformerClassifier:
    """Detector with new random weights."""
    recipe = DetectorRecipe(base=str(base))
    model = trainable_model(recipe, base).float()
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.3 * torch.randn_like(parameter)
    export(model, materialize(str(base)), recipe, "c" * 64, tmp_path / "teacher")
    return TransformerClassifier(tmp_path / "teacher", torch.float32)


def loss_of(recipe: DetectorRecipe, base: Path, example: Example, taught: bool) -> float:
    """Return the loss of one row for a student with fixed weights."""
    torch.manual_seed(2)
    student = Student(blank_model(base), recipe, 16).eval()
    logits, features = torch.tensor([[3.0, 0, 0, 0, 0, 0]]), torch.ones(1, 16)
    outputs = TeacherOutputs([example.text] if taught else [], logits, features)
    row = TaughtRows([example], token_ids([example], base, 16), outputs)[0]
    ids = torch.tensor([row["input_ids"]])
    batch = {name: torch.as_tensor(row[name])[None] for name in ("labels", "teacher")}
    with torch.inference_mode():
        return float(student(ids, torch.ones_like(ids), **batch)["loss"])


def test_outputs_of_a_teacher_have_the_order_of_the_texts(
    teacher: TransformerClassifier, tmp_path: Path
) -> None:
    outputs = ask_teacher(teacher, TEXTS, tmp_path)
    for text in TEXTS:
        logits, features = teacher.outputs([text])
        assert torch.allclose(outputs.find(text)[1:7], logits[0], atol=1e-4)
        assert torch.allclose(outputs.find(text)[7:], features[0], atol=1e-2)
    assert not outputs.find("another text").any()


def test_a_resumed_run_does_not_ask_again(
    teacher: TransformerClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ask_teacher(teacher, TEXTS, tmp_path)
    monkeypatch.setattr(teacher, "outputs", lambda texts: pytest.fail("asked again"))
    assert torch.equal(ask_teacher(teacher, TEXTS, tmp_path).rows, first.rows)
    with pytest.raises(pytest.fail.Exception):
        ask_teacher(teacher, [*TEXTS, "new"], tmp_path)


def test_loss_of_a_row_is_of_what_is_known_of_it(base: Path) -> None:
    only_label = DetectorRecipe(base=str(base), label_smoothing=0, feature_weight=0)
    half = only_label.model_copy(update={"teacher_weight": 0.5})
    right, wrong, unknown = (Example("hello", label) for label in (0, 3, NO_LABEL))
    hard = loss_of(only_label, base, right, taught=False)
    soft = loss_of(only_label, base, unknown, taught=True)
    assert loss_of(half, base, right, taught=True) == pytest.approx((hard + soft) / 2)
    assert loss_of(half, base, unknown, taught=False) == 0
    assert loss_of(half, base, wrong, taught=True) != pytest.approx((hard + soft) / 2)


def test_features_add_their_distance(base: Path) -> None:
    without = DetectorRecipe(base=str(base), feature_weight=0)
    with_features = without.model_copy(update={"feature_weight": 2.0})
    row = Example("hello", 0)
    added = loss_of(with_features, base, row, True) - loss_of(without, base, row, True)
    assert 0 < added < 4
    assert loss_of(with_features, base, row, taught=False) == pytest.approx(
        loss_of(without, base, row, taught=False)
    )


def test_student_comes_near_the_teacher(base: Path, teacher: TransformerClassifier) -> None:
    recipe = DetectorRecipe(base=str(base), label_smoothing=0)
    logits, features = teacher.outputs(TEXTS)
    outputs = TeacherOutputs(TEXTS, logits, features)
    torch.manual_seed(3)
    student = Student(trainable_model(recipe, base), recipe, features.shape[1])
    examples = [Example(text, NO_LABEL) for text in TEXTS]
    rows = TaughtRows(examples, token_ids(examples, base, 16), outputs)
    collate = DataCollatorWithPadding(load_tokenizer(base))
    batch = collate([rows[number] for number in range(len(rows))])
    optimizer = torch.optim.AdamW(student.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        loss = student(**batch)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_recipe_needs_a_teacher_for_rows_without_a_label() -> None:
    with pytest.raises(RecipeError, match="teacher"):
        DetectorRecipe.read("detector-minilm-l6", ["teacher=none"])
