"""Budgets as people set them: one by one, or all that a file has.

A file is CSV with the columns company, period and eur. It is read as a whole before anything is
written: what is wrong is named with its line.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Final

from batch_assets.domain.budgets import ALL_COMPANIES, Budget, BudgetUse, Period
from batch_assets.domain.display import escaped, euros, plural
from batch_assets.domain.errors import ConfigurationError
from batch_assets.stages.controls.criteria import company_of
from batch_assets.store.budgets import StoredBudgets
from batch_assets.store.lookups import Lookups

ALL: Final = "all"
"""What stands for all companies together where one could be named."""
COLUMNS: Final = ("company", "period", "eur")
MOST_EUR: Final = 1e12
LEAST_EUR: Final = 0.0001
"""What can be seen where amounts are shown; 0 is a budget, too."""
MOST_BYTES: Final = 10_000_000
_AMOUNT: Final = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """What was set or taken back, and how it is now."""

    changed: Sequence[BudgetUse] = ()
    """Those that were set, with what is spent of them."""
    set_now: int = 0
    taken_back: int = 0
    dry_run: bool = False
    sentence: str = ""


def set_budget(
    lookups: Lookups, company: str | None, period: str, eur: float, who: str
) -> BudgetReport:
    """Set what a company, or with `None` all together, may spend in each such period.

    Raises:
        ConfigurationError: It cannot be meant: there is no such company, period or amount.
    """
    stored = StoredBudgets(lookups.engine)
    company_id = _company_id(lookups, company)
    budget = Budget(company_id, _period(period), _amount(eur))
    stored.set([budget], who)
    changed = [use for use in stored.uses() if (use.company_id, use.period) == _key(budget)]
    said = " ".join(_set(use) for use in changed)
    return BudgetReport(changed, set_now=1, sentence=said)


def clear_budget(lookups: Lookups, company: str | None, period: str) -> BudgetReport:
    """Take a budget back, also one of a company that LiveDash has deleted, by its id.

    Raises:
        ConfigurationError: There is no such budget.
    """
    stored = StoredBudgets(lookups.engine)
    wanted = _period(period)
    uses = [use for use in stored.uses() if use.period is wanted]
    deleted = [use for use in uses if use.company_id == company and use.company is None]
    company_id = company if company and deleted else _company_id(lookups, company)
    found = [use for use in uses if use.company_id == company_id]
    if not (found and stored.clear(company_id, wanted)):
        whose = "all companies" if company is None else f"company '{company}'"
        raise ConfigurationError(
            f"There is no budget of {whose} for a {wanted}: `batch-assets budgets` lists them."
        )
    return BudgetReport(taken_back=1, sentence=_cleared(found[0]))


def import_budgets(
    lookups: Lookups, file: Path, who: str, *, only: bool, dry_run: bool
) -> BudgetReport:
    """Set all budgets of a file, in one transaction; with `only` all others are taken back.

    Raises:
        ConfigurationError: The file cannot be read, or a line of it cannot be meant.
    """
    budgets = read_file(file, lookups)
    stored = StoredBudgets(lookups.engine)
    keys = {_key(budget) for budget in budgets}
    others = [use for use in stored.uses() if (use.company_id, use.period) not in keys]
    taken_back = len(others) if only else 0
    if not dry_run:
        taken_back = stored.set(budgets, who, only=only)
    were = "would be" if dry_run else "was" if len(budgets) == 1 else "were"
    said = f"{plural(len(budgets), 'budget')} {were} set, {taken_back:,} taken back."
    changed = [use for use in stored.uses() if (use.company_id, use.period) in keys]
    return BudgetReport(changed, len(budgets), taken_back, dry_run, said)


def read_file(file: Path, lookups: Lookups) -> list[Budget]:
    """Read the budgets of a file, in its order; all its lines have to be right.

    Raises:
        ConfigurationError: It cannot be read, or the first line that cannot be meant, and why.
    """
    company_id_of = cache(lambda name: company_of(lookups, name).id)
    seen: dict[tuple[str, Period], int] = {}
    budgets = []
    for number, cells in _rows(file):
        try:
            budget = _budget(cells, company_id_of)
        except ConfigurationError as error:
            said = str(error)
            raise ConfigurationError(
                f"{file}, line {number}: {said[:1].lower()}{said[1:]}"
            ) from None
        first = seen.setdefault(_key(budget), number)
        if first != number:
            raise ConfigurationError(
                f"{file}, line {number}: this is the company and the period of line {first}."
            )
        budgets.append(budget)
    if not budgets:
        raise ConfigurationError(f"{file} has no budget below its first line.")
    return budgets


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            found = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read ({error.strerror}).") from None
    if len(found) > MOST_BYTES:
        raise ConfigurationError(f"{file} is longer than {MOST_BYTES:,} bytes.")
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = found.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{file}, line {line}: this is no UTF-8.") from None


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines that say something after the first, which names the columns; with numbers."""
    lines = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    is_headed = False
    try:
        for row in lines:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if is_headed:
                yield lines.line_num, cells
            elif tuple(cell.lower() for cell in cells) == COLUMNS:
                is_headed = True
            else:
                raise ConfigurationError(
                    f"{file}, line {lines.line_num}: the first line has to be {','.join(COLUMNS)}."
                )
    except csv.Error as error:
        raise ConfigurationError(f"{file}, line {lines.line_num}: {error}.") from None


def _budget(cells: Sequence[str], company_id_of: Callable[[str], str]) -> Budget:
    if len(cells) != len(COLUMNS):
        raise ConfigurationError(
            f"There are {len(cells)} cells: {','.join(COLUMNS)} are needed, and a comma within a "
            "name needs the name in double quotes."
        )
    company, period, eur = cells
    if "\0" in company:
        raise ConfigurationError("There is a NUL in the company's name.")
    if not company:
        raise ConfigurationError(f"No company is named; {ALL} is for all of them together.")
    company_id = ALL_COMPANIES if company.lower() == ALL else company_id_of(company)
    amount = float(eur) if _AMOUNT.fullmatch(eur) else math.nan
    return Budget(company_id, _period(period), _amount(amount, eur))


def _company_id(lookups: Lookups, company: str | None) -> str:
    return ALL_COMPANIES if company is None else company_of(lookups, company).id


def _period(given: str) -> Period:
    try:
        return Period(given.lower())
    except ValueError:
        raise ConfigurationError(
            f"The period is '{escaped(given)}': it must be {' or '.join(Period)}."
        ) from None


def _amount(eur: float, given: str | None = None) -> float:
    if not (LEAST_EUR <= eur <= MOST_EUR or eur == 0):
        shown = f"{eur:g}" if given is None else escaped(given)
        raise ConfigurationError(
            f"The amount is '{shown}': it must be EUR from 0 to {MOST_EUR:,.0f}, such as 250 or "
            f"250.50, and nothing between 0 and {LEAST_EUR}."
        )
    return eur


def _key(budget: Budget) -> tuple[str, Period]:
    return budget.company_id, budget.period


def _set(use: BudgetUse) -> str:
    whose = "All companies" if use.is_of_all else use.whose
    return (
        f"{whose} may spend {euros(use.amount_eur)} EUR in a "
        f"{use.period} (UTC) from now on: {_spent(use)}."
    )


def _spent(use: BudgetUse) -> str:
    spent = f"{euros(use.spent_eur)} EUR of {use.of_when} are spent"
    if use.is_of_nothing:
        return f"{spent}, and nothing is sent before `batch-assets budget set` gives more"
    if use.is_spent:
        return f"{spent}, so that nothing more is sent before {_day(use.begins_anew)}"
    return f"{spent}, {euros(use.left_eur)} EUR are left until {_day(use.begins_anew)}"


def _cleared(use: BudgetUse) -> str:
    return (
        f"The budget of {use.whose} for a {use.period} is taken back: it was "
        f"{euros(use.amount_eur)} EUR, and {euros(use.spent_eur)} EUR of {use.of_when} are "
        "spent."
    )


def _day(day: date) -> str:
    return f"{day.isoformat()} (UTC)"
