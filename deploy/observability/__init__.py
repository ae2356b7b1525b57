"""Grafana dashboards and Prometheus rules, generated from code.

dashboards  five dashboards -> grafana/*.json
rules       alerts and recording rules -> prometheus/rules.yaml

`deploy/check --write` writes the files; `deploy/check` says when they are not current.
"""
