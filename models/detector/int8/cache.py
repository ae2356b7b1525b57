"""Where a detector's 8-bit integers lie: converted at the first start, into the cache folder beside the base weights.

    artefact, base weights -> converted on the texts of int8_examples.txt -> <cache>/detector-int8-<12 of a hash>.safetensors

Safe when two processes do it at once (a file lock) and after a kill (a file is renamed into place when it is whole).
"""

import json
import logging
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from models.hashing import file_sha256, json_sha256
from models.manifest import DetectorManifest
from models.weights.cache import Report, cache_folder, materialize

EXAMPLES = Path(__file__).with_name("calibration_texts.txt")
FORMAT = 1  # of the tensors in the file: raise it when `int8` or `int8_convert` mean something else by them
BYTE_PRODUCTS = {"avx512_vnni", "avx_vnni", "amx_int8"}  # without one of them sums of products overflow before they are added up
log = logging.getLogger(__name__)


def has_int8_dot_product() -> bool:
    """Whether this processor multiplies bytes and adds up in 32 bits."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return False
    return any(BYTE_PRODUCTS & set(line.split()) for line in lines if line.startswith("flags"))


def supports_int8(folder: Path) -> bool:
    """Whether an artefact can be read in 8-bit integers here: one that stands on MPNet, on a processor that is made for it."""
    base = materialize(DetectorManifest.read(folder).base).folder
    return has_int8_dot_product() and json.loads((base / "config.json").read_text("utf-8"))["model_type"] == "mpnet"


def int8_weights(folder: Path, report: Report = log.info) -> Path:
    """The file with the converted tensors of an artefact, made first if it is not there."""
    manifest = DetectorManifest.read(folder)
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    file = cache / f"detector-int8-{_key(manifest)}.safetensors"
    with FileLock(cache / f".{file.stem}.lock"):
        if not file.is_file():
            report(f"{manifest.base}: converting to 8-bit integers")
            _make(folder, file)
    return file


def _key(manifest: DetectorManifest) -> str:
    depends_on = [manifest.content_hash, manifest.base_hash, file_sha256(EXAMPLES), FORMAT, version("torch")]
    return json_sha256(depends_on)[:12]


def _make(folder: Path, file: Path) -> None:
    from safetensors.torch import save_file

    from models.detector.int8.convert import converted  # imports torch

    partial = file.with_suffix(".partial")
    save_file(converted(folder, EXAMPLES.read_text("utf-8").splitlines()), partial, metadata={"format": "pt"})
    partial.rename(file)
