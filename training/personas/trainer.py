"""TRL's trainer for one stage of the personas: which rows it reads, what its loss is taken over, how it steps."""

from collections.abc import Sequence
from pathlib import Path

import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl import SFTConfig

from models.emotions import Emotion
from models.personas import builtin_personas
from models.prompt import PromptEncoder, Turn
from models.weights.cache import Materialized
from training.datasets.persona_pairs import Pair, pairs
from training.personas.backends import choose_backend
from training.personas.loss import AnywhereSFTTrainer, considered_vocabulary
from training.recipe import PersonaRecipe
from training.runs.progress import ProgressLine, Report, console


def make_trainer(
    title: str,
    who: Sequence[Emotion],
    recipe: PersonaRecipe,
    base: Materialized,
    start: Path | None,
    run: Path,
    report: Report | None = None,
) -> AnywhereSFTTrainer:
    backend = choose_backend(recipe)
    model, tokenizer = backend.load(recipe, base.folder, start)
    encoder = PromptEncoder(base.folder / "tokenizer.json")
    train, held_out = (tokenised_pairs(encoder, who, held) for held in (False, True))
    trainer = AnywhereSFTTrainer(
        model=model,
        args=_arguments(recipe, run, shared=len(who) > 1),
        train_dataset=train,
        eval_dataset=held_out.select(range(0, len(held_out), len(who))),  # as many for the shared stage as for one persona
        processing_class=tokenizer,
        callbacks=[ProgressLine(title, report)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.vocabulary = _vocabulary(trainer, recipe)
    return trainer


def tokenised_pairs(encoder: PromptEncoder, who: Sequence[Emotion], held_out: bool) -> Dataset:
    """Token ids and the mask of the answer: the loss is taken there alone."""
    rows = [tokenised_pair(encoder, persona, pair) for persona in who for pair in pairs(persona, held_out)]
    return Dataset.from_list(rows)


def tokenised_pair(encoder: PromptEncoder, persona: Emotion, pair: Pair) -> dict[str, list[int]]:
    prompt = encoder.prompt(builtin_personas()[persona].name, [Turn("user", pair.message)])
    answer = encoder.completion(pair.answer)
    return {"input_ids": prompt + answer, "completion_mask": [0] * len(prompt) + [1] * len(answer)}


def _vocabulary(trainer: AnywhereSFTTrainer, recipe: PersonaRecipe) -> torch.Tensor | None:
    """On a CPU the training softmax runs over `recipe.vocabulary` tokens, chosen from the data and from the untrained model."""
    if recipe.vocabulary is None or torch.cuda.is_available():
        return None
    rows = trainer.train_dataset
    sample = [trainer.data_collator([rows[i] for i in range(start, len(rows), len(rows) // 8)][:8]) for start in range(4)]
    labels = {token for row in rows["labels"] for token in row if token != -100}
    with trainer.model.disable_adapter():
        chosen, share = considered_vocabulary(trainer.model, sample, labels, recipe.vocabulary)
    console.print(f"{len(chosen)} of the tokens hold {share:.2%} of the probability; the training loss is over those")
    return chosen


def _arguments(recipe: PersonaRecipe, run: Path, shared: bool) -> SFTConfig:
    return SFTConfig(
        output_dir=str(run),
        num_train_epochs=recipe.shared_epochs if shared else recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=recipe.batch_size,
        learning_rate=recipe.shared_learning_rate if shared else recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup_steps,
        completion_only_loss=True,
        max_length=recipe.max_tokens,
        train_sampling_strategy="group_by_length",
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=False,
        eval_strategy="epoch",
        save_strategy="steps",
        save_steps=recipe.save_steps,
        save_total_limit=1,
        logging_steps=10,
        seed=recipe.seed,
        report_to=[],
        disable_tqdm=True,
    )
