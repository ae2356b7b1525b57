"""Record a training run in its folder, show its progress and publish its artefacts.

Recipes, metrics and artefacts go in; JSON files, a loss curve and model cards come out.
This room does not know which models are trained, or on how many machines.
"""
