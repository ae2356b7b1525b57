"""Paths for operators and their tools: health, version, metrics and documentation."""
