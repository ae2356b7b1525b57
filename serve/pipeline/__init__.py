"""One request, independent of HTTP: admission, classification, choice of the persona, answer.

A `Message` comes in; an `Answer` is filled and a writer is told after each step. `replica.py` holds
the parts of a replica together. The pipeline knows the detector by its protocol alone.
"""
