"""How every call of the API is carried out: let in, read, struck by faults or not, answered.

Reading comes first and changes nothing; the work is a function that is called once, at once,
late or never. So a fault can lose the answer of work that was done, or do the work of a call
that its caller has given up.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from batch_assets.domain.logs import open_log
from batch_assets_local.batch_server.api_errors import ApiError, error_for_status, server_error
from batch_assets_local.batch_server.authorization import (
    authorize,
    is_of_another_project,
    look_elsewhere,
)
from batch_assets_local.batch_server.connection import TruncatedSend, drop
from batch_assets_local.batch_server.fault_rules import (
    AnswerEffect,
    BodyEffect,
    DropEffect,
    LinesEffect,
    Operation,
    TruncateEffect,
)
from batch_assets_local.batch_server.listing import page
from batch_assets_local.batch_server.rules import Call, CallPlan
from batch_assets_local.batch_server.service import BatchService

_log = open_log(__name__)
_late_work: set[asyncio.Task[Response]] = set()


def _nothing() -> None:
    """There is nothing to clean up."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that was read: `act` does its work (in a thread), `discard` forgets it unworked."""

    act: Callable[[], Response]
    discard: Callable[[], None] = _nothing


Reader = Callable[[Request], Awaitable[Prepared]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation as an ASGI application."""

    service: BatchService
    operation: Operation
    read: Reader

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        request = Request(scope, receive)
        try:
            prepared = await self._let_in(request)
        except ApiError as error:
            await error_response(error)(scope, receive, send)
            return
        except ClientDisconnect:
            return
        plan = await run_in_threadpool(self.service.rules.for_call, self._as_call(request))
        response = await _carry_out(prepared, plan)
        if response is None:
            await drop(scope, receive)
        elif isinstance(plan.outcome, TruncateEffect):
            await response(scope, receive, TruncatedSend(scope, receive, send, plan.outcome))
        else:
            await response(scope, receive, send)

    def _as_call(self, request: Request) -> Call:
        return Call(
            self.operation,
            next(iter(request.path_params.values()), None),
            int(request.headers.get("content-length", "0")),
        )

    async def _let_in(self, request: Request) -> Prepared:
        try:
            authorize(request.headers, self.service.config, self.operation)
        except ApiError:
            # A client that is still sending would see a broken connection, not the answer.
            async for _ in request.stream():
                pass
            raise
        if is_of_another_project(request.headers, self.service.config):
            look_elsewhere(self.operation, request.path_params)
            if self.operation in {"files.list", "batches.list"}:
                return Prepared(lambda: JSONResponse(page([], has_more=False)))
        return await self.read(request)


async def _carry_out(prepared: Prepared, plan: CallPlan) -> Response | None:
    """Do the work as the plan says; None means that the connection is to be dropped."""
    await asyncio.sleep(plan.delay_before)
    outcome = plan.outcome
    if isinstance(outcome, AnswerEffect):
        return await _answer_instead(prepared, plan, outcome)
    if isinstance(outcome, DropEffect):
        await _drop_instead(prepared, outcome)
        return None
    if isinstance(outcome, BodyEffect):
        prepared.discard()
        return Response(outcome.content, outcome.status, media_type=outcome.content_type)
    response = await _work(prepared)
    if isinstance(outcome, LinesEffect):
        response = await with_other_lines(response, outcome)
    await asyncio.sleep(plan.delay_after)
    return response


async def _answer_instead(prepared: Prepared, plan: CallPlan, effect: AnswerEffect) -> Response:
    if effect.work_done:
        await _work(prepared)
        await asyncio.sleep(plan.delay_after)
    else:
        prepared.discard()
    error = error_for_status(effect.status, effect.error)
    error.headers |= {name.lower(): value for name, value in effect.headers.items()}
    return error_response(error)


async def _drop_instead(prepared: Prepared, effect: DropEffect) -> None:
    if effect.work == "never":
        prepared.discard()
    elif effect.work == "done":
        await _work(prepared)
    else:
        task = asyncio.create_task(_work_later(prepared, effect.later_seconds))
        _late_work.add(task)
        task.add_done_callback(_late_work.discard)


async def _work_later(prepared: Prepared, seconds: float) -> Response:
    await asyncio.sleep(seconds)
    return await _work(prepared)


async def _work(prepared: Prepared) -> Response:
    try:
        return await run_in_threadpool(prepared.act)
    except ApiError as error:
        prepared.discard()
        return error_response(error)
    except Exception as error:
        # The message could hold what was sent: only the kind of error is told.
        _log.exception("a call failed: %s", type(error).__name__, exc_info=False)
        prepared.discard()
        return error_response(server_error())


def error_response(error: ApiError) -> Response:
    """A refusal as an HTTP answer."""
    return JSONResponse(error.body(), error.status, headers=error.headers)


async def with_other_lines(response: Response, effect: LinesEffect) -> Response:
    """A download as the effect has it; a refusal stays one."""
    if not isinstance(response, StreamingResponse):
        return response
    blocks = [block async for block in response.body_iterator]
    whole = b"".join(block.encode() if isinstance(block, str) else block for block in blocks)
    lines = whole.splitlines(keepends=True)
    kept = lines[: effect.lines] if effect.kind == "first_lines" else map(_of_another, lines)
    return Response(b"".join(kept), media_type=response.media_type)


def _of_another(line: bytes) -> bytes:
    """The same with another custom_id; a line that is no JSON stays as it is."""
    try:
        result = json.loads(line)
    except ValueError:
        return line
    result["custom_id"] = f"other-{result['custom_id']}"
    return json.dumps(result).encode() + b"\n"
