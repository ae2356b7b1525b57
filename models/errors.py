"""Exceptions of the shared package, and the root of the project's exception tree.

FyeError                        500
└── ArtifactError               500   an artifact on disk, or its description, is wrong
    ├── CatalogError            500   an entry of the weight catalog is unknown or malformed
    ├── FetchError              503   a download source is unreachable or rejects the request
    ├── ChecksumError           500   a file differs from its pinned sha256
    └── ManifestError           500   a manifest is missing, malformed or does not fit its files

`serve.errors` and `training.errors` add the branches of their packages.
"""


class FyeError(Exception):
    """Root of every exception that this project raises on purpose.

    Attributes:
        status: HTTP status of the response that reports the error.
        type: stable slug for clients, unique among the concrete errors.
    """

    status: int = 500
    type: str = "internal"


class ArtifactError(FyeError):
    """Weights, an adapter or a detector on disk cannot be used."""

    type = "artifact"


class CatalogError(ArtifactError):
    """An entry of the weight catalog is unknown or malformed."""

    type = "catalog"


class FetchError(ArtifactError):
    """A download failed because its source is unreachable or rejected it."""

    status = 503
    type = "fetch"


class ChecksumError(ArtifactError):
    """A file differs from its pinned sha256."""

    type = "checksum"


class ManifestError(ArtifactError):
    """A manifest is missing, malformed or does not fit its files."""

    type = "manifest"
