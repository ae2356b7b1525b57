"""Answer requests.

The rooms, in the order of a request:

proxy      HAProxy in front of the replicas
api        the HTTP API, OpenAI's paths, keys, errors as problem details
pipeline   one request: admission, classification, persona, answer
detector   the detector deployment and its batches
responder  prompt, adapter versions and chunks of an answer
engine     vLLM, its CPU operators, and the scripted engine
adapters   control plane: which adapter version each persona uses
batch      labels whole files without a server
cli        the commands
capacity   limits, the scaling policy, its simulator, the planner
telemetry  metrics, traces and the log of requests
cluster    the start of Ray, its variables and its sockets

`app.py` binds the deployments; `config.py` is the one configuration.
"""
