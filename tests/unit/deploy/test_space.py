"""Recipe of the hosted demo: its files agree, and its configuration and keys are valid."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.checks import serve_config
from serve.api.auth import KeyRing, Scope, sha256_of
from serve.errors import Forbidden

ROOT = Path(__file__).parents[3]
SPACE = ROOT / "deploy" / "space"
DOCKERFILE = (SPACE / "Dockerfile").read_text("utf-8")
CONFIG = (SPACE / "space.yaml").read_text("utf-8")
USER = 1000  # as which a Space runs


def front_matter() -> dict[str, Any]:
    """Return the settings of the Space."""
    _, matter, _ = (SPACE / "README.md").read_text("utf-8").split("---\n", 2)
    return dict(yaml.safe_load(matter))


def test_the_config_is_valid_and_needs_keys() -> None:
    assert serve_config.problems_of(CONFIG) == []
    config = serve_config.parse(CONFIG)
    assert config.api_keys.variable == "FYE_API_KEYS"
    assert not config.api_keys.unneeded
    assert config.responder.hardware.device == "cpu"


def test_all_files_name_one_port() -> None:
    options = yaml.safe_load(CONFIG)["http_options"]
    matter = front_matter()
    assert (matter["sdk"], options["host"]) == ("docker", "0.0.0.0")  # noqa: S104
    ports = [
        *re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE),
        *re.findall(r'"--port", "(\d+)"', DOCKERFILE),
        *re.findall(r"127\.0\.0\.1:(\d+)/readyz", DOCKERFILE),
    ]
    assert ports == [str(matter["app_port"])] * 3
    assert options["port"] == matter["app_port"]


def test_the_image_runs_the_config_as_the_user_of_a_space() -> None:
    assert f"useradd --uid {USER} " in DOCKERFILE
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)[-1] == f"{USER}:{USER}"
    assert '"--host", "0.0.0.0"' in DOCKERFILE
    [copied] = re.findall(r"^COPY space\.yaml /app/(\S+)$", DOCKERFILE, re.MULTILINE)
    assert f'"--config", "{copied}"' in DOCKERFILE
    [cache] = re.findall(r"FYE_CACHE=(\S+)", DOCKERFILE)
    assert re.search(rf"install -d -o visitor -g visitor {cache}$", DOCKERFILE, re.MULTILINE)


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, SPACE / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_shared_key_has_limits_and_no_administration(tmp_path: Path) -> None:
    text = (SPACE / "keys.example.toml").read_text("utf-8")
    file = tmp_path / "keys.toml"
    file.write_text(text.replace("0" * 64, sha256_of("demo")).replace("1" * 64, sha256_of("own")))
    keys = KeyRing(file)
    limits = keys.find("demo", Scope.RESPOND).limits
    assert None not in (limits.concurrent, limits.requests_per_minute, limits.tokens_per_minute)
    with pytest.raises(Forbidden):
        keys.find("demo", Scope.ADMIN)
    assert keys.find("own", Scope.ADMIN).name == "operator"
