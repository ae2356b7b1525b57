"""The loss of the persona training on a CPU, against the plain one on tiny random Gemmas."""

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedModel

from training.personas import loss
from training.personas.loss import AnywhereSFTTrainer, completion_loss, considered_vocabulary

VOCABULARY, CAP = 40, 1.5
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
    """A random Gemma in float32 with a LoRA adapter that already does something, and logits large enough to meet the cap."""
    torch.manual_seed(0)
    make: Callable[[], PreTrainedModel] = request.param
    base = make()
    base.get_input_embeddings().weight.data *= 20
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM"))
    for parameter in trainable(adapted):
        parameter.data.normal_(std=0.3)
    return adapted.eval()


@pytest.fixture
def inputs() -> Inputs:
    """Two rows: a prompt of four tokens, an answer, and padding after the second."""
    torch.manual_seed(1)
    ids = torch.randint(1, VOCABULARY, (2, 11))
    mask = torch.ones_like(ids)
    labels = ids.clone()
    labels[:, :4] = -100
    mask[1, 8:], labels[1, 8:] = 0, -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def trainable(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def scored(model: torch.nn.Module, inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """The model's own logits where a label is counted, and those labels."""
    labels = inputs["labels"][:, 1:]
    logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits[:, :-1]
    return logits[labels != -100], labels[labels != -100]


@pytest.mark.parametrize("chunk", [1, 5, 128])
def test_the_loss_and_its_gradient_are_those_of_the_full_logits(
    model: torch.nn.Module, inputs: Inputs, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "CHUNK_TOKENS", chunk)
    expected, found = cross_entropy(*scored(model, inputs)), completion_loss(model, inputs)
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad(expected, trainable(model))
    assert len(wanted) == 8
    assert min(gradient.abs().max() for gradient in wanted) > 1e-4
    torch.testing.assert_close(torch.autograd.grad(found, trainable(model)), wanted, rtol=1e-4, atol=1e-6)


def test_the_cap_is_met(model: torch.nn.Module, inputs: Inputs) -> None:
    logits, _ = scored(model, inputs)
    assert (logits.abs().max() > CAP) == (model.config.model_type != "gemma2")


def test_the_whole_vocabulary_is_the_same_as_none(model: torch.nn.Module, inputs: Inputs) -> None:
    torch.testing.assert_close(completion_loss(model, inputs, None, torch.arange(VOCABULARY)), completion_loss(model, inputs))


def test_a_part_of_the_vocabulary_is_a_softmax_over_that_part(model: torch.nn.Module, inputs: Inputs) -> None:
    logits, labels = scored(model, inputs)
    part = torch.tensor(sorted({*labels.tolist(), 0, 3, 39}))
    assert len(part) < VOCABULARY
    expected = cross_entropy(logits[:, part], torch.searchsorted(part, labels))
    found = completion_loss(model, inputs, None, part)
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad(expected, trainable(model))
    torch.testing.assert_close(torch.autograd.grad(found, trainable(model)), wanted, rtol=1e-4, atol=1e-6)


def test_the_loss_is_shared_among_the_items_of_the_whole_step(model: torch.nn.Module, inputs: Inputs) -> None:
    count = int((inputs["labels"] != -100).sum())
    assert count == 11
    torch.testing.assert_close(completion_loss(model, inputs, torch.tensor(3 * count)), completion_loss(model, inputs) / 3)


def test_training_uses_the_part_and_evaluation_the_whole_head(model: torch.nn.Module, inputs: Inputs) -> None:
    trainer = object.__new__(AnywhereSFTTrainer)  # all that the loss needs of a trainer is its vocabulary
    trainer.vocabulary = inputs["labels"][inputs["labels"] != -100].unique()
    restricted, whole = completion_loss(model, inputs, None, trainer.vocabulary), completion_loss(model, inputs)
    assert restricted < whole
    assert trainer.compute_loss(model.train(), inputs) == restricted
    assert trainer.compute_loss(model.eval(), inputs) == whole
    assert trainer.compute_loss(model, inputs, return_outputs=True) == (whole, {"loss": whole})


@pytest.mark.parametrize("size", [1, 5, VOCABULARY])
def test_the_considered_vocabulary_holds_the_labels_and_the_likeliest(model: torch.nn.Module, inputs: Inputs, size: int) -> None:
    logits, labels = scored(model, inputs)
    mass = torch.softmax(logits, -1).sum(0)
    chosen, share = considered_vocabulary(model, [inputs, inputs], set(labels.tolist()), size)
    assert chosen.tolist() == sorted({*labels.tolist(), *mass.topk(size).indices.tolist()})
    assert 0 < share <= 1
    assert share == pytest.approx((mass[chosen].sum() / mass.sum()).item(), rel=1e-4)
