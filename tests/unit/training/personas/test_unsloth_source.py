"""Our calls of Unsloth against the source of the pinned version, which is never imported."""

import ast
import re
from pathlib import Path

import pytest

import training.personas.backends as backends
from support.unsloth_source import find_source, method, parameters, parse, version

ROOT = Path(backends.__file__).parents[2]
SOURCE = find_source()
pytestmark = pytest.mark.skipif(
    SOURCE is None,
    reason="no source of Unsloth: neither .venv-train-gpu nor a wheel in .wheels, see "
    "tests/support/unsloth_source.py",
)
# Where Unsloth documents the arguments that `FastLanguageModel` passes on.
OWNERS = {
    "from_pretrained": ("models/loader.py", "FastLanguageModel"),
    "get_peft_model": ("models/llama.py", "FastLlamaModel"),
}
# Not Unsloth's own: it passes them to transformers.
PASSED_ON = {"from_pretrained": {"local_files_only"}, "get_peft_model": set()}


def source() -> Path:
    assert SOURCE is not None
    return SOURCE


def our_calls() -> dict[str, set[str]]:
    """Return the argument names of our calls of `FastLanguageModel`, by method."""
    tree = ast.parse(Path(backends.__file__).read_text("utf-8"))
    return {
        node.func.attr: {str(keyword.arg) for keyword in node.keywords}
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value) == "FastLanguageModel"
    }


def test_source_is_the_pinned_version() -> None:
    lock = (ROOT / "requirements" / "train-gpu.txt").read_text("utf-8")
    pinned = re.search(r"^unsloth==([\d.]+)", lock, re.MULTILINE)
    assert pinned is not None
    assert version(source()) == pinned.group(1)


@pytest.mark.parametrize("name", OWNERS)
def test_every_argument_exists(name: str) -> None:
    module, owner = OWNERS[name]
    known = parameters(method(parse(source(), module), owner, name)) | PASSED_ON[name]
    assert our_calls()[name] <= known
    assert len(our_calls()[name]) > 5


@pytest.mark.parametrize(("name", "arguments"), [(n, a) for n, a in PASSED_ON.items() if a])
def test_unsloth_reads_or_passes_on_the_other_arguments(name: str, arguments: set[str]) -> None:
    module, owner = OWNERS[name]
    function = method(parse(source(), module), owner, name)
    assert function.args.kwarg is not None
    words = {node.value for node in ast.walk(function) if isinstance(node, ast.Constant)}
    assert arguments <= words


def test_gemma_2_has_a_model_of_its_own_with_the_soft_cap() -> None:
    loader = ast.unparse(method(parse(source(), "models/loader.py"), *reversed(LOAD)))
    assert "FastGemma2Model" in loader
    attention = ast.unparse(parse(source(), "models/gemma2.py"))
    assert "attn_logit_softcapping" in attention


def test_bf16_would_silently_become_fp16() -> None:
    """So the backend refuses a GPU without bf16 before it loads anything."""
    load = ast.unparse(method(parse(source(), "models/llama.py"), "FastLlamaModel", LOAD[0]))
    assert "dtype == torch.bfloat16 and (not SUPPORTS_BFLOAT16)" in load


def test_preparation_keeps_labels_and_does_not_apply_a_mask() -> None:
    """So our rows have labels: a mask alone would count the prompt in the loss."""
    source = find_source("unsloth_zoo")
    if source is None:
        pytest.skip("no source of unsloth_zoo, see tests/support/unsloth_source.py")
    tree = parse(source, "dataset_utils.py", "unsloth_zoo")
    (prepare,) = (
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == "sft_prepare_dataset"
    )
    (branch,) = (
        node
        for node in prepare.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "'labels' in column_names"
    )
    kept = "\n".join(map(ast.unparse, branch.body))
    assert "DataCollatorForSeq2Seq(tokenizer)" in kept
    assert "used_column_names.append('labels')" in kept
    masked = "\n".join(map(ast.unparse, branch.orelse))
    assert "completion_mask" in masked
    assert "-100" not in masked


LOAD = ("from_pretrained", "FastLanguageModel")
