"""`/v1/batches`: create, retrieve, list, cancel."""

from threading import Lock
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from batch_assets_local.batch_server import parameters
from batch_assets_local.batch_server.api_errors import ApiError, bad_request
from batch_assets_local.batch_server.batch_record import BatchRecord
from batch_assets_local.batch_server.batches import NewBatch
from batch_assets_local.batch_server.identifiers import new_batch_id
from batch_assets_local.batch_server.listing import page_of
from batch_assets_local.batch_server.operations import Endpoint, Prepared
from batch_assets_local.batch_server.profiles.played import Played
from batch_assets_local.batch_server.service import BatchService
from batch_assets_local.batch_server.validation import first_model

_PARAMETERS = frozenset(
    {"input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after"}
)
_HOUR = 3600


class BatchRoutes:
    """The operations on batches."""

    def __init__(self, service: BatchService) -> None:
        """Serve the service's batches."""
        self._service = service
        self._batches = service.batches
        self._creating = Lock()
        """Held from the look at the hour's batches until the new one is among them."""

    def routes(self) -> list[Route]:
        """The routes, under `/v1`."""
        service = self._service
        many, one = "/v1/batches", "/v1/batches/{batch_id}"
        return [
            Route(many, Endpoint(service, "batches.create", self._create), methods=["POST"]),
            Route(many, Endpoint(service, "batches.list", self._list), methods=["GET"]),
            Route(one, Endpoint(service, "batches.retrieve", self._retrieve), methods=["GET"]),
            Route(
                f"{one}/cancel",
                Endpoint(service, "batches.cancel", self._cancel),
                methods=["POST"],
            ),
        ]

    async def _create(self, request: Request) -> Prepared:
        known = _PARAMETERS.difference(self._service.config.current.quirks.unknown_parameters)
        body = parameters.json_object(await parameters.json_body(request), known)
        wanted = _wanted(body, self._service.config.current.played)
        return Prepared(lambda: self._create_now(wanted))

    def _create_now(self, wanted: dict[str, Any]) -> Response:
        file_id = wanted["input_file_id"]
        files = self._service.files
        is_there = self._check_input(file_id)
        with self._creating:
            self._check_rate()
            batch_id = new_batch_id()
            if is_there:
                files.keep_input(file_id, batch_id)
            rule = self._service.rules.for_new_batch(
                wanted["metadata"], lambda: first_model(files.input_path(batch_id))
            )
            fate = None if rule is None else rule.model_dump_json()
            batch = self._batches.add(NewBatch(id=batch_id, fate=fate, **wanted))
        self._service.worker.wake()
        return self._shown(batch)

    def _check_input(self, file_id: str) -> bool:
        """Whether the input file is there; one that never was, or is no input, is refused.

        A batch of a file that is gone is taken, and fails in validation.
        """
        files = self._service.files
        file = files.find(file_id)
        if file is None and files.is_gone(file_id):
            return False
        if file is None:
            message = f"No such File object: {file_id[:64]}"
            raise bad_request(message, param="input_file_id")
        if file.purpose != "batch":
            message = (
                f"Invalid file purpose: '{file.purpose}'. The input file of a batch must have the "
                "purpose 'batch'."
            )
            raise bad_request(message, param="input_file_id", code="invalid_value")
        if not files.is_processed(file):
            message = "The input file has not been processed yet; its status is 'pending'."
            raise bad_request(message, param="input_file_id", code="invalidPayload")
        return True

    def _check_rate(self) -> None:
        most = self._service.config.current.limits.batches_per_hour
        if self._batches.created_since(self._service.config.now() - _HOUR) < most:
            return
        message = f"Rate limit reached for batches. Limit: {most} batches per hour."
        raise ApiError(
            429,
            message,
            kind="requests",
            code="rate_limit_exceeded",
            headers={"retry-after": "60"},
        )

    async def _list(self, request: Request) -> Prepared:
        query = request.query_params
        limit = parameters.limit(query, default=20, most=100)

        def own(most: int, after: str | None) -> tuple[list[dict[str, Any]], bool]:
            batches, has_more = self._batches.page(limit=most, after=after)
            return [self._service.views.listed(batch) for batch in batches], has_more

        def act() -> Response:
            lists = self._service.config.current.quirks.lists
            after = query.get("after")
            return JSONResponse(
                page_of(own, lists, lists.foreign_batches, limit=limit, after=after)
            )

        return Prepared(act)

    async def _retrieve(self, request: Request) -> Prepared:
        batch_id = request.path_params["batch_id"]
        return Prepared(lambda: self._shown(self._batches.require(batch_id)))

    async def _cancel(self, request: Request) -> Prepared:
        batch_id = request.path_params["batch_id"]

        def act() -> Response:
            batch = self._batches.cancel(batch_id)
            self._service.worker.wake()
            return self._shown(batch)

        return Prepared(act)

    def _shown(self, batch: BatchRecord) -> Response:
        return JSONResponse(self._service.views.retrieved(batch))


def _wanted(body: dict[str, Any], played: Played) -> dict[str, Any]:
    """The fields of `NewBatch` that the body decides, checked."""
    return {
        "input_file_id": parameters.required_string(body, "input_file_id"),
        "endpoint": parameters.one_of(body, "endpoint", (played.endpoint,)),
        "completion_window": parameters.one_of(body, "completion_window", played.windows),
        "metadata": parameters.metadata(body.get("metadata")),
        "output_expires_seconds": parameters.lifetime(
            body.get("output_expires_after"), "output_expires_after"
        ),
    }
