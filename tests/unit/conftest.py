"""Fixtures of several unit tests: tokenizers, public data sets and subprocesses."""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from tokenizers import Tokenizer

import models
from models.prompt import PromptEncoder
from models.weights.catalog import BaseWeights
from support.tokenizers import byte_tokenizer

settings.register_profile("unit", deadline=None, max_examples=60, database=None)
settings.load_profile("unit")

MATERIALIZE = """
import sys
import models.weights.cache
from models.weights.catalog import BaseWeights
from models.errors import FyeError

models.weights.cache.find_weights = BaseWeights.model_validate_json
for entry in sys.argv[1:]:
    try:
        print(models.weights.cache.materialize(entry, print).folder)
    except FyeError as error:
        print(f"{type(error).__name__}: {error}")
"""
EMOTION_TRAIN = (
    "i feel low; really low;sadness",
    "i feel grand;joy",
    "I FEEL, like toast!;joy",
    "",
    "i feel torn;fear",
    "i feel torn;anger",
    "",
)
GOEMOTIONS_TRAIN = {
    "Stop it": "0",
    "Stop that": "0,1",
    "Awww": "2,6",
    "Hm": "0,5",
    "Why?": "3",
    "Gone": "4,8",
    "Rude cat": "1",
}
GOEMOTIONS_LABELS = (
    "anger",
    "annoyance",
    "caring",
    "curiosity",
    "grief",
    "joy",
    "love",
    "sadness",
    "neutral",
)
PUBLIC_SETS = {
    "emotion/train.txt": "\n".join(EMOTION_TRAIN),
    "emotion/val.txt": "i feel like toast;love\n",
    "emotion/test.txt": "i feel watched;fear\n",
    "goemotions/emotions.txt": "\n".join(GOEMOTIONS_LABELS),
    "goemotions/train.tsv": "".join(
        f"{text}\t{ids}\tid\n" for text, ids in GOEMOTIONS_TRAIN.items()
    ),
    "goemotions/dev.tsv": "rude, cat...\t1\tid\nYes\t5\tid\n",
}
UNSPLIT_ROWS = """\
text,label
"i feel small, and tired",0
i feel watched,4
i feel shocked,5
"""


@pytest.fixture(scope="session")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    byte_tokenizer(adds_bos=True).save(str(file))
    return file


@pytest.fixture(scope="session")
def tokenizer(tokenizer_file: Path) -> Tokenizer:
    """Tokenizer to decode ids with, independent of the encoder's own copy."""
    return Tokenizer.from_file(str(tokenizer_file))


@pytest.fixture(scope="session")
def encoder(tokenizer_file: Path) -> PromptEncoder:
    return PromptEncoder(tokenizer_file)


@pytest.fixture
def materialize_in_subprocess() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a process that materializes entries; it is killed after the test.

    For each entry it prints the progress, then the folder or the error.
    """
    processes = list[subprocess.Popen[str]]()

    def start(*entries: BaseWeights, **environment: str) -> subprocess.Popen[str]:
        arguments = [entry.model_dump_json() for entry in entries]
        process = subprocess.Popen(
            [sys.executable, "-c", MATERIALIZE, *arguments],
            env={**os.environ, **environment},
            cwd=Path(models.__file__).parents[1],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def public_sets(tmp_path: Path) -> Path:
    """Folder of the public data sets, with a few invented rows."""
    for name, text in PUBLIC_SETS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    unsplit = tmp_path / "emotion_unsplit"
    unsplit.mkdir()
    with gzip.open(unsplit / "train_noleak.csv.gz", "wt", encoding="utf-8") as stream:
        stream.write(UNSPLIT_ROWS)
    return tmp_path


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Limit torch to one thread; on a busy machine, two wait longer than tiny tensors take."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
