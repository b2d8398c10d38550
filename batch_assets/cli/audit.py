"""`batch-assets audit`: every request of every company, bucket by bucket."""

from collections.abc import Sequence

import typer

from batch_assets.cli.conventions import AsJson, count, plural, print_json
from batch_assets.cli.opening import open_database
from batch_assets.cli.screen import Column, Screen, console, number
from batch_assets.domain.conservation import BUCKETS, Audit, CompanyRows
from batch_assets.domain.cost_audit import ADVICE

commands = typer.Typer()

_COLUMNS: Sequence[Column[CompanyRows]] = (
    Column("Company", lambda one: one.name),
    number("Wait-\ning", lambda one: count(one.waiting)),
    number("In\nbatch", lambda one: count(one.in_batch)),
    number("Fol-\nlows", lambda one: count(one.follows), only_if_any=True),
    number("Com-\nplete", lambda one: count(one.complete)),
    number("Retry", lambda one: count(one.retry)),
    number("Dead", lambda one: count(one.dead)),
    number("Failed\nelsew.", lambda one: count(one.failed_elsewhere), "Failed elsewhere"),
    number(
        "Answ.\nbefore", lambda one: count(one.answered_before), "Answered before", only_if_any=True
    ),
    number("Failed\nbefore", lambda one: count(one.failed_before), only_if_any=True),
    number("Rows", lambda one: count(one.rows)),
)


@commands.command()
def audit(as_json: AsJson = False) -> None:
    """Prove that each request is in exactly one place, and that costs add up; exit 1 if not."""
    from batch_assets.store.conservation import Conservation

    # What LiveDash has done beside us is shown and is no reason to exit with 1.
    with open_database() as database:
        counted = Conservation(database.engine).all_rows()
    if as_json:
        print_json(_document(counted))
    else:
        _show(counted)
    if not counted.adds_up or counted.look.has_errors or counted.costs:
        raise typer.Exit(1)


def _document(audit: Audit) -> dict[str, object]:
    return {
        "companies": [_with_sum(company) for company in audit.companies],
        "totals": audit.numbers,
        "adds_up": audit.adds_up,
        "violations": [
            {
                "kind": str(found.kind),
                "count": found.count,
                "is_error": found.meaning.is_error,
                "meaning": found.meaning.sentence,
                "what_to_do": found.meaning.advice,
                "ids": list(found.ids),
            }
            for found in audit.look.violations
        ],
        "cost_differences": audit.costs,
    }


def _with_sum(company: CompanyRows) -> dict[str, object]:
    buckets = {name: getattr(company, name) for name in BUCKETS}
    return {
        "company_id": company.company_id,
        "name": company.name,
        **buckets,
        "rows": company.rows,
        "adds_up": company.in_buckets == company.rows,
    }


def _show(audit: Audit) -> None:
    shown = console()
    shown.show(_COLUMNS, audit.companies, [column.cell(audit.totals) for column in _COLUMNS])
    for company in audit.not_adding_up:
        shown.say(
            f"{company.name} has {plural(company.rows, 'row')}, and the buckets hold "
            f"{company.in_buckets:,}."
        )
    if audit.totals.rows != audit.rows:
        shown.say(f"There are {audit.rows:,} rows in all, which is another number.")
    _show_violations(shown, audit)
    for one in audit.costs:
        shown.say(f"\n{one.comparison}: {one.sentence}")
        for identifier in one.ids:
            shown.say(identifier, indent=4)
        if one.things > len(one.ids) > 0:
            shown.say(f"and {count(one.things - len(one.ids))} more", indent=4)
    if audit.costs:
        shown.say(f"\n{ADVICE}")
    if audit.is_clean:
        shown.say(
            "Each request is in exactly one bucket, and the buckets add up to the rows. Costs come "
            "to the same by attempt, batch, run, day and LiveDash's row."
        )


def _show_violations(shown: Screen, audit: Audit) -> None:
    for found in audit.look.violations:
        word = "" if found.meaning.is_error else " (a warning)"
        shown.say(f"\n{found.kind}: {count(found.count)}{word}")
        shown.say(found.meaning.sentence, indent=2)
        shown.say(found.meaning.advice, indent=2)
        for identifier in found.ids:
            shown.say(identifier, indent=4)
        if found.count > len(found.ids):
            shown.say(f"and {count(found.count - len(found.ids))} more", indent=4)
