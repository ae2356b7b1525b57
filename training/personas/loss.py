"""TRL's SFTTrainer with a loss that is affordable without a GPU: TRL's own fused head is a Triton kernel.

With a vocabulary of 262,144 the head is most of a small Gemma's work. So logits are computed only where there is a loss, a chunk
of tokens at a time, never kept, and in training over the part of the vocabulary that the data or the base model ever consider.
Evaluation always uses the whole head.
"""

from typing import Any

import torch
from trl import SFTTrainer

CHUNK_TOKENS = 128


class AnywhereSFTTrainer(SFTTrainer):  # type: ignore[misc]
    """Uses TRL's loss on an accelerator, and on a CPU the same loss in plain torch, over `vocabulary` `(v,)` in training."""

    vocabulary: torch.Tensor | None = None

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:
        if inputs["input_ids"].device.type != "cpu":
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        loss = completion_loss(model, inputs, num_items_in_batch, self.vocabulary if model.training else None)
        return (loss, {"loss": loss}) if return_outputs else loss


def completion_loss(
    model: Any, inputs: dict[str, torch.Tensor], items: torch.Tensor | None = None, vocabulary: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean negative log-likelihood of the tokens whose label is not -100; `input_ids` and `labels` are `(batch, length)`.

    `items` is the number of such tokens in the whole optimiser step, where it spans several batches. `vocabulary` holds the sorted
    token ids over which the softmax runs, every label among them; None is all of them.
    """
    causal = _causal(model)
    hidden, labels = _scored_positions(causal, inputs)
    weight = causal.lm_head.weight
    if vocabulary is not None:
        weight, labels_here = weight[vocabulary], torch.searchsorted(vocabulary, labels)
    else:
        labels_here = labels
    total: torch.Tensor = _HeadLoss.apply(hidden, weight, labels_here, _cap(causal))  # type: ignore[no-untyped-call]
    return total / (len(labels) if items is None else items)


@torch.no_grad()
def considered_vocabulary(model: Any, batches: list[dict[str, torch.Tensor]], labels: set[int], size: int) -> tuple[torch.Tensor, float]:
    """Sorted ids of the labels and of the `size` tokens that `model` gives most probability to, and the share of it they hold."""
    causal = _causal(model)
    mass = torch.zeros(causal.lm_head.weight.shape[0])
    for inputs in batches:
        hidden, _ = _scored_positions(causal, inputs)
        mass += torch.softmax(_capped(causal.lm_head(hidden), _cap(causal)), -1).sum(0)
    chosen = torch.tensor(sorted(labels | set(mass.topk(min(size, len(mass))).indices.tolist())))
    return chosen, (mass[chosen].sum() / mass.sum()).item()


def _causal(model: Any) -> Any:
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _cap(causal: Any) -> float | None:
    """Gemma 2's soft cap of the logits."""
    cap: float | None = getattr(causal.config, "final_logit_softcapping", None)
    return cap


def _capped(raw: torch.Tensor, cap: float | None) -> torch.Tensor:
    """Float32 logits of the head's output."""
    return cap * torch.tanh(raw.float() / cap) if cap else raw.float()


def _scored_positions(causal: Any, inputs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states `(n, d)` that predict a counted label, and those labels `(n,)`."""
    hidden = causal.model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False).last_hidden_state
    labels = inputs["labels"][:, 1:]
    counted = labels != -100
    return hidden[:, :-1][counted], labels[counted]


class _HeadLoss(torch.autograd.Function):
    """Summed cross-entropy of a frozen head: hidden `(n, d)`, weight `(v, d)`, labels `(n,)`.

    The gradient of the hidden states is made in the forward pass, while a chunk's logits are still there, as in Liger Kernel's
    fused linear cross-entropy (https://arxiv.org/abs/2410.10989).
    """

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, cap: float | None) -> torch.Tensor:
        total = torch.zeros(())
        gradient = torch.empty_like(hidden)
        for start in range(0, len(labels), CHUNK_TOKENS):
            rows = slice(start, start + CHUNK_TOKENS)
            loss, gradient[rows] = _chunk(hidden[rows].to(weight.dtype), weight, labels[rows], cap)
            total += loss
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * outer[0].to(gradient.dtype), None, None, None


def _chunk(hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor, cap: float | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss `()` and gradient `(n, d)` of one chunk."""
    logits = _capped(hidden @ weight.T, cap)
    log_total = torch.logsumexp(logits, -1, keepdim=True)
    loss = (log_total - logits.gather(-1, labels[:, None])).sum()
    slope = torch.exp(logits - log_total)
    slope.scatter_add_(-1, labels[:, None], -torch.ones(len(labels), 1))
    if cap:
        slope *= 1 - (logits / cap) ** 2
    return loss, slope.to(weight.dtype) @ weight
