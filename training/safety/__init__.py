"""Training of the safety classifier, and its measures on unseen messages.

Labelled messages and conversations become an artefact with a manifest, thresholds and a card. The
room knows neither emotions nor personas.
"""
