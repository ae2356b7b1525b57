"""Sampling defaults and limits, the same for serving and for evaluation."""

DEFAULT_MAX_TOKENS = 96  # of a reply, if the request names no limit
MAX_TOKENS_LIMIT = 256  # largest limit that a request may name
DEFAULT_TEMPERATURE = 0.4  # at 0.7 readers found less sense: docs/training.md, "Sense"
DEFAULT_TOP_P = 0.8
