"""Exception tree: the guarantees to clients and to worker processes."""

import pickle
from collections import Counter
from collections.abc import Iterator

import pytest

import serve.errors
import training.errors
from models.errors import FyeError

MODULES = {"models.errors", serve.errors.__name__, training.errors.__name__}


def descendants(kind: type[FyeError]) -> Iterator[type[FyeError]]:
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


TREE = sorted((kind for kind in descendants(FyeError) if kind.__module__ in MODULES), key=str)
LEAVES = [kind for kind in TREE if not kind.__subclasses__()]


def test_every_package_has_a_branch() -> None:
    assert {kind.__module__ for kind in LEAVES} == MODULES


@pytest.mark.parametrize("kind", TREE)
def test_status_is_an_error_status(kind: type[FyeError]) -> None:
    assert 400 <= kind.status <= 599


def test_types_of_leaves_are_unique() -> None:
    kinds: list[type[FyeError]] = [*LEAVES, FyeError]
    counts = Counter(kind.type for kind in kinds)
    assert [slug for slug, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("kind", TREE)
def test_type_is_a_slug(kind: type[FyeError]) -> None:
    assert kind.type.replace("-", "").isalpha()
    assert kind.type == kind.type.lower()


@pytest.mark.parametrize("kind", TREE)
def test_error_survives_pickling(kind: type[FyeError]) -> None:
    data = pickle.dumps(kind("what went wrong"))
    copy = pickle.loads(data)  # noqa: S301 (its own bytes)
    assert type(copy) is kind
    assert str(copy) == "what went wrong"
