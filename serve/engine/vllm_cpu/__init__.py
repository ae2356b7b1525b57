"""Faster CPU operators for vLLM, loaded by vLLM itself through its plugin entry points.

vLLM calls `plugin.platform` and `plugin.register` in each of its processes. The package knows
tensors and vLLM. It imports nothing from the rest of this project, so that it can move upstream.
README.md describes each operator, the vLLM version it was checked against, and how to upstream it.
"""
