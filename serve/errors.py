"""Errors of a request, each with its HTTP status and a stable `type`. A branch of the tree in `models.errors`.

FyeError                        500
├── RequestError                400   the client can mend it
│   ├── InvalidJson             400   the body is not JSON
│   ├── AdapterRefused          422   an adapter that cannot be published or promoted, and why
│   ├── InvalidRequest          422   a field is missing, unknown, of the wrong type or out of range
│   ├── BodyTooLarge            413   more bytes than a request may have
│   ├── Forbidden               403   the key does not allow this
│   ├── ComeBackLater           429   says when
│   │   ├── Overloaded          429   no place is free
│   │   └── RateLimited         429   the key has used up what it may
│   ├── PromptTooLong           413   more tokens than the model can read
│   ├── SlowBody                408   the body did not come in time
│   ├── Unauthenticated         401   no key, or one that is not known
│   ├── UnknownModel            404   no persona or model of that name
│   └── WrongContentType        415   the body is not application/json
└── ServingError                500   the server can mend it
    ├── DeadlineExceeded        504   the request's timeout ended before the answer
    ├── EngineError             500   the engine failed while it generated
    ├── EngineDead              503   the engine will not answer again; its replica is replaced
    ├── NotReady                503   a stage has not answered yet
    └── ReplicaLost             502   a process died while it wrote the answer
"""

from models.errors import FyeError

TOO_MANY = "too many requests at once; come back when Retry-After says"


class RequestError(FyeError):
    status = 400
    type = "bad-request"


class InvalidJson(RequestError):
    type = "invalid-json"


class InvalidRequest(RequestError):
    status = 422
    type = "invalid-request"


class AdapterRefused(RequestError):
    status = 422
    type = "adapter-refused"


class BodyTooLarge(RequestError):
    status = 413
    type = "body-too-large"


class Forbidden(RequestError):
    status = 403
    type = "forbidden"


class ComeBackLater(RequestError):
    status = 429
    type = "come-back-later"

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        super().__init__(detail, retry_after_s)  # both in `args`, so that it survives the way between processes
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return str(self.args[0])


class Overloaded(ComeBackLater):
    type = "overloaded"


class RateLimited(ComeBackLater):
    type = "rate-limited"


class PromptTooLong(RequestError):
    status = 413
    type = "prompt-too-long"


class SlowBody(RequestError):
    status = 408
    type = "slow-body"


class Unauthenticated(RequestError):
    status = 401
    type = "unauthenticated"


class UnknownModel(RequestError):
    status = 404
    type = "unknown-model"


class WrongContentType(RequestError):
    status = 415
    type = "wrong-content-type"


class ServingError(FyeError):
    status = 500
    type = "serving"


class DeadlineExceeded(ServingError):
    status = 504
    type = "deadline-exceeded"


class EngineError(ServingError):
    type = "engine"


class EngineDead(ServingError):
    status = 503
    type = "engine-dead"


class NotReady(ServingError):
    status = 503
    type = "not-ready"


class ReplicaLost(ServingError):
    status = 502
    type = "replica-lost"
