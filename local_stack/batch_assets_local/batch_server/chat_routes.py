"""`/v1/chat/completions` live, and `/v1/models`."""

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from batch_assets_local.batch_server import ledger, parameters
from batch_assets_local.batch_server.api_errors import error_for_status
from batch_assets_local.batch_server.chat_request import ChatRequest, check_chat_request
from batch_assets_local.batch_server.completions import complete
from batch_assets_local.batch_server.fault_rules import HttpErrorEffect
from batch_assets_local.batch_server.identifiers import new_request_id, row_ids
from batch_assets_local.batch_server.operations import Endpoint, Prepared
from batch_assets_local.batch_server.service import BatchService

_RATE_HEADERS = {
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-reset-requests": "6ms",
    "x-ratelimit-limit-tokens": "2000000",
    "x-ratelimit-remaining-tokens": "1999000",
    "x-ratelimit-reset-tokens": "30ms",
}


class ChatRoutes:
    """The operations that answer at once."""

    def __init__(self, service: BatchService) -> None:
        """Answer with the service's answerer."""
        self._service = service

    def routes(self) -> list[Route]:
        """The routes, under `/v1`."""
        service = self._service
        return [
            Route("/v1/chat/completions", Endpoint(service, "chat", self._chat), methods=["POST"]),
            Route("/v1/models", Endpoint(service, "models.list", self._models), methods=["GET"]),
            Route(
                "/v1/models/{model_id}",
                Endpoint(service, "models.retrieve", self._model),
                methods=["GET"],
            ),
        ]

    async def _chat(self, request: Request) -> Prepared:
        wanted = check_chat_request(
            await parameters.json_body(request), self._service.config.catalog
        )
        return Prepared(lambda: self._answer(wanted, request.headers.get("x-client-request-id")))

    def _answer(self, wanted: ChatRequest, call_id: str | None) -> Response:
        """Answer and charge; the charge is committed before the answer is sent."""
        service = self._service
        call = new_request_id()
        effect = service.rules.for_live_row(call, wanted.service_tier)
        if isinstance(effect, HttpErrorEffect):
            raise error_for_status(effect.status, effect.error)
        now = service.config.now()
        completion = complete(wanted, service.answerer, row_ids(call), now, effect)
        charge = ledger.Charge(
            kind="live",
            created_at=now,
            model=wanted.model.snapshot,
            prompt_tokens=completion.prompt_tokens,
            cached_tokens=completion.cached_tokens,
            completion_tokens=completion.completion_tokens,
            service_tier=completion.service_tier,
            custom_id=call_id,
            metadata=None if wanted.metadata is None else json.dumps(wanted.metadata),
        )
        with service.database.transaction() as connection:
            ledger.append(connection, [charge])
        return JSONResponse(completion.body, headers=_RATE_HEADERS)

    async def _models(self, _: Request) -> Prepared:
        models = [model.as_json() for model in self._service.config.catalog]
        return Prepared(lambda: JSONResponse({"object": "list", "data": models}))

    async def _model(self, request: Request) -> Prepared:
        name = request.path_params["model_id"]
        catalog = self._service.config.catalog
        return Prepared(lambda: JSONResponse(catalog.require(name).as_json()))
