"""Log files of the running graph do not grow without bound."""

from pathlib import Path

import psutil

from serve.ray_compat import LOG_BACKUPS, LOG_BYTES
from support.running_graph import Graph

LIMITS = {"MAX_BYTES": str(LOG_BYTES), "BACKUP_COUNT": str(LOG_BACKUPS)}


def test_output_of_replicas_is_rotated(graph: Graph) -> None:
    """Ray gives a process a file, which grows; where it rotates, it reads the output by a pipe."""
    processes = psutil.Process().children(recursive=True)
    replicas = [one for one in processes if one.name().startswith("ray::Serve")]
    assert len(replicas) >= 3, "Detector, Responder, AdapterController"
    for replica in replicas:
        limits = {name: replica.environ().get(f"RAY_ROTATION_{name}") for name in LIMITS}
        assert limits == LIMITS
        outputs = [Path(f"/proc/{replica.pid}/fd/{number}").readlink() for number in (1, 2)]
        assert [str(output).partition(":")[0] for output in outputs] == ["pipe", "pipe"]
