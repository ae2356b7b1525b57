"""Detector deployment: conversations in, emotion scores, language and level of harm out.

Texts of concurrent requests enter `replica`, form batches in `batcher`, and are classified by one
classifier of `classifiers` or `scripted`. Callers import only `protocol`. This package knows
nothing about personas, prompts or HTTP.
"""
