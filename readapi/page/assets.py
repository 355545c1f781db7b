"""Serving the files of the page, under a policy that lets the browser load nothing else.

The page has no data in it. It asks for them with a key: in development with the viewer's, which
anybody may have there, in production with the one that a person enters.
"""

import hashlib
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from runtime.http.context import Context

STATIC = Path(__file__).parent / "static"
INDEX = "index.html"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# No inline script and no inline style, nothing from elsewhere, and no text that becomes markup.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",  # The browser asks each time, and mostly hears 304.
}


class ViewerKeyAnswer(BaseModel):
    """The key with which the page looks."""

    model_config = ConfigDict(extra="forbid")

    viewer_key: str


class Asset:
    """One file, read once. ``etag`` is the hash of its content."""

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        self.media_type = _TYPES[path.suffix]
        self.etag = f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'

    def response(self, if_none_match: str) -> Response:
        """304 where the browser has this content already."""
        headers = {**HEADERS, "etag": self.etag}
        known = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
        if self.etag in known or known == ["*"]:
            return Response(status_code=304, headers=headers)
        return Response(self.content, headers=headers, media_type=self.media_type)


def page_router(context: Context) -> APIRouter:
    router = APIRouter()
    assets = {path.name: Asset(path) for path in sorted(STATIC.iterdir())}

    @router.get("/", include_in_schema=False)
    async def index(request: Request) -> Response:
        return assets[INDEX].response(request.headers.get("if-none-match", ""))

    @router.get("/page/{name}", include_in_schema=False)
    async def asset(request: Request, name: str) -> Response:
        if name not in assets or name == INDEX:
            raise HTTPException(404)
        return assets[name].response(request.headers.get("if-none-match", ""))

    if context.settings.is_development:

        @router.get("/debug/viewer-key")
        async def viewer_key() -> ViewerKeyAnswer:
            return ViewerKeyAnswer(viewer_key=context.keyring.viewer_key)

    return router
