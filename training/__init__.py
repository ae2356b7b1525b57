"""Produces detectors and persona adapters, measures them, and publishes them with a model card into `models/artifacts/`."""
