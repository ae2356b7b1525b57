"""Errors of a request, each with its HTTP status and a stable `type`. A branch of the tree in `models.errors`.

FyeError                        500
├── RequestError                400   the client can mend it
│   ├── InvalidJson             400   the body is not JSON
│   ├── InvalidRequest          422   a field is missing, unknown, of the wrong type or out of range
│   ├── PromptTooLong           413   more tokens than the model can read
│   ├── UnknownModel            404   no persona or model of that name
│   └── WrongContentType        415   the body is not application/json
└── ServingError                500   the server can mend it
    ├── EngineError             500   the engine failed while it generated
    └── NotReady                503   a stage has not answered yet
"""

from models.errors import FyeError


class RequestError(FyeError):
    status = 400
    type = "bad-request"


class InvalidJson(RequestError):
    type = "invalid-json"


class InvalidRequest(RequestError):
    status = 422
    type = "invalid-request"


class PromptTooLong(RequestError):
    status = 413
    type = "prompt-too-long"


class UnknownModel(RequestError):
    status = 404
    type = "unknown-model"


class WrongContentType(RequestError):
    status = 415
    type = "wrong-content-type"


class ServingError(FyeError):
    status = 500
    type = "serving"


class EngineError(ServingError):
    type = "engine"


class NotReady(ServingError):
    status = 503
    type = "not-ready"
