"""The one exception tree: what a client and a worker process can rely on."""

import pickle
from collections import Counter
from collections.abc import Iterator

import pytest

import serve.errors  # noqa: F401 (the request branch of the tree)
import training.errors  # noqa: F401 (the training branch)
from models.errors import FyeError


def descendants(kind: type[FyeError]) -> Iterator[type[FyeError]]:
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


TREE = sorted((kind for kind in descendants(FyeError) if kind.__module__ in {"models.errors", "serve.errors", "training.errors"}), key=str)
LEAVES = [kind for kind in TREE if not kind.__subclasses__()]


def test_the_tree_has_both_branches() -> None:
    named = {
        "CatalogError",
        "FetchError",
        "ChecksumError",
        "ManifestError",
        "InvalidRequest",
        "UnknownModel",
        "EngineError",
        "NotReady",
        "LeakError",
    }
    assert {kind.__name__ for kind in LEAVES} >= named


@pytest.mark.parametrize("kind", TREE)
def test_an_error_maps_to_an_error_status(kind: type[FyeError]) -> None:
    assert 400 <= kind.status <= 599


def test_no_two_leaves_share_a_type() -> None:
    counted = Counter(kind.type for kind in [*LEAVES, FyeError])
    assert [slug for slug, times in counted.items() if times > 1] == []


@pytest.mark.parametrize("kind", TREE)
def test_a_type_is_a_slug(kind: type[FyeError]) -> None:
    assert kind.type.replace("-", "").isalpha()
    assert kind.type == kind.type.lower()


@pytest.mark.parametrize("kind", TREE)
def test_an_error_survives_the_way_between_processes(kind: type[FyeError]) -> None:
    copy = pickle.loads(pickle.dumps(kind("what went wrong")))  # noqa: S301 (its own bytes)
    assert type(copy) is kind
    assert str(copy) == "what went wrong"
