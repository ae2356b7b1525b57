"""Training of the emotion detector.

Labelled texts become a fine-tuned classifier, which is exported as an artefact with a manifest.
The room knows neither the personas nor how jobs are scheduled.
"""
