"""TRL trainer of one stage: rows of token ids, loss on the answers, schedule."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl import SFTConfig

from models.emotions import Emotion
from models.machine.precision import has_gpu, training_dtype
from models.personas import builtin_personas
from models.prompt import PromptEncoder
from models.weights.cache import Materialized
from training.datasets.persona_pairs import Pair, held_out_pairs, training_pairs
from training.personas.backends import choose_backend
from training.personas.loss import IGNORED, ChunkedLossTrainer, select_vocabulary
from training.recipe import PersonaRecipe
from training.runs.progress import ProgressLine, ReportStep, console

VOCABULARY_BATCHES = 4
VOCABULARY_ROWS = 8  # of one such batch


@dataclass(frozen=True, slots=True)
class TrainingStage:
    """One fine-tuning of a run.

    Attributes:
        name: name in progress lines.
        personas: personas whose pairs the stage trains on.
        start: folder of an adapter to continue from, None for a new adapter.
    """

    name: str
    personas: tuple[Emotion, ...]
    start: Path | None = None

    @property
    def is_shared(self) -> bool:
        """True if the stage trains on the pairs of several personas."""
        return len(self.personas) > 1


def make_trainer(
    stage: TrainingStage,
    recipe: PersonaRecipe,
    base: Materialized,
    run: Path,
    report: ReportStep | None = None,
) -> ChunkedLossTrainer:
    """Build the trainer of a stage, which writes its checkpoints to `run`.

    `report` receives the progress; without it, lines are printed. Raises BackendError.
    """
    model, tokenizer = choose_backend(recipe).load(recipe, base.folder, stage.start)
    encoder = PromptEncoder(base.folder / "tokenizer.json")
    held_out = held_out_rows(encoder, stage.personas, recipe)
    trainer = ChunkedLossTrainer(
        model=model,
        args=_arguments(recipe, run, stage.is_shared),
        train_dataset=training_rows(encoder, stage.personas, recipe),
        # The shared stage is evaluated on as many rows as the stage of one persona.
        eval_dataset=held_out.select(range(0, len(held_out), len(stage.personas))),
        processing_class=tokenizer,
        callbacks=[ProgressLine(stage.name, report)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.vocabulary = _vocabulary(trainer, recipe)
    return trainer


def training_rows(
    encoder: PromptEncoder, chosen: Sequence[Emotion], recipe: PersonaRecipe
) -> Dataset:
    """Encode the training pairs of the chosen personas, from the set of the recipe."""
    pairs = (
        (persona, pair) for persona in chosen for pair in training_pairs(persona, recipe.pairs)
    )
    return _encode_pairs(encoder, pairs, recipe.max_tokens)


def held_out_rows(
    encoder: PromptEncoder, chosen: Sequence[Emotion], recipe: PersonaRecipe
) -> Dataset:
    """Encode the held-out pairs of the chosen personas, from the set of the recipe."""
    pairs = (
        (persona, pair) for persona in chosen for pair in held_out_pairs(persona, recipe.pairs)
    )
    return _encode_pairs(encoder, pairs, recipe.max_tokens)


def _encode_pairs(
    encoder: PromptEncoder, pairs: Iterable[tuple[Emotion, Pair]], max_tokens: int
) -> Dataset:
    """Encode pairs, without those whose answer is truncated completely."""
    rows = (encode_pair(encoder, persona, pair, max_tokens) for persona, pair in pairs)
    return Dataset.from_list([row for row in rows if set(row["labels"]) != {IGNORED}])


def encode_pair(
    encoder: PromptEncoder, persona: Emotion, pair: Pair, max_tokens: int
) -> dict[str, list[int]]:
    """Encode a pair in the prompt format of serving, earlier turns included.

    Returns `input_ids` and `labels`, at most `max_tokens` each. The labels are the tokens of the
    answer, which the loss counts, and -100 in the prompt. They are made here and not from a mask,
    because Unsloth leaves out the preparation in which TRL applies a mask.
    """
    prompt = encoder.prompt(builtin_personas()[persona].name, pair.conversation)
    answer = encoder.completion(pair.answer)
    labels = [IGNORED] * len(prompt) + answer
    return {"input_ids": (prompt + answer)[:max_tokens], "labels": labels[:max_tokens]}


def _vocabulary(trainer: ChunkedLossTrainer, recipe: PersonaRecipe) -> torch.Tensor | None:
    """Choose the tokens of the training softmax on a CPU, by the data and the untrained model."""
    if recipe.vocabulary is None or has_gpu():
        return None
    rows = trainer.train_dataset
    labels = {token for row in rows["labels"] for token in row if token != IGNORED}
    sample = _sample_batches(trainer)
    with trainer.model.disable_adapter():
        chosen, share = select_vocabulary(trainer.model, sample, labels, recipe.vocabulary)
    console.print(f"training softmax over {len(chosen)} tokens, {share:.2%} of the probability")
    return chosen


def _sample_batches(trainer: ChunkedLossTrainer) -> list[dict[str, torch.Tensor]]:
    """Collate a few batches of rows that are spread over the training data."""
    rows = trainer.train_dataset
    step = len(rows) // VOCABULARY_ROWS
    return [
        trainer.data_collator([rows[i] for i in range(start, len(rows), step)][:VOCABULARY_ROWS])
        for start in range(VOCABULARY_BATCHES)
    ]


def _arguments(recipe: PersonaRecipe, run: Path, shared: bool) -> SFTConfig:
    return SFTConfig(
        output_dir=str(run),
        num_train_epochs=recipe.shared_epochs if shared else recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.accumulation_steps,
        gradient_checkpointing=recipe.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        learning_rate=recipe.shared_learning_rate if shared else recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup_steps,
        max_length=recipe.max_tokens,
        bf16=training_dtype() is torch.bfloat16,
        use_cpu=not has_gpu(),
        eval_strategy="epoch",
        save_strategy="steps",
        save_steps=recipe.save_steps,
        save_total_limit=1,
        logging_steps=10,
        seed=recipe.seed,
        report_to=[],
        disable_tqdm=True,
    )
