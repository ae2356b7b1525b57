"""Errors of the artefacts. The root of the project's one exception tree; `serve.errors` grows the request branch.

FyeError                        500
└── ArtifactError               500   what is on disk or in the catalogue is not what it should be
    ├── CatalogError            500   an unknown entry, or an entry that contradicts itself
    ├── FetchError              503   the source cannot be reached, or refuses
    ├── ChecksumError           500   bytes differ from what was promised
    └── ManifestError           500   a manifest that is missing, malformed or untrue
"""


class FyeError(Exception):
    """Root of every error that this project raises on purpose.

    `status` is the HTTP status it maps to, `type` a stable slug for clients.
    """

    status: int = 500
    type: str = "internal"


class ArtifactError(FyeError):
    type = "artifact"


class CatalogError(ArtifactError):
    type = "catalog"


class FetchError(ArtifactError):
    status = 503
    type = "fetch"


class ChecksumError(ArtifactError):
    type = "checksum"


class ManifestError(ArtifactError):
    type = "manifest"
