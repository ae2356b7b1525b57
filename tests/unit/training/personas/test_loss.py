"""The chunked loss on a CPU, against plain cross-entropy on tiny random Gemmas."""

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    PreTrainedModel,
)

from training.personas import loss
from training.personas.loss import ChunkedLossTrainer, completion_loss, select_vocabulary

VOCABULARY = 40
CAP = 1.5
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "pad_token_id": 0,
}
Inputs = dict[str, torch.Tensor]
pytestmark = pytest.mark.usefixtures("one_thread")


def gemma3() -> PreTrainedModel:
    return Gemma3ForCausalLM(Gemma3TextConfig(**SIZES))


def gemma2() -> PreTrainedModel:
    return Gemma2ForCausalLM(Gemma2Config(**SIZES, final_logit_softcapping=CAP))


@pytest.fixture(params=[gemma3, gemma2], ids=["gemma3", "gemma2"])
def model(request: pytest.FixtureRequest) -> torch.nn.Module:
    """A random float32 Gemma with a trained LoRA adapter, and logits large enough for the cap."""
    torch.manual_seed(0)
    make: Callable[[], PreTrainedModel] = request.param
    base = make()
    base.get_input_embeddings().weight.data *= 20
    adapted = get_peft_model(
        base, LoraConfig(r=2, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    )
    for parameter in trainable(adapted):
        parameter.data.normal_(std=0.3)
    result: torch.nn.Module = adapted.eval()
    return result


@pytest.fixture
def inputs() -> Inputs:
    """Two rows with a prompt of four tokens, an answer, and padding in the second."""
    torch.manual_seed(1)
    ids = torch.randint(1, VOCABULARY, (2, 11))
    mask = torch.ones_like(ids)
    labels = ids.clone()
    labels[:, :4] = -100
    mask[1, 8:] = 0
    labels[1, 8:] = -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def trainable(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def scored(model: torch.nn.Module, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the model's own logits at counted labels, and those labels."""
    labels = inputs["labels"][:, 1:]
    logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits[
        :, :-1
    ]
    return logits[labels != -100], labels[labels != -100]


@pytest.mark.parametrize("chunk", [1, 5, 128])
def test_loss_and_gradient_equal_those_of_the_full_logits(
    model: torch.nn.Module, inputs: Inputs, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "CHUNK_TOKENS", chunk)
    expected = cross_entropy(*scored(model, inputs))
    found = completion_loss(model, inputs)
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad(expected, trainable(model))
    assert len(wanted) == 8
    assert min(gradient.abs().max() for gradient in wanted) > 1e-4
    torch.testing.assert_close(
        torch.autograd.grad(found, trainable(model)), wanted, rtol=1e-4, atol=1e-6
    )


def test_only_gemma_2_caps_its_logits(model: torch.nn.Module, inputs: Inputs) -> None:
    logits, _ = scored(model, inputs)
    assert (logits.abs().max() > CAP) == (model.config.model_type != "gemma2")  # type: ignore[union-attr]


def test_whole_vocabulary_equals_none(model: torch.nn.Module, inputs: Inputs) -> None:
    torch.testing.assert_close(
        completion_loss(model, inputs, None, torch.arange(VOCABULARY)),
        completion_loss(model, inputs),
    )


def test_softmax_runs_over_the_chosen_part_of_the_vocabulary(
    model: torch.nn.Module, inputs: Inputs
) -> None:
    logits, labels = scored(model, inputs)
    part = torch.tensor(sorted({*labels.tolist(), 0, 3, 39}))
    assert len(part) < VOCABULARY
    expected = cross_entropy(logits[:, part], torch.searchsorted(part, labels))
    found = completion_loss(model, inputs, None, part)
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad(expected, trainable(model))
    torch.testing.assert_close(
        torch.autograd.grad(found, trainable(model)), wanted, rtol=1e-4, atol=1e-6
    )


def test_loss_is_averaged_over_the_items_of_the_whole_step(
    model: torch.nn.Module, inputs: Inputs
) -> None:
    count = int((inputs["labels"] != -100).sum())
    assert count == 11
    torch.testing.assert_close(
        completion_loss(model, inputs, torch.tensor(3 * count)), completion_loss(model, inputs) / 3
    )


def test_training_uses_the_part_and_evaluation_the_whole_head(
    model: torch.nn.Module, inputs: Inputs
) -> None:
    trainer = object.__new__(ChunkedLossTrainer)  # the loss needs only its vocabulary
    trainer.vocabulary = inputs["labels"][inputs["labels"] != -100].unique()  # type: ignore[no-untyped-call]
    restricted = completion_loss(model, inputs, None, trainer.vocabulary)
    whole = completion_loss(model, inputs)
    assert restricted < whole
    assert trainer.compute_loss(model.train(), inputs) == restricted
    assert trainer.compute_loss(model.eval(), inputs) == whole
    assert trainer.compute_loss(model, inputs, return_outputs=True) == (whole, {"loss": whole})


@pytest.mark.parametrize("size", [1, 5, VOCABULARY])
def test_selected_vocabulary_holds_the_labels_and_the_likeliest(
    model: torch.nn.Module, inputs: Inputs, size: int
) -> None:
    logits, labels = scored(model, inputs)
    mass = torch.softmax(logits, -1).sum(0)
    chosen, share = select_vocabulary(model, [inputs, inputs], set(labels.tolist()), size)
    assert chosen.tolist() == sorted({*labels.tolist(), *mass.topk(size).indices.tolist()})
    assert 0 < share <= 1
    assert share == pytest.approx((mass[chosen].sum() / mass.sum()).item(), rel=1e-4)
