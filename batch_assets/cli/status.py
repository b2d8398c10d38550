"""`batch-assets status`, and the table of companies that the demo ends with."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields

from rich.table import Table

from batch_assets.analysis.display import escaped
from batch_assets.cli.activity import activity
from batch_assets.cli.opening import open_database
from batch_assets.cli.output import console, count, euros, plural, print_json, table, total
from batch_assets.cli.stoppages import stoppages
from batch_assets.domain.batches import CompanyStatistics
from batch_assets.store.live_requests import LiveRequests, Standing

_TEXTS = frozenset({"company_id", "name", "status"})


def show_status(*, as_json: bool) -> None:
    """Print where the requests of every company are."""
    with open_database() as database:
        companies = database.queries.statistics()
        held_because = database.registry.installation().hold_reason
        stopped, under_way = stoppages(database), activity(database)
        live = LiveRequests(database.engine).standing()
        is_on = database.settings.policy().live.is_on
    if as_json:
        document = _document(companies, held_because)
        shown_live = {"live": {"is_on": is_on, **asdict(live)}}
        print_json(document | shown_live | under_way.document() | stopped.document())
        return
    shown = console()
    shown.print(f"The {database.place}\n", soft_wrap=True)
    shown.print(buckets_table(companies))
    shown.print(f"\n{savings(companies)}")
    elsewhere = in_all(companies).failed_elsewhere
    if elsewhere:
        shown.print(
            f"Of the failed, {plural(elsewhere, 'request')} failed before this project came or "
            "beside it: those are left alone."
        )
    if held_because is not None:
        shown.print(f"Nothing is submitted now. {held_because}", soft_wrap=True)
    if is_on or live.asked or live.today_requests:
        shown.print(_live(live, is_on=is_on))
    for sentence in [*under_way.sentences(), *stopped.sentences()]:
        shown.print(sentence)


def in_all(companies: Sequence[CompanyStatistics]) -> CompanyStatistics:
    """The sums over all companies, as one that is called Total."""
    numbers = [field.name for field in fields(CompanyStatistics) if field.name not in _TEXTS]
    sums = {name: sum(getattr(company, name) for company in companies) for name in numbers}
    return CompanyStatistics(company_id="", name="Total", status="", **sums)


def buckets_table(companies: Sequence[CompanyStatistics]) -> Table:
    """Every bucket, tokens and money of each company, and their sums."""
    headings = ["Ses-\nsions", "Wait-\ning", "In\nbatch", "Ana-\nlyses", "Retry", "Failed"]
    return _table(companies, headings, _buckets)


def results_table(companies: Sequence[CompanyStatistics]) -> Table:
    """What came of each company's sessions, what it cost and saved, and their sums."""
    return _table(companies, ["Sessions", "Analyses", "Failed"], _results)


def savings(companies: Sequence[CompanyStatistics]) -> str:
    """One sentence on the money."""
    sums = in_all(companies)
    if not sums.live_cost_eur:
        return "Nothing has been spent yet."
    return (
        f"Spent {euros(sums.cost_eur)} EUR; live prices would have made it "
        f"{euros(sums.live_cost_eur)} EUR ({1 - sums.cost_eur / sums.live_cost_eur:.0%} saved)."
    )


def _live(live: Standing, *, is_on: bool) -> str:
    """One sentence on what is sent live."""
    return (
        f"Live calls are {'on' if is_on else 'off'}: {plural(live.asked, 'request')} asked for, "
        f"{count(live.today_requests)} claimed today for about {euros(live.today_cost_eur)} EUR."
    )


def _document(
    companies: Sequence[CompanyStatistics], held_because: str | None
) -> dict[str, object]:
    sums = asdict(in_all(companies))
    return {
        "companies": [_with_savings(asdict(company)) for company in companies],
        "totals": _with_savings({name: sums[name] for name in sums if name not in _TEXTS}),
        "submission_held_because": held_because,
    }


def _with_savings(numbers: dict[str, float]) -> dict[str, float]:
    return {**numbers, "saved_eur": numbers["live_cost_eur"] - numbers["cost_eur"]}


def _table(
    companies: Sequence[CompanyStatistics],
    headings: list[str],
    counts_of: Callable[[CompanyStatistics], list[int]],
) -> Table:
    made = table(["Company"], [*headings, "Tokens", "EUR", "Saved\nEUR"])
    for company in companies:
        name = escaped(company.name)
        suspended = "" if company.status == "ACTIVE" else f" ({company.status.lower()})"
        made.add_row(name + suspended, *_cells(company, counts_of))
    made.add_section()
    made.add_row(*total("Total", *_cells(in_all(companies), counts_of)))
    return made


def _buckets(company: CompanyStatistics) -> list[int]:
    return [
        company.sessions,
        company.waiting,
        company.in_batch,
        company.complete,
        company.retry,
        company.dead + company.failed_elsewhere,
    ]


def _results(company: CompanyStatistics) -> list[int]:
    return [company.sessions, company.complete, company.dead + company.failed_elsewhere]


def _cells(
    company: CompanyStatistics, counts_of: Callable[[CompanyStatistics], list[int]]
) -> list[str]:
    return [
        *map(count, counts_of(company)),
        count(company.prompt_tokens + company.completion_tokens),
        euros(company.cost_eur),
        euros(company.live_cost_eur - company.cost_eur),
    ]
