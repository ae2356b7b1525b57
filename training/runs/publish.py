"""Publish a run to `models/artifacts/`, a folder or the hub, with model cards.

What enters the repository is small, unless asked for. The templates in `cards/` are filled in from
the manifest and the recipe.
"""

import json
import shutil
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from huggingface_hub import HfApi

from models.manifest import (
    ARTIFACTS,
    DETECTOR_WEIGHTS,
    MANIFEST_FILE,
    AdapterManifest,
    CriticManifest,
    DetectorManifest,
    SafetyManifest,
)
from models.weights.catalog import find_weights
from training.errors import PublishError
from training.recipe import PAIR_FOLDERS, CriticRecipe, PairSet
from training.runs.folder import RECIPE_FILE
from training.runs.publish_checks import check_pinned, check_size

CARDS = Path(__file__).parent / "cards"
Carded = AdapterManifest | CriticManifest | DetectorManifest  # a template in `cards/` has the card
PUBLISHED_FILES = (
    MANIFEST_FILE,
    "model.safetensors",
    "adapter_model.safetensors",
    "adapter_config.json",
)


def publish_run(
    run: Path, artifacts: Path = ARTIFACTS, *, large: bool = False, unpinned: bool = False
) -> list[Path]:
    """Publish the artefacts of a run, and return the published folders.

    Args:
        run: folder that holds an `artifact`, a detector, the judge, the critic or the
            safety classifier, or an `adapter` for each persona.
        artifacts: folder to publish to.
        large: allow artefacts of any size in the repository.
        unpinned: allow base weights from the hub without a fixed commit.

    Raises:
        PublishError: there is nothing to publish, or a check failed.
    """
    _check(run, artifacts, large, unpinned)
    recipe = json.loads((run / RECIPE_FILE).read_text("utf-8"))["recipe"]
    if (run / "artifact" / MANIFEST_FILE).exists():
        return [_publish_artifact(run / "artifact", recipe, artifacts)]
    manifests = sorted(run.glob(f"*/adapter/{MANIFEST_FILE}"))
    return [_publish_adapter(manifest.parent, recipe, artifacts) for manifest in manifests]


def publish_to_hub(run: Path, repo: str, *, unpinned: bool = False) -> str:
    """Publish the artefacts of a run to a repository of the hub, and return its address.

    The repository is made private if it does not exist. Raises PublishError.
    """
    api = HfApi()
    with TemporaryDirectory() as folder:
        publish_run(run, Path(folder), unpinned=unpinned)
        try:
            api.create_repo(repo, private=True, exist_ok=True)
            api.upload_folder(repo_id=repo, folder_path=folder, commit_message=f"Add {run.name}")
        except (httpx.HTTPError, OSError) as error:  # the hub's own errors are HTTP errors
            raise PublishError(
                f"cannot upload to {repo}: {error}; set HF_TOKEN to a token that may write there"
            ) from error
    return f"https://huggingface.co/{repo}"


def _check(run: Path, artifacts: Path, large: bool, unpinned: bool) -> None:
    manifests = [*run.glob(f"artifact/{MANIFEST_FILE}"), *run.glob(f"*/adapter/{MANIFEST_FILE}")]
    if not manifests:
        raise PublishError(f"{run} holds no artefact: finish the training first")
    if artifacts.resolve().is_relative_to(ARTIFACTS.resolve()) and not large:
        check_size(file.parent / name for file in manifests for name in PUBLISHED_FILES)
    bases = {json.loads(file.read_text("utf-8"))["base"] for file in manifests}
    for base in [] if unpinned else sorted(bases):
        check_pinned(base)


def _publish_artifact(source: Path, recipe: dict[str, Any], artifacts: Path) -> Path:
    """Publish the only artefact of a run by the kind that its manifest states."""
    kind = json.loads((source / MANIFEST_FILE).read_text("utf-8")).get("kind")
    if kind == "safety":
        return _publish_safety(source, artifacts / "safety")
    if kind == "critic":
        return _publish_critic(source, recipe, artifacts / "critic")
    return _publish_detector(source, recipe, artifacts)


def _publish_detector(source: Path, recipe: dict[str, Any], artifacts: Path) -> Path:
    manifest = DetectorManifest.read(source)
    facts = _facts(manifest, recipe)
    if recipe["part"] == "judge":
        return _publish(source, artifacts / "judge", "judge.md", facts)
    out = artifacts / "detectors" / Path(manifest.base).name
    return _publish(source, out, "detector.md", facts)


def _publish_critic(source: Path, recipe: dict[str, Any], out: Path) -> Path:
    pair_set = CriticRecipe.of_record(recipe).pair_set
    pairs = {"pair_set": pair_set, "pairs_folder": PAIR_FOLDERS[pair_set]}
    return _publish(source, out, "critic.md", _facts(CriticManifest.read(source), recipe) | pairs)


def _publish_safety(source: Path, out: Path) -> Path:
    """Copy the safety classifier. Its card is that of `python -m training evaluate-safety`."""
    SafetyManifest.read(source)
    if not (source / "README.md").exists():
        raise PublishError(
            f"{source} has no model card: write it with "
            f"python -m training evaluate-safety --artifact {source}"
        )
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name in (MANIFEST_FILE, DETECTOR_WEIGHTS, "README.md"):
        shutil.copyfile(source / name, out / name)
    return out


def _publish_adapter(source: Path, recipe: dict[str, Any], artifacts: Path) -> Path:
    manifest = AdapterManifest.read(source)
    out = artifacts / "adapters" / manifest.name
    pairs: PairSet = recipe.get("pairs", "literary")
    facts = _facts(manifest, recipe) | {"pairs_folder": PAIR_FOLDERS[pairs]}
    return _publish(source, out, "adapter.md", facts)


def _publish(source: Path, out: Path, card: str, facts: dict[str, str]) -> Path:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name in PUBLISHED_FILES:
        if (source / name).exists():
            shutil.copyfile(source / name, out / name)
    (out / "README.md").write_text(_fill_in(card, facts), "utf-8")
    return out


def _fill_in(card: str, facts: dict[str, str]) -> str:
    return Template((CARDS / card).read_text("utf-8")).substitute(facts)


def _facts(manifest: Carded, recipe: dict[str, Any]) -> dict[str, str]:
    """Return the placeholders of a card: manifest fields, recipe, and licence of the base."""
    settings = {name: value for name, value in recipe.items() if value is not None}
    return _manifest_facts(manifest) | {
        "recipe": "\n".join(f"{name} = {json.dumps(value)}" for name, value in settings.items()),
        "licence": find_weights(manifest.base).licence,
    }


def _manifest_facts(manifest: Carded) -> dict[str, str]:
    facts = {name: str(value) for name, value in manifest.model_dump(mode="json").items()}
    facts["metrics"] = "\n".join(
        f"| {name} | {value:g} |" for name, value in manifest.metrics.items()
    )
    return facts
