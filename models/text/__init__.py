"""Text before any model reads it: normalization, and the language it is written in.

A user's text comes in; the text that detectors read goes out. Training and serving share it.
"""
