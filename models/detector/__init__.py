"""Detectors: classify texts by emotion, and find messages that are about harm.

Texts come in; calibrated scores of the six emotions, hidden features and harm categories go out.
The room knows neither Ray, HTTP nor how a detector is trained.
"""
