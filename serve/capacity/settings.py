"""Settings of the scaling policy: `policy_kwargs` of a Serve config."""

from collections.abc import Mapping

from pydantic import ConfigDict, Field, ValidationError

from models.schema import FrozenModel
from serve.errors import ConfigError


class Settings(FrozenModel):
    """Settings that an operator may choose. Numbers only: a text is not converted."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    slo_ttft_ms: float = Field(
        default=1000, gt=0, description="objective of the 95th percentile of the TTFT"
    )
    start_s: float = Field(default=60, gt=0, description="from a decision to a ready replica")
    busy: float = Field(default=0.75, gt=0, le=1, description="share of the slots to use")
    detector_busy: float = Field(
        default=0.6, gt=0, le=1, description="share of the time that detectors are to compute"
    )
    backlog: float = Field(
        default=1, ge=0, description="waiting answers count up to this share of all slots"
    )
    smooth_s: float = Field(
        default=10, ge=0, description="time over which the answers in work are averaged"
    )
    trend_s: float = Field(default=60, ge=0, description="time over which growth is measured")
    hold_s: float = Field(default=120, ge=0, description="fewer must have been enough for so long")
    idle_s: float = Field(
        default=600, gt=0, description="without a request for so long, the minimum is enough"
    )
    step_up: float = Field(default=2, gt=1, description="largest factor of one increase")
    step_down: float = Field(
        default=0.25, gt=0, le=1, description="largest share removed at once; at least one is"
    )


def settings_of(given: Mapping[str, object]) -> Settings:
    """Return the settings of `policy_kwargs`.

    Raises:
        ConfigError: a setting is unknown, is not a number, or is out of its range.
    """
    try:
        return Settings.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise ConfigError(f"policy_kwargs: {name}: {first['msg']}") from error
