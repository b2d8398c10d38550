"""Rows as LiveDash would write them, and metrics as a run would record them.

Each factory gives the new row's id; the caller commits.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, insert, literal, select, text, update

from batch_assets.domain.metrics import metric_types
from batch_assets.store.tables.livedash import (
    ai_batch_request,
    ai_processing_request,
    company,
    message,
    session,
)
from batch_assets.store.tables.runs import run_metric

Messages = int | Sequence[tuple[str, str]]
"""How many messages of small talk, or each message's role and content."""

_CHAT = (
    ("user", "Hallo, ich habe eine Frage zu meinem Dienstplan."),
    ("assistant", "Gern. Welche Woche betrifft es?"),
    ("user", "Die nächste. Kann ich am Freitag frei bekommen?"),
    ("assistant", "Ich habe den Antrag an die Planung weitergegeben."),
)
_CONVERSATION_LASTS = timedelta(minutes=5)

_INSERT_SESSIONS = text("""
    INSERT INTO public."Session" ("id", "companyId", "startTime", "endTime", "updatedAt")
    SELECT :prefix || '-s' || n, :company_id, clock_timestamp() - CAST(:age AS interval),
        clock_timestamp() - CAST(:age AS interval), clock_timestamp()
    FROM generate_series(1, CAST(:count AS integer)) AS n
""")
_INSERT_MESSAGES = text("""
    INSERT INTO public."Message" ("id", "sessionId", "timestamp", "role", "content", "order")
    SELECT :prefix || '-m' || n || '-' || m.position, :prefix || '-s' || n,
        clock_timestamp() - CAST(:age AS interval), m.role, m.content, m.position - 1
    FROM generate_series(1, CAST(:count AS integer)) AS n
    CROSS JOIN unnest(CAST(:roles AS text[]), CAST(:contents AS text[]))
        WITH ORDINALITY AS m (role, content, position)
""")
_INSERT_REQUESTS = text("""
    INSERT INTO public."AIProcessingRequest" (
        "id", "sessionId", "model", "promptTokens", "completionTokens", "totalTokens",
        "promptTokenCost", "completionTokenCost", "totalCostEur", "processingType", "success",
        "requestedAt"
    )
    SELECT :prefix || '-r' || n, :prefix || '-s' || n, :model, 0, 0, 0, 0, 0, 0,
        :processing_type, false,
        clock_timestamp() - CAST(:age AS interval) + n * interval '1 microsecond'
    FROM generate_series(1, CAST(:count AS integer)) AS n
""")


def make_company(
    conn: Connection,
    *,
    status: str = "ACTIVE",
    name: str = "Zorggroep Oost",
    company_id: str | None = None,
) -> str:
    company_id = company_id or _new_id()
    conn.execute(
        insert(company).values(
            id=company_id,
            name=name,
            status=status,
            csvUrl="https://example.com/sessions.csv",
            updatedAt=func.clock_timestamp(),
        )
    )
    return company_id


def make_session(
    conn: Connection,
    company_id: str,
    *,
    messages: Messages = 4,
    start: datetime | None = None,
    session_id: str | None = None,
) -> str:
    """A session with its messages in their order; it started at `start`, or just now."""
    session_id = session_id or _new_id()
    begin = start if start is not None else func.clock_timestamp()
    conn.execute(
        insert(session).values(
            id=session_id,
            companyId=company_id,
            startTime=begin,
            endTime=begin + _CONVERSATION_LASTS,
            updatedAt=func.clock_timestamp(),
        )
    )
    lines = [
        {
            "id": _new_id(),
            "sessionId": session_id,
            "timestamp": start,
            "role": role,
            "content": content,
            "order": order,
        }
        for order, (role, content) in enumerate(_lines(messages))
    ]
    if lines:
        conn.execute(insert(message), lines)
    return session_id


def make_request(
    conn: Connection,
    session_id: str,
    *,
    model: str = "gpt-4o-mini",
    processing_type: str = "full_analysis",
    status: str = "PENDING_BATCHING",
    requested_at: datetime | None = None,
    age: timedelta = timedelta(0),
    batch_id: str | None = None,
    success: bool = False,
    error_message: str | None = None,
) -> str:
    """A request as LiveDash leaves it: costs and tokens at 0. It is `age` old."""
    request_id = _new_id()
    conn.execute(
        insert(ai_processing_request).values(
            id=request_id,
            sessionId=session_id,
            model=model,
            promptTokens=0,
            completionTokens=0,
            totalTokens=0,
            promptTokenCost=0,
            completionTokenCost=0,
            totalCostEur=0,
            processingType=processing_type,
            success=success,
            errorMessage=error_message,
            requestedAt=requested_at or func.clock_timestamp() - age,
            processingStatus=status,
            batchId=batch_id,
        )
    )
    return request_id


def make_requests(
    conn: Connection,
    company_id: str,
    count: int,
    *,
    messages: Messages = 4,
    model: str = "gpt-4o-mini",
    processing_type: str = "full_analysis",
    age: timedelta = timedelta(0),
    prefix: str | None = None,
) -> list[str]:
    """`count` pending requests, each of a session of its own, oldest first; three statements.

    Their ids begin with `prefix`, or with one of their own.
    """
    prefix = prefix or _new_id()
    lines = _lines(messages)
    values = {"prefix": prefix, "company_id": company_id, "count": count, "age": age}
    conn.execute(_INSERT_SESSIONS, values)
    conn.execute(
        _INSERT_MESSAGES,
        {
            "prefix": prefix,
            "count": count,
            "age": age,
            "roles": [role for role, _ in lines],
            "contents": [content for _, content in lines],
        },
    )
    conn.execute(
        _INSERT_REQUESTS,
        {
            "prefix": prefix,
            "count": count,
            "age": age,
            "model": model,
            "processing_type": processing_type,
        },
    )
    return [f"{prefix}-r{n}" for n in range(1, count + 1)]


def make_external_batch(
    conn: Connection,
    company_id: str,
    *,
    status: str = "IN_PROGRESS",
    request_ids: Sequence[str] = (),
    openai_batch_id: str | None = None,
    age: timedelta = timedelta(0),
) -> str:
    """A batch that LiveDash itself made, with its requests: our schema does not know it."""
    batch_id = _new_id()
    conn.execute(
        insert(ai_batch_request).values(
            id=batch_id,
            companyId=company_id,
            openaiBatchId=openai_batch_id or f"batch_{uuid.uuid4().hex}",
            inputFileId=f"file-{uuid.uuid4().hex}",
            status=status,
            createdAt=func.clock_timestamp() - age,
        )
    )
    conn.execute(
        update(ai_processing_request)
        .where(ai_processing_request.c.id.in_(request_ids))
        .values(batchId=batch_id, processingStatus="BATCHING_IN_PROGRESS")
    )
    return batch_id


def make_run_metric(
    conn: Connection, metrics: Mapping[str, float | None], *, age: timedelta = timedelta(0)
) -> str:
    """The metrics of a run that ended so long ago: all that are not given are 0, or unknown."""
    run_id = _new_id()
    conn.execute(
        insert(run_metric).values(
            run_id=run_id,
            recorded_at=func.clock_timestamp() - age,
            mode="optimized",
            **{**_idle(), **metrics},
        )
    )
    return run_id


def make_run_metrics(conn: Connection, count: int, *, minutes_apart: float) -> None:
    """The metrics of idle runs, one after the other, the last one just now; one statement."""
    zeros = _idle()
    number = func.generate_series(0, count - 1).column_valued("number")
    conn.execute(
        insert(run_metric).from_select(
            ["run_id", "recorded_at", "mode", *zeros],
            select(
                func.concat("run-", number),
                func.clock_timestamp() - number * timedelta(minutes=minutes_apart),
                literal("optimized"),
                *map(literal, zeros.values()),
            ),
        )
    )


def _idle() -> dict[str, int]:
    """The metrics of a run that did nothing, without those that it need not know."""
    return {name: 0 for name, kind in metric_types().items() if not kind.may_be_unknown}


def _lines(messages: Messages) -> Sequence[tuple[str, str]]:
    if isinstance(messages, int):
        return [_CHAT[number % len(_CHAT)] for number in range(messages)]
    return messages


def _new_id() -> str:
    return str(uuid.uuid4())
