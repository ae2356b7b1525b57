"""Telemetry of a running graph: metrics, traces, and the log of requests."""
