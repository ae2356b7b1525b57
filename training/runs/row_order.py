"""Order in which a training shows its rows, the same before and after an interruption.

transformers' own grouping by length draws from torch's global generator, which a resumed process
starts again: it would show other rows than the run that was interrupted.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch.utils.data import Sampler

POOL_BATCHES = 50  # batches whose rows are sorted by length together


class LengthBatches(Sampler[int]):
    """Order of rows in which a batch has rows of similar length, and batches come in any order.

    Length can tell much about the label: batches in the order of their lengths would teach the
    model nothing but that. The order is a function of the seed and the epoch alone.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, seed: int, epoch: Callable[[], int]
    ) -> None:
        """Take the length of each row; `epoch` returns the number of the epoch that starts."""
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = random.Random(f"{self._seed} {self._epoch()}")
        order = list(range(len(self._lengths)))
        generator.shuffle(order)
        batches = [
            batch
            for pool in _parts(order, self._batch_size * POOL_BATCHES)
            for batch in _parts(sorted(pool, key=self._lengths.__getitem__), self._batch_size)
        ]
        generator.shuffle(batches)
        return iter(row for batch in batches for row in batch)


def _parts(rows: Sequence[int], size: int) -> list[Sequence[int]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


class GroupedByLength:
    """Part of a trainer: the rows of an optimiser step have similar lengths.

    Inherit it before a `transformers.Trainer`. Rows are dictionaries with `input_ids`.
    """

    args: Any
    state: Any
    train_dataset: Any

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthBatches:
        rows = self.train_dataset if train_dataset is None else train_dataset
        return LengthBatches(
            [len(rows[number]["input_ids"]) for number in range(len(rows))],
            self.args.train_batch_size * self.args.gradient_accumulation_steps,
            self.args.seed,
            lambda: int(self.state.epoch or 0),
        )
