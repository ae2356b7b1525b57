"""Page as it is sent: headers, security policy, media types, caching, size, and its references."""

import re
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from serve.api.auth import KeyRing, new_secret, sha256_of
from serve.api.page.assets import STATIC, load_assets
from support.http_client import FakeResponder, http_client

MAX_BYTES = 200_000
DOCUMENTS = {"/": "index.html", "/status": "status.html"}
ASSETS = [f"/page/{path}" for path in load_assets() if not path.endswith(".html")]
FORBIDDEN = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://")
REFERENCE = re.compile(r'(?:src|href)="([^"#]+)"|from "([^"]+)"')


@pytest.fixture
def client() -> httpx.AsyncClient:
    return http_client(FakeResponder())


def policy_of(reply: httpx.Response) -> dict[str, str]:
    """Return the directives of the security policy."""
    pairs = (
        part.strip().partition(" ") for part in reply.headers["content-security-policy"].split(";")
    )
    return {name: value for name, _, value in pairs}


@pytest.mark.parametrize(("path", "file"), DOCUMENTS.items())
async def test_documents_are_sent_as_they_are(
    client: httpx.AsyncClient, path: str, file: str
) -> None:
    reply = await client.get(path)
    assert (reply.status_code, reply.content) == (200, (STATIC / file).read_bytes())
    assert reply.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", ASSETS)
async def test_every_file_has_its_media_type(client: httpx.AsyncClient, path: str) -> None:
    types = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
    reply = await client.get(path)
    assert reply.status_code == 200
    assert reply.headers["content-type"].split(";")[0] == types[path.rpartition(".")[2]]


@pytest.mark.parametrize("path", ["/", "/status", "/page/chat/app.js"])
async def test_the_policy_allows_own_files_alone(client: httpx.AsyncClient, path: str) -> None:
    reply = await client.get(path)
    policy = policy_of(reply)
    own = {"script-src", "style-src", "img-src", "connect-src"}
    assert {name: policy[name] for name in own} == dict.fromkeys(own, "'self'")
    closed = {"default-src", "base-uri", "form-action", "frame-ancestors"}
    assert {name: policy[name] for name in closed} == dict.fromkeys(closed, "'none'")
    assert policy["require-trusted-types-for"] == "'script'"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("path", ["/", "/status", "/page/chat/chat.css"])
async def test_an_unchanged_file_is_not_sent_again(client: httpx.AsyncClient, path: str) -> None:
    first = await client.get(path)
    again = await client.get(path, headers={"if-none-match": first.headers["etag"]})
    other = await client.get(path, headers={"if-none-match": '"other"'})
    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize("path", ["/", "/status", "/page/icon.svg"])
async def test_head_has_the_headers_of_get(client: httpx.AsyncClient, path: str) -> None:
    got, head = await client.get(path), await client.head(path)
    assert head.status_code == 200
    for name in ("etag", "content-type", "content-length", "content-security-policy"):
        assert head.headers[name] == got.headers[name]


@pytest.mark.parametrize(
    "path",
    ["/page", "/page/", "/page/chat", "/page/none.js", "/page/../routes.py", "/page/%2e%2e/x"],
)
async def test_any_other_path_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_no_other_method_is_allowed(client: httpx.AsyncClient) -> None:
    assert (await client.post("/")).status_code == 405


async def test_the_page_knows_whether_a_key_is_needed(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    digest = sha256_of(new_secret())
    file.write_text(f'[[keys]]\nname = "a"\nsha256 = "{digest}"\nscopes = ["respond"]\n')
    without = await http_client(FakeResponder()).get("/page/settings")
    with_keys = http_client(FakeResponder(), keys=KeyRing(file))
    assert without.json() == {"keys": False}
    assert (await with_keys.get("/page/settings")).json() == {"keys": True}
    assert (await with_keys.get("/")).status_code == 200


def test_all_files_together_are_small() -> None:
    assert sum(len(asset.body) for asset in load_assets().values()) < MAX_BYTES


@pytest.mark.parametrize("path", [path for path in load_assets() if not path.endswith(".svg")])
def test_no_file_makes_html_of_text_or_names_another_server(path: str) -> None:
    text = (STATIC / path).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert [word for word in (*FORBIDDEN, "https://") if word in text] == []


@pytest.mark.parametrize("file", DOCUMENTS.values())
def test_documents_have_no_inline_script_or_style(file: str) -> None:
    text = (STATIC / file).read_text("utf-8")
    assert re.findall(r"<style|\sstyle=|\son\w+=|<script[^>]*>[^<]", text) == []


@pytest.mark.parametrize("path", [path for path in load_assets() if not path.endswith(".svg")])
def test_references_lead_to_files_or_pages(path: str) -> None:
    """Documents are sent from the root, everything else from below /page/."""
    base = "/" if path.endswith(".html") else f"/page/{path}"
    known = {*DOCUMENTS, *ASSETS}
    found = ["".join(pair) for pair in REFERENCE.findall((STATIC / path).read_text("utf-8"))]
    assert [link for link in found if urljoin(base, link) not in known] == []
