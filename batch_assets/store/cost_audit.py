"""Whether money adds up to the same from whichever side it is asked: each side against the next.

From the attempts up: batches, runs and their metrics, days, and LiveDash's rows.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from batch_assets.domain.cost_audit import Comparison, CostDifference
from batch_assets.store import daily_costs
from batch_assets.store.sql import load

SQL: Final = load(Path(__file__).with_suffix(".sql"), parts_of=[daily_costs.SQL_FILE])


def cost_differences(connection: Connection) -> list[CostDifference]:
    """What differs, in a transaction that sees one moment; a statement for each of four looks."""
    return [
        CostDifference(**{**row._mapping, "comparison": Comparison(row.comparison)})
        for statement in SQL.values()
        for row in connection.execute(statement)
    ]
