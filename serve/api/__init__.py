"""HTTP API: parses requests, checks keys and limits, and writes answers, errors and streams.

It turns a request into a `Message` of the pipeline, and an `Answer` into JSON or events. It does
not know of Ray, of engines or of prompts.
"""
