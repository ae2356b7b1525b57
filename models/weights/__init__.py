"""Base weights: a catalog of pinned sources, their download, and a cache of verified folders.

The name of an entry comes in; a folder in the transformers layout and the digest of its weights
go out. The room knows neither detectors, personas nor adapters.
"""
