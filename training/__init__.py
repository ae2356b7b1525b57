"""Train detectors and persona adapters, evaluate them and publish them.

A recipe names base weights and data. A run trains them into an artefact, an evaluation measures the
artefact, and publishing copies it with a model card into `models/artifacts/`.
This package does not know `serve`.
"""
