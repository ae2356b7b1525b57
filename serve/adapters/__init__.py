"""Control plane of the adapter versions: which ones exist and which one each persona uses.

The desired state (`registry`) is held by `controller`. Responder replicas reconcile with it once
a second and load a version only if it has an effect. A `guard` compares the versions of a
trial by what the replicas count, and ends that of a worse one. Request handlers learn from
`persona_cache` which personas can be selected. This package knows nothing about HTTP or requests.
"""
