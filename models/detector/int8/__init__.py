"""MPNet detector in 8-bit integers for CPUs: calibration, conversion, cache and inference.

A detector artifact comes in; the same logits and features as in floating point go out, several
times as fast. The converted tensors are cached, and the room knows no other architecture.
"""
