"""HTTP application of a replica. It is made inside the replica, since it cannot be pickled."""

from typing import Any

from fastapi import Depends, FastAPI

from serve.api import admin_routes, problem_details, routes
from serve.api.auth import KeyRing, Keys
from serve.api.dependencies import Gatekeeper, require_json
from serve.api.middleware import RequestMiddleware
from serve.api.openai import routes as openai_routes
from serve.api.ops import docs
from serve.api.ops import routes as ops_routes
from serve.api.origins import BrowserRules, with_cors
from serve.api.page import routes as page_routes
from serve.api.problem_details import OpenAIProblem, Problem
from serve.api.wire.aliases import RouteAliases
from serve.api.wire.http10 import WholeForHttp10
from serve.config import HttpConfig
from serve.pipeline.attempts import Attempts, attempts_folder

STATUSES = (400, 401, 403, 408, 413, 415, 421, 422, 429, 500, 502, 503, 504)
PROBLEM = {"model": Problem, "content": {"application/problem+json": {}}}
PROBLEMS: dict[int | str, dict[str, Any]] = dict.fromkeys(STATUSES, PROBLEM)
OPENAI_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": OpenAIProblem} for status in (*STATUSES, 404)
}
MODEL_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: OPENAI_PROBLEMS[status] for status in (404, 503)
}


def make_http_app(
    config: HttpConfig, keys: KeyRing | None, admin_keys: Keys | None, on_loopback: bool
) -> FastAPI:
    """Return the application.

    Args:
        config: limits of a request.
        keys: None if the server has none.
        admin_keys: keys for administration; None: there is no administration.
        on_loopback: whether the server is reachable from this machine only.
    """
    app = FastAPI(title="Face Your Emotions", version="1", docs_url=None, redoc_url=None)
    app.state.config = config
    app.state.keys = keys
    app.state.admin_keys = admin_keys
    gatekeeper = Gatekeeper(BrowserRules(config, on_loopback), keys, admin_keys)
    attempts = Attempts(attempts_folder())
    app.add_middleware(RequestMiddleware, config=config, gatekeeper=gatekeeper, attempts=attempts)
    app.add_middleware(RouteAliases)
    app.add_middleware(WholeForHttp10)
    app.add_middleware(with_cors, config=config)  # outermost, so that it covers rejections too
    problem_details.install(app)
    json_body = [Depends(require_json)]
    app.include_router(openai_routes.router, responses=OPENAI_PROBLEMS, dependencies=json_body)
    app.include_router(openai_routes.models_router, responses=MODEL_PROBLEMS)
    app.include_router(admin_routes.router, responses=PROBLEMS)
    app.include_router(routes.router, responses=PROBLEMS)
    app.include_router(page_routes.router)
    app.include_router(ops_routes.router, responses=PROBLEMS)
    docs.install(app)
    return app
