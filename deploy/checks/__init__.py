"""Checks of what is deployed: `deploy/check` runs them all without a cluster.

kustomize     overlays -> manifests
schemas       manifests against the schemas of Kubernetes and KubeRay
rayservice    rules that a schema cannot say
serve_config  the Serve config inside a RayService, against Serve and `serve.config`
placement     what deployments require against what pods offer to Ray
generated     whether generated files are current
environment   Ray's variables, generated from `serve.cluster.ray_compat`, and ConfigMaps
network       who reaches the dashboard, and where routes lead

A check returns problems as sentences; an empty list is a pass.
"""
