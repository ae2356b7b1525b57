"""Measure detectors and persona adapters on data that they were not trained on.

Evaluation sets and held-out messages go in; accuracies with intervals, generated answers and the
verdicts of an independent judge come out, as the models of `training.report.schema`.
This room does not know how an artefact was trained, or how a report is shown.
"""
