"""A past to decide on, where `ENABLE_BATCH_OPTIMIZATION` is true."""

from typing import Any

from batch_assets.store.strategy import QueryMode, Toggle
from batch_assets_tests.store.queries.support import Desk

AUTO = Toggle(QueryMode.AUTO)


def remember(desk: Desk, operation: str, implementation: str, **more: Any) -> None:
    """A row of the history, ten minutes old, of a run that was in good order."""
    row = {
        "purpose": "work",
        "calls": 10,
        "failures": 0,
        "seconds": 1.0,
        "rows": 100,
        "minutes": 10,
        **more,
    }
    desk.do(
        "INSERT INTO batch_assets.operation_run (run_id, operation, implementation, purpose, calls,"
        " failures, fallbacks, seconds, statements, rows, recorded_at) VALUES ('', :operation,"
        " :implementation, :purpose, :calls, :failures, 0, :seconds, 1, :rows,"
        " now() - make_interval(mins => :minutes))",
        operation=operation,
        implementation=implementation,
        **row,
    )


def grow_older(desk: Desk, minutes: int) -> None:
    """Let time pass for everything that is kept."""
    for table, column in (("operation_run", "recorded_at"), ("operation_choice", "since")):
        desk.do(
            f"UPDATE batch_assets.{table} SET {column} = {column} - make_interval(mins => :m)",
            m=minutes,
        )
