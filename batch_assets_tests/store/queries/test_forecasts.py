"""What a claim foresees of its batches is kept with them, by either implementation."""

from batch_assets_tests.store.history import make_past
from batch_assets_tests.store.queries.support import Desk

HOUR = 3_600


def kept(desk: Desk, batch_id: str) -> tuple[float | None, float | None]:
    row = desk.batch(batch_id)
    return row.forecast_p50_seconds, row.forecast_p90_seconds


def test_the_first_batches_have_none(desk: Desk) -> None:
    batch, _ = desk.claimed(3)
    assert kept(desk, batch.id) == (None, None)


def test_what_is_kept_is_told_by_batches_of_its_model_and_size(desk: Desk) -> None:
    make_past(desk.engine, 15, age=5 * HOUR, seconds=600)
    make_past(desk.engine, 5, age=5 * HOUR, seconds=1_200)
    make_past(desk.engine, 20, age=4 * HOUR, seconds=9_000, requests=100)
    make_past(desk.engine, 20, age=4 * HOUR, seconds=9_000, model="gpt-4.1")
    batch, _ = desk.claimed(3)
    p50_seconds, p90_seconds = kept(desk, batch.id)
    assert (round(p50_seconds or 0), round(p90_seconds or 0)) == (600, 1_200)


def test_what_is_in_flight_for_long_makes_it_longer(desk: Desk) -> None:
    make_past(desk.engine, 20, age=5 * HOUR, seconds=600)
    make_past(desk.engine, 20, age=5 * HOUR, seconds=1_200)
    make_past(desk.engine, 20, age=2_000, state="submitted", server_status="in_progress")
    batch, _ = desk.claimed(3)
    # Of sixty two thirds are known to end within 1,200 seconds: of nine in ten nobody has seen the
    # end, and neither has anybody of another model.
    assert kept(desk, batch.id) == (None, None)
