"""Reads the graph's configuration from a Serve config file."""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from serve.cluster.ray_compat import set_ray_environment
from serve.config import ServeConfig
from serve.errors import ConfigError


class _Application(BaseModel):
    """The part of an application's schema that is used here."""

    model_config = ConfigDict(extra="ignore")

    args: ServeConfig


def read_config(file: Path) -> ServeConfig:
    """Read the arguments of the file's first application.

    Raises:
        ConfigError: the file cannot be read, or Serve or this project would reject it.
    """
    set_ray_environment()  # Ray reads the variables when it is first imported, which is here
    from ray.serve.schema import ServeDeploySchema

    try:
        document = yaml.safe_load(file.read_text("utf-8"))
        if not ServeDeploySchema.model_validate(document).applications:
            raise ConfigError(f"{file}: no application found; expected one under `applications`")
        return _Application.model_validate(document["applications"][0]).args
    except (OSError, yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{file}: {error}") from error
