"""The budgets that people have set: read with what is spent of them, set and taken back.

Claims and alerts read them within statements of their own; both see what is kept here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from batch_assets.domain.budgets import Budget, BudgetUse, Period, read_budgets
from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load

BUDGET_PARTS: Final = Path(__file__).with_suffix(".sql")
"""Its part `budgets` is for whoever has to know what is left of them, within a statement."""
SQL = load(BUDGET_PARTS)


class StoredBudgets(EngineQueries):
    """The table `budget`; a claim that is under way goes on with what it has read."""

    @retry_lost
    def uses(self) -> list[BudgetUse]:
        """Every budget with what of it is spent, that for all companies first; one statement."""
        with self.autocommit.connect() as connection:
            return read_budgets(connection.execute(SQL["uses"], {"budgets_of": None}).scalar_one())

    @retry_lost
    def set(self, budgets: Sequence[Budget], set_by: str, *, only: bool = False) -> int:
        """Set some budgets, all of them or none; with `only` every other one is taken back.

        How many were taken back.
        """
        which = {
            "company_ids": [budget.company_id for budget in budgets],
            "periods": [str(budget.period) for budget in budgets],
        }
        amounts = {"amounts_eur": [budget.amount_eur for budget in budgets], "set_by": set_by}
        with self.engine.begin() as connection:
            taken_back = connection.execute(SQL["keep_only"], which).rowcount if only else 0
            connection.execute(SQL["set"], which | amounts)
        return taken_back

    @retry_lost
    def clear(self, company_id: str, period: Period) -> bool:
        """Take a budget back; whether there was one."""
        which = {"company_id": company_id, "period": str(period)}
        with self.autocommit.connect() as connection:
            return bool(connection.execute(SQL["clear"], which).rowcount)
