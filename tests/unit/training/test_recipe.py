"""The recipes: those that ship can be run as their first line says, and what the command line lays over one is read by its type."""

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
from training.recipe import RECIPES, DetectorRecipe, PersonaRecipe

KINDS: dict[str, type[DetectorRecipe] | type[PersonaRecipe]] = {"detector": DetectorRecipe, "personas": PersonaRecipe}
SHIPPED = sorted(RECIPES.glob("*.toml"))
DETECTOR, PERSONAS = "detector-mpnet-base", "personas-gemma-3-270m"


def command(file: Path) -> list[str]:
    """The words of a recipe's first line."""
    return shlex.split(file.read_text("utf-8").splitlines()[0])


def test_recipes_ship() -> None:
    assert {DETECTOR, PERSONAS} <= {file.stem for file in SHIPPED}


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_a_shipped_recipe_loads(file: Path) -> None:
    kind = KINDS[command(file)[4]]
    recipe = kind.read(file.stem)
    assert recipe == kind.read(file)
    assert recipe.base in load_catalog()
    assert recipe.model_dump(mode="json", include=set(values := tomllib.loads(file.read_text("utf-8")))) == values


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_its_first_line_is_the_command_that_runs_it(file: Path) -> None:
    words = command(file)
    assert words[:4] == ["#", ".venv/bin/python", "-m", "training"]
    name, arguments = words[4], words[5:]
    context = typer.main.get_command(app).commands[name].make_context(name, arguments)  # type: ignore[attr-defined]
    assert context.params["recipe"] == file.stem


@pytest.mark.parametrize("kind", KINDS.values())
def test_every_field_is_described(kind: type[DetectorRecipe]) -> None:
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
def test_an_override_is_read_by_its_type(override: str, value: object) -> None:
    field = override.partition("=")[0]
    assert DetectorRecipe.read(DETECTOR, [override]) == DetectorRecipe.read(DETECTOR).model_copy(update={field: value})


def test_true_and_false_are_read() -> None:
    assert PersonaRecipe.read(PERSONAS, ["four_bit=true"]).four_bit is True
    assert PersonaRecipe.read(PERSONAS, ["four_bit=true", "four_bit=false"]).four_bit is False


@given(st.builds(DetectorRecipe, base=st.text("abc-/1", min_size=1), lora_modules=st.lists(st.text("qkv.", min_size=1)).map(tuple)))
def test_a_whole_recipe_can_be_given_by_overrides(recipe: DetectorRecipe) -> None:
    def spelt(value: object) -> str:
        return "none" if value is None else str(list(value) if isinstance(value, tuple) else value)

    values = recipe.model_dump()
    values["base"] = f"'{recipe.base}'"
    assert DetectorRecipe.read(DETECTOR, [f"{field}={spelt(value)}" for field, value in values.items()]) == recipe


@pytest.mark.parametrize("override", ["epochs", "", "epoch=3", "=3", "epochs=", "epochs=many", "epochs=0", "lora_modules=q", "base=none"])
def test_an_override_that_cannot_be_is_refused(override: str) -> None:
    with pytest.raises(RecipeError) as caught:
        DetectorRecipe.read(DETECTOR, [override])
    assert override.partition("=")[0] in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('base = "b"\nepoch = 3', "epoch"),
        ('base = "b"\nlora_rank = 0', "lora_rank"),
        ("epochs = 3", "base"),
        ("base = ", "Invalid value"),
    ],
)
def test_a_file_that_cannot_be_is_refused_by_its_path(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=rf"(?s)^{re.escape(str(file))}: .*{complaint}"):
        DetectorRecipe.read(file)


def test_a_recipe_that_is_not_there_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"training/recipes/detector-huge\.toml"):
        DetectorRecipe.read("detector-huge")


def test_a_recipe_of_the_other_kind_is_refused() -> None:
    with pytest.raises(RecipeError, match="shared_epochs"):
        DetectorRecipe.read(PERSONAS)


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        DetectorRecipe.read(DETECTOR).seed = 1  # type: ignore[misc]
