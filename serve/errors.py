"""Errors of serving, each with an HTTP status and a stable `type`. A branch of `models.errors`.

FyeError                        500
├── ConfigError                 500   the operator's configuration: config file, API keys
├── InputFileError              500   a file given to a command cannot be processed
├── RequestError                400   the client must change the request
│   ├── InvalidJson             400   the body is not JSON
│   ├── InvalidContentEncoding  400   the body is not compressed as its header says
│   ├── Unauthenticated         401   the API key is missing or unknown
│   ├── Forbidden               403   the API key lacks the scope
│   ├── UnknownModel            404   no persona or model has that name
│   ├── SlowBody                408   the body did not arrive in time
│   ├── BodyTooLarge            413   the body has too many bytes
│   ├── PromptTooLong           413   the text has more tokens than the model can read
│   ├── WrongContentType        415   the body is not application/json
│   ├── UnsupportedEncoding     415   the body is compressed in another way than gzip
│   ├── UnknownHost             421   the Host header names another server
│   ├── AdapterRejected         422   an adapter cannot be published, promoted or rolled back
│   ├── InvalidRequest          422   a field is missing, unknown, of the wrong type or out of range
│   └── RetryLater              429   retry after `retry_after_s`
│       ├── Overloaded          429   there is no free capacity
│       └── RateLimited         429   the API key has used up its quota
└── ServingError                500   the operator must act, or a retry may succeed
    ├── EngineError             500   the engine failed during generation
    ├── ReplicaFailed           502   a replica failed after the response had started
    ├── EngineDead              503   the engine has stopped; its replica is being replaced
    ├── NotReady                503   a deployment does not reply yet
    └── DeadlineExceeded        504   the request timed out

To add an error, derive a class from its branch, set `type` to a new slug, set `status` where it
differs from the branch's, and add a line above.
"""

from models.errors import FyeError

TOO_MANY = "too many concurrent requests; retry after the time in the Retry-After header"


class ConfigError(FyeError):
    """The operator's configuration is invalid."""

    type = "config"


class InputFileError(FyeError):
    """A file given to a command cannot be processed."""

    type = "input-file"


class RequestError(FyeError):
    """Root of the errors that the client can correct."""

    status = 400
    type = "bad-request"


class InvalidJson(RequestError):
    """The body is not JSON."""

    type = "invalid-json"


class InvalidContentEncoding(RequestError):
    """The body is not compressed as its header says."""

    type = "invalid-content-encoding"


class InvalidRequest(RequestError):
    """A field is missing, unknown, of the wrong type or out of range."""

    status = 422
    type = "invalid-request"


class AdapterRejected(RequestError):
    """An adapter cannot be published, promoted or rolled back."""

    status = 422
    type = "adapter-rejected"


class BodyTooLarge(RequestError):
    """The body has more bytes than allowed."""

    status = 413
    type = "body-too-large"


class Forbidden(RequestError):
    """The API key lacks the required scope."""

    status = 403
    type = "forbidden"


class RetryLater(RequestError):
    """Root of the errors after which a retry may succeed.

    Attributes:
        retry_after_s: seconds to wait before the retry.
    """

    status = 429
    type = "come-back-later"

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        """Create the error with the number of seconds after which to retry."""
        # Both values are in `args`, so that they survive pickling between processes.
        super().__init__(detail, retry_after_s)
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        """Return the detail alone."""
        return str(self.args[0])


class Overloaded(RetryLater):
    """There is no free capacity."""

    type = "overloaded"


class RateLimited(RetryLater):
    """The API key has used up its quota."""

    type = "rate-limited"


class PromptTooLong(RequestError):
    """The text has more tokens than the model can read."""

    status = 413
    type = "prompt-too-long"


class SlowBody(RequestError):
    """The body did not arrive in time."""

    status = 408
    type = "slow-body"


class Unauthenticated(RequestError):
    """The API key is missing or unknown."""

    status = 401
    type = "unauthenticated"


class UnknownModel(RequestError):
    """No persona or model has the requested name."""

    status = 404
    type = "unknown-model"


class UnknownHost(RequestError):
    """The Host header names another server."""

    status = 421
    type = "unknown-host"


class UnsupportedEncoding(RequestError):
    """The body is compressed in another way than gzip."""

    status = 415
    type = "unsupported-encoding"


class WrongContentType(RequestError):
    """The body is not application/json."""

    status = 415
    type = "wrong-content-type"


class ServingError(FyeError):
    """Root of the errors on the server's side."""

    status = 500
    type = "serving"


class DeadlineExceeded(ServingError):
    """The request timed out."""

    status = 504
    type = "deadline-exceeded"


class EngineError(ServingError):
    """The engine failed during generation."""

    type = "engine"


class EngineDead(ServingError):
    """The engine has stopped; its replica is being replaced."""

    status = 503
    type = "engine-dead"


class NotReady(ServingError):
    """A deployment does not reply yet."""

    status = 503
    type = "not-ready"


class ReplicaFailed(ServingError):
    """A replica failed after the response had started, so the request cannot be retried."""

    status = 502
    type = "replica-failed"
