"""Faults that the chaos test injects, and the configurations that they need."""

from functools import partial
from pathlib import Path

from load.chaos.faults.adapters import promote_while_paused, release_adapter, vanish_folder
from load.chaos.faults.bodies import send_giant_bodies
from load.chaos.faults.full_load import fill_all_slots
from load.chaos.faults.headers import flood_headers
from load.chaos.faults.operations import (
    SHORT_TOKEN_S,
    deploy_long_streams,
    scale_responders,
    update_config,
    update_during_long_streams,
)
from load.chaos.faults.poison import POISON, REPLICA_FAILED, send_poison
from load.chaos.faults.replicas import (
    hang_replica,
    kill_engine_core,
    kill_replica,
    pause_replica,
    remove_node,
)
from load.chaos.verdict import Fault, Load
from load.harness.deployments import CONTROLLER, DETECTOR, RESPONDER
from load.harness.reply_checks import check_persona, check_scripted_reply
from serve.capacity import derive_gates
from serve.config import (
    DetectorConfig,
    HttpConfig,
    KeysConfig,
    Replicas,
    ResponderConfig,
    ScriptedConfig,
    ServeConfig,
)
from support.admin_key import ADMIN_SHA256

TWO = Replicas(minimum=2, maximum=2, cpus=1, per_node=1)
CONFIG = ServeConfig(
    detector=DetectorConfig(kind="scripted", replicas=TWO),
    responder=ResponderConfig(
        kind="scripted",
        scripted=ScriptedConfig(token_s=SHORT_TOKEN_S, poison=POISON),
        replicas=TWO,
        publish_roots=(Path("/"),),
    ),
    api_keys=KeysConfig(admin_sha256=ADMIN_SHA256),
)
LOAD = Load(rate_per_s=6, timeout_s=40, check=check_scripted_reply)
# While one of two responders drains, the other one's batch must hold all streams.
LONG_LOAD = Load(rate_per_s=0.9, timeout_s=60, check=check_scripted_reply)
LONG_BEFORE_S = 10.0
# For a while there is no responder at all.
PATIENT_LOAD = Load(rate_per_s=6, timeout_s=100, check=check_scripted_reply)
# Gemma 3 270M on one replica. Requests wait long enough for it to load its weights again.
REAL_CONFIG = CONFIG.model_copy(
    update={"responder": ResponderConfig(), "http": HttpConfig(max_timeout_ms=300_000)}
)
REAL_LOAD = Load(rate_per_s=0.5, timeout_s=280, check=check_persona)  # what two cores can generate

FAULTS = (
    Fault("responder killed", partial(kill_replica, deployment=RESPONDER)),
    Fault("detector killed", partial(kill_replica, deployment=DETECTOR), harmless=True),
    Fault("controller killed", partial(kill_replica, deployment=CONTROLLER), harmless=True),
    Fault("responder paused", partial(pause_replica, deployment=RESPONDER), harmless=True),
    Fault("node removed", remove_node),
    Fault("rolling update", update_config, harmless=True),
    Fault("scale up and down", scale_responders, harmless=True),
    Fault("full load", fill_all_slots, harmless=True, may_reject=True),
)
LONG_FAULTS = (
    Fault("responder hung", partial(hang_replica, deployment=RESPONDER)),
    Fault("detector hung", partial(hang_replica, deployment=DETECTOR), harmless=True),
    Fault(
        "update during long streams",
        update_during_long_streams,
        harmless=True,
        load=LONG_LOAD,
        prepare=deploy_long_streams,
        before_s=LONG_BEFORE_S,
    ),
    Fault("adapter release", release_adapter, harmless=True),
    Fault("folder vanishes", vanish_folder),
    Fault("slow load during promote", promote_while_paused, harmless=True),
    Fault("giant bodies", send_giant_bodies, harmless=True),
    Fault("header flood", flood_headers, harmless=True),
    # A request that was repeated on the second replica has lost two as well. The others wait for a
    # new replica, which rejects only those for which it has no place.
    Fault(
        "poisonous request",
        send_poison,
        rejects_from=derive_gates(CONFIG).answers.admitted,
        may_fail=frozenset({REPLICA_FAILED}),
        load=PATIENT_LOAD,
    ),
)
ENGINE_FAULT = Fault("engine core killed", kill_engine_core, before_s=8)
