"""Answers requests: a detector, a persona policy and a responder, composed into one Ray Serve application.

Read it in the order a request travels: `http` -> `ingress` -> `pipeline` -> `detector` -> `policy` -> `responder` -> `engine`.
"""
