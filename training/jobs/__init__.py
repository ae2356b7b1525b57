"""Plan a training without running it, and run trainings in parallel on Ray.

A recipe goes in; a plan with its memory and time, or the folders of trained artefacts, come out.
This room does not know how a single model is trained: it calls `training.detector` and
`training.personas`.
"""
