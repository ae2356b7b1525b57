"""Configurations of HAProxy as this Ray generates them."""

import pytest

from support.haproxy import Generated, generate


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Generated:
    return generate(tmp_path_factory.mktemp("ray"))
