"""`batch-assets audit`."""

import typer
from rich.console import Console

from batch_assets.analysis.display import escaped
from batch_assets.cli.opening import open_database
from batch_assets.cli.output import console, count, plural, print_json, table, total
from batch_assets.domain.conservation import BUCKETS, Audit, CompanyRows
from batch_assets.stages.conservation import audit_rows
from batch_assets.store.conservation import Conservation

_HEADINGS = ["Wait-\ning", "In\nbatch", "Com-\nplete", "Retry", "Dead", "Failed\nelsew.", "Rows"]


def run_audit(*, as_json: bool) -> None:
    """Print every company's requests by bucket, and what does not fit; exits with 1 if it is amiss.

    What LiveDash has done beside us is shown and is no reason to exit with 1.
    """
    with open_database() as database:
        audit = audit_rows(Conservation(database.engine))
    if as_json:
        print_json(_document(audit))
    else:
        _show(audit)
    if not audit.adds_up or audit.look.has_errors:
        raise typer.Exit(1)


def _document(audit: Audit) -> dict[str, object]:
    return {
        "companies": [_with_sum(company) for company in audit.companies],
        "totals": audit.numbers,
        "adds_up": audit.adds_up,
        "misfits": [
            {
                "kind": str(found.kind),
                "count": found.count,
                "is_error": found.meaning.is_error,
                "meaning": found.meaning.sentence,
                "what_to_do": found.meaning.advice,
                "ids": list(found.ids),
            }
            for found in audit.look.misfits
        ],
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
    made = table(["Company"], _HEADINGS)
    for company in audit.companies:
        made.add_row(escaped(company.name), *_cells(company))
    made.add_section()
    made.add_row(*total("Total", *_cells(audit.totals)))
    shown.print(made)
    for company in audit.not_adding_up:
        shown.print(
            f"{escaped(company.name)}: the buckets hold {company.in_buckets:,} and there are "
            f"{plural(company.rows, 'row')}.",
            soft_wrap=True,
        )
    if audit.totals.rows != audit.rows:
        shown.print(f"There are {audit.rows:,} rows in all, which is another number.")
    _show_misfits(shown, audit)
    if audit.is_clean:
        shown.print("Each request is in exactly one bucket, and the buckets add up to the rows.")


def _show_misfits(shown: Console, audit: Audit) -> None:
    for found in audit.look.misfits:
        word = "" if found.meaning.is_error else " (a warning)"
        shown.print(f"\n{found.kind}: {count(found.count)}{word}")
        shown.print(f"  {found.meaning.sentence}", soft_wrap=True)
        shown.print(f"  {found.meaning.advice}", soft_wrap=True)
        for identifier in found.ids:
            shown.print(f"    {escaped(identifier)}", soft_wrap=True)
        if found.count > len(found.ids):
            shown.print(f"    and {count(found.count - len(found.ids))} more")


def _cells(company: CompanyRows) -> list[str]:
    return [count(getattr(company, name)) for name in (*BUCKETS, "rows")]
