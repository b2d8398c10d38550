"""The ASGI application: all routes, and what every answer has."""

import time
from email.utils import formatdate

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batch_assets_local.batch_server.api_errors import ApiError
from batch_assets_local.batch_server.batch_routes import BatchRoutes
from batch_assets_local.batch_server.chat_routes import ChatRoutes
from batch_assets_local.batch_server.config import ReloadableConfig
from batch_assets_local.batch_server.control_routes import ControlRoutes
from batch_assets_local.batch_server.file_routes import FileRoutes
from batch_assets_local.batch_server.identifiers import new_request_id
from batch_assets_local.batch_server.operations import error_response
from batch_assets_local.batch_server.profiles.translating import Translator
from batch_assets_local.batch_server.service import BatchService


class UsualHeaders:
    """Puts OpenAI's usual headers, the request id first of all, on every answer."""

    def __init__(self, app: ASGIApp, config: ReloadableConfig) -> None:
        """Stand in front of an application, and tell the time of a configuration's clock."""
        self._app = app
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call."""
        begun = time.monotonic()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if not self._config.current.quirks.without_date:
                    headers["date"] = formatdate(self._config.shown_now(), usegmt=True)
                headers["x-request-id"] = new_request_id()
                headers["openai-version"] = "2020-10-01"
                headers["openai-organization"] = "org-local"
                headers["openai-processing-ms"] = str(int((time.monotonic() - begun) * 1000))
            await send(message)

        await self._app(scope, receive, send_with_headers)


def build_app(service: BatchService) -> Starlette:
    """The application over a service, which the caller opens and closes."""
    return Starlette(
        routes=[
            *FileRoutes(service).routes(),
            *BatchRoutes(service).routes(),
            *ChatRoutes(service).routes(),
            *ControlRoutes(service).routes(),
        ],
        middleware=[
            Middleware(UsualHeaders, config=service.config),
            Middleware(Translator, config=service.config),
        ],
        exception_handlers={HTTPException: _no_such_route},
    )


def _no_such_route(request: Request, exception: Exception) -> Response:
    """404 and 405 in OpenAI's words."""
    place = f"{request.method} {request.url.path}"
    status = exception.status_code if isinstance(exception, HTTPException) else 500
    if status == 405:
        message = f"Not allowed to {request.method} on {request.url.path}."
        return error_response(ApiError(405, message, code="method_not_supported"))
    return error_response(ApiError(404, f"Invalid URL ({place})"))
