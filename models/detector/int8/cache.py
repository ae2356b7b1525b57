"""Cache of converted detectors: an artifact is converted to int8 at its first start.

    artifact -> calibrate and convert -> <cache>/detector-int8-<12 of a hash>.safetensors, .sha256

A file lock makes it safe in several processes at once. It is also safe after an interruption,
because a file is renamed into place when it is complete.
"""

import json
import logging
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from models.hashing import file_sha256, json_sha256
from models.manifest import DetectorManifest
from models.weights.cache import ProgressCallback, cache_folder, materialize

CALIBRATION_TEXTS = Path(__file__).with_name("calibration_texts.txt")
PREFIX = "detector-int8-"
FORMAT = 2  # raise it when `convert` or `model` change the names or the meaning of the tensors
# Without one of these, sums of int8 products overflow before they are accumulated in 32 bits.
INT8_CPU_FLAGS = {"avx512_vnni", "avx_vnni", "amx_int8"}
log = logging.getLogger(__name__)


def has_int8_dot_product() -> bool:
    """Check that the CPU multiplies int8 values with 32-bit accumulation."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return False
    return any(INT8_CPU_FLAGS & set(line.split()) for line in lines if line.startswith("flags"))


def supports_int8(folder: Path) -> bool:
    """Check that an artifact is based on MPNet and the CPU has int8 dot products."""
    base = materialize(DetectorManifest.read(folder).base).folder
    config = json.loads((base / "config.json").read_text("utf-8"))
    return has_int8_dot_product() and config["model_type"] == "mpnet"


def int8_weights(folder: Path, report: ProgressCallback = log.info) -> Path:
    """Return the file of an artifact's int8 tensors, converted first if it is not in the cache.

    A file that differs from the digest next to it is damaged, and is converted again.
    """
    manifest = DetectorManifest.read(folder)
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    file = cache / f"{PREFIX}{_key(manifest)}.safetensors"
    with FileLock(cache / f".{file.stem}.lock"):
        problem = int8_problem(file)
        if problem and file.is_file():
            report(f"{manifest.base}: {file} {problem}; it is made again")
        if problem:
            report(f"{manifest.base}: converting to 8-bit integers")
            _convert(folder, file)
    return file


def int8_files() -> list[Path]:
    """Return the files of converted detectors in the cache."""
    return sorted(cache_folder().glob(f"{PREFIX}*.safetensors"))


def int8_problem(file: Path) -> str | None:
    """Return the fault of a converted file, None if it is as it was written."""
    if not file.is_file():
        return "is missing"
    if not _digest_file(file).is_file():
        return "has no recorded sha256"
    recorded = _digest_file(file).read_text("ascii", "replace").strip()
    return None if file_sha256(file) == recorded else "differs from its recorded sha256"


def _digest_file(file: Path) -> Path:
    return file.with_suffix(".sha256")


def _key(manifest: DetectorManifest) -> str:
    """Hash everything that the converted tensors depend on."""
    texts = file_sha256(CALIBRATION_TEXTS)
    inputs = [manifest.content_hash, manifest.base_hash, texts, FORMAT, version("torch")]
    return json_sha256(inputs)[:12]


def _convert(folder: Path, file: Path) -> None:
    from safetensors.torch import save_file

    from models.detector.int8.convert import convert_artifact  # imports torch

    partial = file.with_suffix(".partial")
    tensors = convert_artifact(folder, CALIBRATION_TEXTS.read_text("utf-8").splitlines())
    save_file(tensors, partial, metadata={"format": "pt"})
    _digest_file(file).write_text(file_sha256(partial) + "\n", "ascii")
    partial.rename(file)
