"""Configured adapters as they are used: checked copies in the store.

    configured folder -> check -> store -> their folders

The store remembers the copies of each configured folder. If the folder vanishes or is damaged, the
next start uses those, and without any the personas answer by their instructions.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from models.errors import ArtifactError
from models.hashing import json_sha256
from models.lora_layout import base_layers
from models.manifest import Adapter, load_adapter
from models.prompt import PROMPT_VERSION
from models.store.adapter_store import AdapterStore, Check, default_store
from models.store.remote import RemoteStore, is_url
from models.weights.cache import Materialized
from serve.adapters.folder import find_adapters, has_adapters
from serve.config import ResponderConfig

log = logging.getLogger(__name__)


class AdapterSource(StrEnum):
    """Origin of the adapters that a replica started with."""

    CONFIGURED = "configured"
    COPIES = "copies of an earlier start"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class ConfiguredAdapters:
    """Adapters to start with, and where they come from."""

    adapters: Sequence[Adapter] = ()
    source: AdapterSource = AdapterSource.CONFIGURED


def adapter_store(config: ResponderConfig) -> AdapterStore:
    """Return the store: the configured one, else one next to the state file, else in the cache.

    That of a URL has its mirror in the cache.

    Raises:
        ArtifactError: no file system is known for the URL.
    """
    if config.store and is_url(config.store):
        return AdapterStore(default_store(), RemoteStore(config.store))
    if config.store:
        return AdapterStore(Path(config.store))
    state = config.releases
    return AdapterStore(state.parent / "adapter-store" if state else default_store())


def configured_adapters(config: ResponderConfig, base: Materialized) -> ConfiguredAdapters:
    """Return the store's copies of the configured adapters.

    Raises:
        ArtifactError: an adapter is damaged or does not fit the base weights, and the store has no
            copies of an earlier start.
    """
    folder = config.adapters
    if folder is None:
        return ConfiguredAdapters()
    store = adapter_store(config)
    check = partial(
        load_adapter,
        base_hash=base.sha256,
        prompt_version=PROMPT_VERSION,
        layers=base_layers(base.folder),
    )
    try:
        found = find_adapters(folder, base)
    except ArtifactError as error:
        return _without_folder(store, folder, check, error)
    copies = [store.add(one.folder, check) for one in found]
    try:
        store.remember(_key(folder), copies)
    except ArtifactError as remote_error:  # the copies of this machine are enough to start with
        log.error("the configured adapters are not in the remote store: %s", remote_error)
    return ConfiguredAdapters(copies)


def _without_folder(
    store: AdapterStore, folder: Path, check: Check, error: ArtifactError
) -> ConfiguredAdapters:
    """Return the copies of an earlier start. Without them, only a missing folder is accepted."""
    copies = store.remembered(_key(folder), check)
    if copies:
        log.error("copies of an earlier start are used, because of this: %s", error)
        return ConfiguredAdapters(copies, AdapterSource.COPIES)
    if has_adapters(folder):
        raise error
    log.error("every persona answers by its instruction, because of this: %s", error)
    return ConfiguredAdapters((), AdapterSource.MISSING)


def _key(folder: Path) -> str:
    return f"configured-{json_sha256(str(folder.absolute()))[:12]}"
