"""HTTP proxy: Ray Serve's HAProxy in front of the responder replicas.

It balances by open connections, repeats a request once if its replica dies before it answered, and
ends a stream whose replica dies without terminating its body. It does not know the API, but for
the answers that it gives itself while no replica is up.
"""
