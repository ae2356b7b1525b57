"""Documentation page that needs no other server: Swagger UI, whose files come with vLLM."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse

from serve.errors import NotReady

FOLDER = "entrypoints/serve/instrumentator/static"
SCRIPT = "swagger-ui-bundle.js"
STYLE = "swagger-ui.css"
NO_ICON = "data:,"  # a browser would otherwise ask another server

router = APIRouter(include_in_schema=False)


def install(app: FastAPI) -> None:
    """Add `/docs` and its files."""
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=app.title,
        swagger_js_url=f"docs/{SCRIPT}",
        swagger_css_url=f"docs/{STYLE}",
        swagger_favicon_url=NO_ICON,
    )

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return page

    app.include_router(router)


@router.get(f"/docs/{SCRIPT}")
async def script() -> Response:
    """Return the script of the page."""
    return FileResponse(_file(SCRIPT))


@router.get(f"/docs/{STYLE}")
async def style() -> Response:
    """Return the style of the page."""
    return FileResponse(_file(STYLE))


def _file(name: str) -> Path:
    """Return a file of Swagger UI. Finding a package does not import it."""
    package = find_spec("vllm")
    for folder in (package.submodule_search_locations if package else None) or ():
        if (found := Path(folder, FOLDER, name)).is_file():
            return found
    raise NotReady("this environment has no Swagger UI: vLLM brings it; /openapi.json has it all")
