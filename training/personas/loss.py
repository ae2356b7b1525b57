"""TRL's SFTTrainer with a loss that is affordable on a CPU.

TRL's own fused head is a Triton kernel, which needs a GPU. With a vocabulary of 262,144 the LM head
is most of a small Gemma's work. So logits are computed only at positions with a loss, one chunk of
tokens at a time, and never kept. In training the softmax runs over a part of the vocabulary: the
tokens of the data and those that the base model finds likely. Evaluation uses the whole head.
"""

from typing import Any

import torch
from trl import SFTTrainer

from training.runs.row_order import GroupedByLength

CHUNK_TOKENS = 128
IGNORED = -100  # label of a token that the loss does not count


class ChunkedLossTrainer(GroupedByLength, SFTTrainer):  # type: ignore[misc]
    """Trainer with TRL's loss on an accelerator, and the chunked loss on a CPU.

    Attributes:
        vocabulary: sorted token ids `(v,)` of the training softmax, None for all.
    """

    vocabulary: torch.Tensor | None = None

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:
        """Compute the loss of a batch; with `return_outputs` also a dict that holds it."""
        if inputs["input_ids"].device.type != "cpu":
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        vocabulary = self.vocabulary if model.training else None
        loss = completion_loss(model, inputs, num_items_in_batch, vocabulary)
        return (loss, {"loss": loss}) if return_outputs else loss


def completion_loss(
    model: Any,
    inputs: dict[str, torch.Tensor],
    items: torch.Tensor | None = None,
    vocabulary: torch.Tensor | None = None,
) -> torch.Tensor:
    """Compute the mean negative log-likelihood of the tokens whose label is not -100.

    Args:
        model: a Gemma, with or without a PEFT adapter.
        inputs: `input_ids`, `attention_mask` and `labels`, each `(batch, length)`.
        items: counted tokens of the whole optimiser step, if it spans several batches.
        vocabulary: sorted token ids of the softmax, every label among them; None for all.
    """
    causal = _causal(model)
    hidden, labels = _scored_positions(causal, inputs)
    weight = causal.lm_head.weight
    targets = labels
    if vocabulary is not None:
        weight = weight[vocabulary]
        targets = torch.searchsorted(vocabulary, labels)
    total: torch.Tensor = _HeadLoss.apply(  # type: ignore[no-untyped-call]
        hidden, weight, targets, _logit_cap(causal)
    )
    return total / (len(labels) if items is None else items)


@torch.no_grad()
def select_vocabulary(
    model: Any, batches: list[dict[str, torch.Tensor]], labels: set[int], size: int
) -> tuple[torch.Tensor, float]:
    """Select the labels and the `size` tokens that `model` finds likeliest on `batches`.

    Returns the sorted token ids and their share of the probability.
    """
    causal = _causal(model)
    mass = torch.zeros(causal.lm_head.weight.shape[0])
    for inputs in batches:
        hidden, _ = _scored_positions(causal, inputs)
        logits = _apply_cap(causal.lm_head(hidden), _logit_cap(causal))
        mass += torch.softmax(logits, -1).sum(0)
    likeliest = set(mass.topk(min(size, len(mass))).indices.tolist())
    chosen = torch.tensor(sorted(labels | likeliest))
    return chosen, (mass[chosen].sum() / mass.sum()).item()


def _causal(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _logit_cap(causal: Any) -> float | None:
    """Soft cap of Gemma 2's logits; None for models without one."""
    cap: float | None = getattr(causal.config, "final_logit_softcapping", None)
    return cap


def _apply_cap(raw: torch.Tensor, cap: float | None) -> torch.Tensor:
    """Convert the head's output to float32 logits."""
    return cap * torch.tanh(raw.float() / cap) if cap else raw.float()


def _scored_positions(
    causal: Any, inputs: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the hidden states `(n, d)` that predict a counted label, and those labels `(n,)`."""
    output = causal.model(
        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False
    )
    labels = inputs["labels"][:, 1:]
    counted = labels != IGNORED
    return output.last_hidden_state[:, :-1][counted], labels[counted]


class _HeadLoss(torch.autograd.Function):
    """Summed cross-entropy of a frozen head: hidden `(n, d)`, weight `(v, d)`, labels `(n,)`.

    The gradient of the hidden states is computed in the forward pass, while the logits of a chunk
    exist, as in Liger Kernel's fused linear cross-entropy (https://arxiv.org/abs/2410.10989).
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        labels: torch.Tensor,
        cap: float | None,
    ) -> torch.Tensor:
        """Sum the loss of all chunks and save the gradient for the backward pass."""
        total = torch.zeros(())
        gradient = torch.empty_like(hidden)
        for start in range(0, len(labels), CHUNK_TOKENS):
            rows = slice(start, start + CHUNK_TOKENS)
            loss, gradient[rows] = _chunk_loss(
                hidden[rows].to(weight.dtype), weight, labels[rows], cap
            )
            total += loss
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        """Scale the saved gradient by that of the loss."""
        (gradient,) = ctx.saved_tensors
        return gradient * outer[0].to(gradient.dtype), None, None, None


def _chunk_loss(
    hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, cap: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the loss `()` of one chunk and its gradient `(n, d)`."""
    logits = _apply_cap(hidden @ weight.T, cap)
    log_total = torch.logsumexp(logits, -1, keepdim=True)
    loss = (log_total - logits.gather(-1, labels[:, None])).sum()
    slope = torch.exp(logits - log_total)
    slope.scatter_add_(-1, labels[:, None], -torch.ones(len(labels), 1))
    if cap:
        slope *= 1 - (logits / cap) ** 2
    return loss, slope.to(weight.dtype) @ weight
