"""Configurations of HAProxy as this Ray generates them."""

import pytest

from support.haproxy import generate


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Configuration with two replicas."""
    return generate(tmp_path_factory.mktemp("ray"), replicas=2)


@pytest.fixture(scope="session")
def generated_before_routes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Configuration before the application has been deployed."""
    return generate(tmp_path_factory.mktemp("ray"), replicas=0)
