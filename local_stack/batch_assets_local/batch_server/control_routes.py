"""`/_local/…`: what OpenAI does not have. Configuration, ledger, summary, forced ends."""

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from batch_assets.domain.errors import ConfigurationError
from batch_assets_local.batch_server.api_errors import ApiError, bad_request
from batch_assets_local.batch_server.batch_record import BatchRecord
from batch_assets_local.batch_server.config import parse_config
from batch_assets_local.batch_server.operations import error_response
from batch_assets_local.batch_server.service import BatchService
from batch_assets_local.batch_server.validation import BatchError

_LEDGER_BLOCK = 500


class ControlRoutes:
    """The operator's side: no key is asked for, since only this machine can reach it."""

    def __init__(self, service: BatchService) -> None:
        """Control the service."""
        self._service = service

    def routes(self) -> list[Route]:
        """The routes, under `/_local`."""
        return [
            Route("/_local/config", self._get_config, methods=["GET"]),
            Route("/_local/config", self._put_config, methods=["PUT"]),
            Route("/_local/ledger", self._ledger, methods=["GET"]),
            Route("/_local/summary", self._summary, methods=["GET"]),
            Route("/_local/batches/{batch_id}/expire", self._expire, methods=["POST"]),
            Route("/_local/batches/{batch_id}/release", self._release, methods=["POST"]),
            Route("/_local/batches/{batch_id}/fail", self._fail, methods=["POST"]),
        ]

    def _get_config(self, _: Request) -> Response:
        return JSONResponse(self._service.config.current.model_dump(mode="json"))

    async def _put_config(self, request: Request) -> Response:
        try:
            config = parse_config(await request.body())
        except ConfigurationError as error:
            return error_response(bad_request(str(error)))
        await run_in_threadpool(self._service.config.replace, config)
        return JSONResponse(config.model_dump(mode="json"))

    def _ledger(self, request: Request) -> Response:
        query = request.query_params
        since = query.get("since_id", "0")
        if not (since.isascii() and since.isdigit()):
            return error_response(bad_request("'since_id' must be a whole number."))
        entries = self._service.ledger.entries(
            since_id=int(since),
            kind=query.get("kind"),
            batch_id=query.get("batch_id"),
            custom_id=query.get("custom_id"),
        )

        def blocks() -> Iterator[str]:
            while block := list(itertools.islice(entries, _LEDGER_BLOCK)):
                yield "".join(json.dumps(entry.as_json()) + "\n" for entry in block)

        return StreamingResponse(blocks(), media_type="application/x-ndjson")

    def _summary(self, _: Request) -> Response:
        return JSONResponse(
            {
                "batches": self._service.batches.counts(),
                "files": self._service.files.counts(),
                "ledger": asdict(self._service.ledger.totals()),
                "billed_more_than_once": self._service.ledger.repeated(),
            }
        )

    def _expire(self, request: Request) -> Response:
        return self._force(request, lambda batch: self._service.batches.decide(batch, "expired"))

    def _release(self, request: Request) -> Response:
        return self._force(request, self._service.batches.release)

    async def _fail(self, request: Request) -> Response:
        try:
            wanted = json.loads(await request.body() or b"{}")
            error = BatchError(**({"code": "invalid_request", "message": "Forced."} | wanted))
        except (ValueError, TypeError):
            message = "The body must be an object with code, message, param and line at most."
            return error_response(bad_request(message))
        errors = json.dumps([asdict(error)])
        return await run_in_threadpool(
            self._force, request, lambda batch: self._service.batches.fail(batch, errors)
        )

    def _force(self, request: Request, move: Callable[[BatchRecord], bool]) -> Response:
        """Move a batch that has not ended; 409 when it is too late."""
        batches = self._service.batches
        batch_id = request.path_params["batch_id"]
        try:
            batch = batches.require(batch_id)
        except ApiError as error:
            return error_response(error)
        if not move(batch):
            return error_response(
                ApiError(409, f"The batch cannot be forced any more: it is '{batch.status}'.")
            )
        self._service.worker.wake()
        return JSONResponse(self._service.views.plain(batches.require(batch_id)))
