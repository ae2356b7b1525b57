"""Recipes: the shipped files and their commands, and the overrides of the command line."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer.main
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.weights.catalog import load_catalog
from training.__main__ import app
from training.errors import RecipeError
from training.recipe import (
    RECIPES,
    AnyRecipe,
    CriticRecipe,
    DetectorRecipe,
    PersonaRecipe,
    PreferenceRecipe,
    SafetyRecipe,
)

KINDS: dict[str, type[AnyRecipe]] = {
    "critic": CriticRecipe,
    "detector": DetectorRecipe,
    "personas": PersonaRecipe,
    "prefer": PreferenceRecipe,
    "safety": SafetyRecipe,
}
SHIPPED = sorted(RECIPES.glob("*.toml"))
DETECTOR = "detector-mpnet-base"
PERSONAS = "personas-gemma-3-270m"


def command_of(file: Path) -> list[str]:
    """Split the command in a recipe's first line into words."""
    return shlex.split(file.read_text("utf-8").splitlines()[0])


def test_default_recipes_are_shipped() -> None:
    assert {DETECTOR, PERSONAS} <= {file.stem for file in SHIPPED}


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_recipe_loads(file: Path) -> None:
    kind = KINDS[command_of(file)[4]]
    recipe = kind.read(file.stem)
    values = tomllib.loads(file.read_text("utf-8"))
    assert recipe == kind.read(file)
    assert recipe.base in load_catalog()
    assert recipe.model_dump(mode="json", include=set(values)) == values


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_first_line_of_a_recipe_is_the_command_that_runs_it(file: Path) -> None:
    words = command_of(file)
    recipe = KINDS[words[4]].read(file.stem)
    environment = ".venv-train-gpu" if getattr(recipe, "worker_gpus", 0) else ".venv"
    assert words[:4] == ["#", f"{environment}/bin/python", "-m", "training"]
    name, *arguments = words[4:]
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    context = commands[name].make_context(name, arguments)
    assert context.params["recipe"] == file.stem


@pytest.mark.parametrize("kind", KINDS.values())
def test_every_field_has_a_description(kind: type[DetectorRecipe]) -> None:
    assert [name for name, field in kind.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("epochs=3", 3.0),
        ("learning_rate=2e-5", 2e-5),
        ("unsplit_rows=20_000", 20_000),
        ("base=minilm-l6", "minilm-l6"),
        ('base="minilm-l6"', "minilm-l6"),
        ("base=/folder/of=base", "/folder/of=base"),
        ("part=judge", "judge"),
        ('lora_modules=["q", "v"]', ("q", "v")),
        ("lora_modules=[]", ()),
        ("lora_rank=none", None),
        ("threads=2", 2),
    ],
)
def test_override_is_parsed_by_the_type_of_its_field(override: str, value: object) -> None:
    field = override.partition("=")[0]
    expected = DetectorRecipe.read(DETECTOR).model_copy(update={field: value})
    assert DetectorRecipe.read(DETECTOR, [override]) == expected


def test_boolean_overrides_are_parsed_and_the_last_one_counts() -> None:
    assert PersonaRecipe.read(PERSONAS, ["four_bit=true"]).four_bit is True
    assert PersonaRecipe.read(PERSONAS, ["four_bit=true", "four_bit=false"]).four_bit is False


@given(
    st.builds(
        DetectorRecipe,
        base=st.text("abc-/1", min_size=1),
        lora_modules=st.lists(st.text("qkv.", min_size=1)).map(tuple),
    )
)
def test_overrides_can_set_every_field(recipe: DetectorRecipe) -> None:
    def as_override(value: object) -> str:
        if value is None:
            return "none"
        return str(list(value) if isinstance(value, tuple) else value)

    values = recipe.model_dump()
    values["base"] = f"'{recipe.base}'"
    overrides = [f"{field}={as_override(value)}" for field, value in values.items()]
    assert DetectorRecipe.read(DETECTOR, overrides) == recipe


@pytest.mark.parametrize(
    "override",
    [
        "epochs",
        "",
        "epoch=3",
        "=3",
        "epochs=",
        "epochs=many",
        "epochs=0",
        "lora_modules=q",
        "base=none",
    ],
)
def test_rejects_invalid_override_and_names_its_field(override: str) -> None:
    with pytest.raises(RecipeError) as caught:
        DetectorRecipe.read(DETECTOR, [override])
    assert override.partition("=")[0] in str(caught.value)


@pytest.mark.parametrize(
    ("text", "key_phrase"),
    [
        ('base = "b"\nepoch = 3', "epoch"),
        ('base = "b"\nlora_rank = 0', "lora_rank"),
        ("epochs = 3", "base"),
        ("base = ", "Invalid value"),
    ],
)
def test_rejects_invalid_file_and_names_its_path(
    tmp_path: Path, text: str, key_phrase: str
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=rf"(?s)^{re.escape(str(file))}: .*{key_phrase}"):
        DetectorRecipe.read(file)


def test_rejects_missing_recipe() -> None:
    with pytest.raises(RecipeError, match=r"training/recipes/detector-huge\.toml"):
        DetectorRecipe.read("detector-huge")


def test_rejects_recipe_of_the_other_kind() -> None:
    with pytest.raises(RecipeError, match="shared_epochs"):
        DetectorRecipe.read(PERSONAS)


@pytest.mark.parametrize("name", ["safety-minilm-l6", "critic-minilm-l6"])
@pytest.mark.parametrize(
    "field", ["accumulation_steps", "gradient_checkpointing", "worker_cpus", "worker_gpus"]
)
def test_recipe_has_no_field_without_effect(name: str, field: str) -> None:
    kind = KINDS[name.partition("-")[0]]
    with pytest.raises(RecipeError, match=field):
        kind.read(name, [f"{field}=1"])


def test_record_may_have_fields_that_did_nothing() -> None:
    recipe = SafetyRecipe.read("safety-minilm-l6")
    record = {**recipe.model_dump(mode="json"), "max_tokens": 128, "worker_gpus": 0}
    assert SafetyRecipe.of_record(record) == recipe
    assert SafetyRecipe.of_record({**record, "seed": 5}) == recipe.model_copy(update={"seed": 5})
    with pytest.raises(ValidationError, match="shared_epochs"):
        SafetyRecipe.of_record({**record, "shared_epochs": 1})


def test_start_needs_a_shared_stage() -> None:
    assert PersonaRecipe.read(PERSONAS, ["start=a"]).start == "a"
    with pytest.raises(RecipeError, match="shared_epochs must be above 0"):
        PersonaRecipe.read(PERSONAS, ["start=a", "shared_epochs=0"])


def test_recipe_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        DetectorRecipe.read(DETECTOR).seed = 1  # type: ignore[misc]
