"""HTTP proxy: Ray Serve's HAProxy in front of the responder replicas.

It balances by open connections, and ends a stream whose replica dies without terminating its body.
A request whose replica dies before it answered is repeated, until two replicas have died of it. The
proxy does not know the API, but for the answers that it gives itself while no replica is up.
"""
