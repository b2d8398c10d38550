"""Batches of the past as they would be left by runs: for what is foreseen by them."""

from typing import Any

from sqlalchemy import Engine, text

_PAST = text("""
    INSERT INTO batch_assets.batch
        (id, installation_id, company_id, model, state, requests, openai_batch_id, server_status,
        server_status_since, claimed_at, submitted_at, ended_at, finalized_at, completed, price,
        cost_eur, unattributed_eur, unpriced, estimated_cost_eur, kind, forecast_p90_seconds)
    SELECT
        g.id, i.id, :company_id, :model, :state, :requests, g.id, :server_status, d.sent, d.sent,
        d.sent, CASE WHEN :state IN ('ended', 'finalized') THEN d.ended END,
        CASE WHEN :state = 'finalized' THEN d.ended END, :completed, '{}', :cost_eur,
        :unattributed_eur, :unpriced, :estimated_cost_eur, :kind, :forecast_p90_seconds
    FROM batch_assets.installation AS i
    CROSS JOIN generate_series(1, CAST(:count AS integer)) AS n
    CROSS JOIN LATERAL (SELECT gen_random_uuid()::text || n AS id) AS g
    CROSS JOIN LATERAL (
        SELECT
            clock_timestamp() - make_interval(secs => CAST(:age AS float8)) AS sent,
            clock_timestamp() - make_interval(
                secs => CAST(:age AS float8) - CAST(:seconds AS float8)
            ) AS ended
    ) AS d
""")
_USUAL = {
    "company_id": "a",
    "model": "gpt-4o-mini",
    "state": "finalized",
    "requests": 3,
    "server_status": "completed",
    "seconds": 600.0,
    "completed": 0,
    "cost_eur": 0.0,
    "unattributed_eur": 0.0,
    "unpriced": 0,
    "estimated_cost_eur": 0.0,
    "kind": "batch",
    "forecast_p90_seconds": None,
}


def make_past(engine: Engine, count: int, *, age: float, **given: Any) -> None:
    """Batches that were claimed and submitted so many seconds ago, and ended after `seconds`."""
    assert given.keys() <= _USUAL.keys(), given
    with engine.begin() as connection:
        connection.execute(_PAST, {**_USUAL, **given, "count": count, "age": age})
