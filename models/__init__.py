"""Everything that serving and training share: emotions, personas, prompts, weights and detectors.

Artifacts on disk come in; checked manifests, token ids and scores go out. The package knows
neither `serve` nor `training`, and importing it loads neither torch, ray nor vllm.
"""
