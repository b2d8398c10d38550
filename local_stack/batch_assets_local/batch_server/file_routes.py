"""`/v1/files`: upload, list, retrieve, download, delete."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from batch_assets_local.batch_server import parameters
from batch_assets_local.batch_server.api_errors import (
    bad_request,
    invalid_type,
    invalid_value,
    missing_parameter,
)
from batch_assets_local.batch_server.files import read_blocks
from batch_assets_local.batch_server.identifiers import new_request_id
from batch_assets_local.batch_server.listing import page_of
from batch_assets_local.batch_server.operations import Endpoint, Prepared
from batch_assets_local.batch_server.profiles.played import Played
from batch_assets_local.batch_server.service import BatchService
from batch_assets_local.batch_server.uploads import Upload, receive_upload

_OTHER_PURPOSES = ("assistants", "evals", "fine-tune", "user_data", "vision")
_THIRTY_DAYS = 30 * 24 * 3600


class FileRoutes:
    """The operations on files."""

    def __init__(self, service: BatchService) -> None:
        """Serve the service's files."""
        self._service = service
        self._files = service.files

    def routes(self) -> list[Route]:
        """The routes, under `/v1`."""
        service = self._service
        one = "/v1/files/{file_id}"
        return [
            Route("/v1/files", Endpoint(service, "files.create", self._create), methods=["POST"]),
            Route("/v1/files", Endpoint(service, "files.list", self._list), methods=["GET"]),
            Route(one, Endpoint(service, "files.retrieve", self._retrieve), methods=["GET"]),
            Route(one, Endpoint(service, "files.delete", self._delete), methods=["DELETE"]),
            Route(
                f"{one}/content",
                Endpoint(service, "files.content", self._content),
                methods=["GET"],
            ),
        ]

    async def _create(self, request: Request) -> Prepared:
        limits = self._service.config.current.limits
        spooled = self._files.spool / new_request_id()
        upload = await receive_upload(request, spooled, limits.max_file_bytes)
        discard = partial(spooled.unlink, missing_ok=True)
        try:
            self._check_fields(upload)
            purpose, lifetime = _check_upload(upload, self._service.config.current.played)
        except BaseException:
            discard()
            raise

        def act() -> Response:
            file = self._files.add(
                upload.path,
                filename=upload.filename or "upload",
                purpose=purpose,
                lifetime=lifetime,
            )
            return JSONResponse(self._files.shown(file))

        return Prepared(act, discard)

    def _check_fields(self, upload: Upload) -> None:
        unknown = self._service.config.current.quirks.unknown_parameters
        for name in (field.partition("[")[0] for field in upload.fields):
            if name in unknown:
                message = f"Unknown parameter: '{name}'."
                raise bad_request(message, param=name, code="unknown_parameter")

    async def _list(self, request: Request) -> Prepared:
        query = request.query_params
        lists = self._service.config.current.quirks.lists
        played, purpose = self._service.config.current.played, query.get("purpose")
        limit = parameters.limit(query, default=lists.most_files, most=lists.most_files)
        order = query.get("order", "desc")
        if order not in {"asc", "desc"}:
            raise invalid_value("order", order, ("asc", "desc"))

        def own(most: int, after: str | None) -> tuple[list[dict[str, Any]], bool]:
            files, has_more = self._files.page(
                purpose="batch" if purpose == played.purpose else purpose,
                limit=most,
                after=after,
                descending=(order == "desc") != lists.oldest_first,
            )
            return [self._files.shown(file) for file in files], has_more

        def act() -> Response:
            after = query.get("after")
            return JSONResponse(page_of(own, lists, lists.foreign_files, limit=limit, after=after))

        return Prepared(act)

    async def _retrieve(self, request: Request) -> Prepared:
        file_id = request.path_params["file_id"]
        return Prepared(lambda: JSONResponse(self._files.shown(self._files.require(file_id))))

    async def _delete(self, request: Request) -> Prepared:
        file_id = request.path_params["file_id"]

        def act() -> Response:
            self._files.delete(file_id)
            return JSONResponse({"object": "file", "id": file_id, "deleted": True})

        return Prepared(act)

    async def _content(self, request: Request) -> Prepared:
        file_id = request.path_params["file_id"]

        def act() -> Response:
            file = self._files.require(file_id)
            headers = {
                "content-length": str(file.bytes),
                "content-disposition": f'attachment; filename="{file.id}.jsonl"',
            }
            blocks = read_blocks(self._files.path(file_id))
            return StreamingResponse(blocks, headers=headers, media_type="application/octet-stream")

        return Prepared(act)


def _check_upload(upload: Upload, played: Played) -> tuple[str, int | None]:
    """The purpose and the lifetime in seconds that a form asks for."""
    if upload.filename is None:
        raise missing_parameter("file")
    purpose = parameters.one_of(upload.fields, "purpose", (*_OTHER_PURPOSES, played.purpose))
    purpose = "batch" if purpose == played.purpose else purpose
    if purpose == "batch" and Path(upload.filename).suffix != ".jsonl":
        message = "Invalid file format for Batch API. Must be .jsonl"
        raise bad_request(message, param="file")
    lifetime = parameters.lifetime(_expires_after(upload.fields), "expires_after")
    if lifetime is None and purpose == "batch":
        lifetime = _THIRTY_DAYS
    return purpose, lifetime


def _expires_after(fields: Mapping[str, str]) -> dict[str, object] | None:
    """Put `expires_after[anchor]` and `expires_after[seconds]` together again."""
    given: dict[str, object] = {
        part: fields[f"expires_after[{part}]"]
        for part in ("anchor", "seconds")
        if f"expires_after[{part}]" in fields
    }
    seconds = given.get("seconds")
    if isinstance(seconds, str):
        if not (seconds.isascii() and seconds.isdigit()):
            raise invalid_type("expires_after.seconds", "an integer", seconds)
        given["seconds"] = int(seconds)
    return given or None
