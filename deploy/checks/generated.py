"""Files that are generated from code, and whether they are current."""

from collections.abc import Iterator
from pathlib import Path

from deploy.checks import environment
from deploy.checks.kustomize import KUBERAY
from deploy.observability import dashboards, rules
from serve.config import HttpConfig

OBSERVABILITY = Path(__file__).parents[1] / "observability"


def files() -> Iterator[tuple[Path, str]]:
    """Yield each file with the text that it should have."""
    yield environment.FILE, environment.text(HttpConfig())
    yield OBSERVABILITY / "prometheus" / "rules.yaml", rules.rules_yaml()
    yield KUBERAY / "base" / "alerts.yaml", rules.manifest_yaml()
    for name in dashboards.DASHBOARDS:
        yield OBSERVABILITY / "grafana" / f"{name}.json", dashboards.dashboard_json(name)


def write() -> None:
    """Write all files."""
    for file, text in files():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")


def outdated() -> list[str]:
    """Return a sentence for each file that is missing or differs."""
    return [
        f"{file.name} is not current; run deploy/check --write"
        for file, text in files()
        if not file.exists() or file.read_text("utf-8") != text
    ]
