"""Copies what a run made into `models/artifacts/`, each artefact with a model card that its manifest and its recipe fill in."""

import json
import shutil
from pathlib import Path
from string import Template

from models.weights.catalog import find_weights
from models.detector.harm import HARM_MANIFEST, HARM_WEIGHTS, HarmManifest
from models.manifest import ARTIFACTS, MANIFEST_FILE, AdapterManifest, DetectorManifest
from training.runs.folder import RECIPE_FILE

CARDS = Path(__file__).parent / "cards"
KEPT = (MANIFEST_FILE, "model.safetensors", "adapter_model.safetensors", "adapter_config.json", HARM_MANIFEST, HARM_WEIGHTS)


def publish_run(run: Path, artifacts: Path = ARTIFACTS) -> list[Path]:
    """`run` holds an `artifact` (a detector or the judge), or an `adapter` for each persona. Returns the published folders."""
    recipe = json.loads((run / RECIPE_FILE).read_text("utf-8"))["recipe"]
    if (run / "artifact" / MANIFEST_FILE).exists():
        manifest = DetectorManifest.read(run / "artifact")
        judge = recipe["part"] == "judge"
        out = artifacts / "judge" if judge else artifacts / "detectors" / Path(manifest.base).name
        return [_publish(run / "artifact", out, "judge.md" if judge else "detector.md", _facts(manifest, recipe) | _harm(run / "artifact"))]
    published = []
    for file in sorted(run.glob(f"*/adapter/{MANIFEST_FILE}")):
        adapter = AdapterManifest.read(file.parent)
        out = artifacts / "adapters" / adapter.name
        published.append(_publish(file.parent, out, "adapter.md", _facts(adapter, recipe)))
    return published


def _publish(source: Path, out: Path, card: str, facts: dict[str, str]) -> Path:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name in KEPT:
        if (source / name).exists():
            shutil.copyfile(source / name, out / name)
    (out / "README.md").write_text(_filled(card, facts), "utf-8")
    return out


def _filled(card: str, facts: dict[str, str]) -> str:
    return Template((CARDS / card).read_text("utf-8")).substitute(facts)


def _facts(manifest: DetectorManifest | AdapterManifest, recipe: dict[str, object]) -> dict[str, str]:
    """What a card may name: every field of the manifest, the recipe, and where the base weights come from."""
    facts = _fields(manifest)
    facts["recipe"] = "\n".join(f"{name} = {json.dumps(value)}" for name, value in recipe.items() if value is not None)
    facts["licence"] = find_weights(manifest.base).licence
    return facts


def _harm(artifact: Path) -> dict[str, str]:
    if not (artifact / HARM_MANIFEST).exists():
        return {"harm": "This detector has no probe for them.\n"}
    return {"harm": _filled("harm.md", _fields(HarmManifest.read(artifact)))}


def _fields(manifest: DetectorManifest | AdapterManifest | HarmManifest) -> dict[str, str]:
    facts = {name: str(value) for name, value in manifest.model_dump(mode="json").items()}
    facts["metrics"] = "\n".join(f"| {name} | {value:g} |" for name, value in manifest.metrics.items())
    return facts
