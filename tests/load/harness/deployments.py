"""Names of the graph's deployments, as Serve knows them."""

RESPONDER = "Responder"
DETECTOR = "Detector"
CONTROLLER = "AdapterController"
