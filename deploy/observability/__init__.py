"""Grafana dashboards and Prometheus rules, generated from code.

dashboards  five dashboards -> grafana/*.json
rules       alerts and recording rules -> prometheus/rules.yaml, and alerts.yaml of deploy/kuberay

`deploy/check --write` writes the files; `deploy/check` says when they are not current.
"""
