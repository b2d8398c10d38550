"""`batch-assets plan`: what a run would send now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from batch_assets.cli.conventions import AsJson, count, plural, print_json
from batch_assets.cli.forecasts import document as forecast_document
from batch_assets.cli.forecasts import money_sentences, outlook, sentence_of_work
from batch_assets.cli.opening import open_database, open_pipeline
from batch_assets.cli.screen import Column, Screen, console, number
from batch_assets.cli.status import in_all, left_alone
from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.display import euros, of_unknown_types
from batch_assets.domain.estimates import ENOUGH
from batch_assets.domain.forecasts import (
    RequestCosts,
    WorkForecast,
    foresee,
    foresee_sending,
)
from batch_assets.domain.lookups import CompanyStatistics
from batch_assets.domain.turnarounds import TurnaroundHistory

if TYPE_CHECKING:
    from batch_assets.stages.plan import EstimateBasis, PlannedBatch, PlanPreview

commands = typer.Typer()


@dataclass(frozen=True)
class Line:
    """What would be sent for one company and one model. Tokens and cost are estimates."""

    company: str
    model: str
    requests: int
    batches: int
    tokens: int
    cost_eur: float | None
    """As forecasts have it; `None` if it is not known."""
    estimated_cost_eur: float | None
    """What caps and budgets count until it is read; likewise."""
    p50_seconds: float | None = None
    """Half of it is done by then if it is sent now."""
    p90_seconds: float | None = None
    """Nine of ten are."""


_COLUMNS: Sequence[Column[Line]] = (
    Column("Company", lambda line: line.company),
    Column("Model", lambda line: line.model),
    number("Requests", lambda line: count(line.requests)),
    number("Batches", lambda line: count(line.batches)),
    number("Tokens", lambda line: count(line.tokens)),
    number("EUR", lambda line: "unknown" if line.cost_eur is None else euros(line.cost_eur)),
)


@commands.command()
def plan(
    _dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Changes nothing: planning never submits anything.")
    ] = False,
    account: Annotated[
        str, typer.Option(metavar="ACCOUNT", help="By this account, where there are several.")
    ] = DEFAULT_ACCOUNT,
    as_json: AsJson = False,
) -> None:
    """Show what the next run would send: requests, tokens and money."""
    from batch_assets.stages.plan import preview

    with open_database() as whole:
        database = whole.of_account(account)
        companies = {company.id: company.name for company in database.queries.active_companies()}
        with open_pipeline(database, "plan") as pipeline:
            planned = preview(pipeline, pipeline.read_snapshot(), list(companies))
        seen = outlook(database)
        ahead = _Ahead(
            TurnaroundHistory(seen.standing.batches, seen.rule.window_seconds),
            RequestCosts(seen.standing.settled),
        )
        lines = list(_lines(planned.batches, companies, ahead))
        rows_per_run = database.settings.policy().rows_per_run
        held_because = database.held_because
        statistics = database.queries.statistics()
        others = _not_sent(planned, in_all(statistics))
        inactive = [one for one in statistics if one.waiting and one.status != "ACTIVE"]
    sending = ahead.of(planned.batches)
    later = ahead.of(planned.later)
    forecasts = foresee(seen.standing, seen.rule)
    if as_json:
        others["of_inactive_companies"] = sum(one.waiting for one in inactive)
        forecast = {"sending": sending, **forecast_document(forecasts)}
        document = _document(lines, planned, others, held_because)
        document["left_for_later_runs"] = {
            "requests": later.requests,
            "batches": len(planned.later),
            "cost_eur": later.cost_eur,
        }
        print_json(document | {"forecast": forecast})
    else:
        not_sent = left_alone(**others) + [
            f"Not sent: {plural(one.waiting, 'request')} of {one.name}, which is not active."
            for one in inactive
        ]
        coming = [_left(planned.later, later.cost_eur, rows_per_run)] if planned.later else []
        coming += [f"If it is sent now: {sentence_of_work(sending)}"] if lines else []
        coming += money_sentences(forecasts)
        _show(database.place, lines, planned, [*not_sent, *coming], held_because)


def _not_sent(plan: PlanPreview, sums: CompanyStatistics) -> dict[str, int]:
    """Requests that are no backlog, by bucket: they share an answer, or LiveDash has tried them."""
    return {
        "follows": plan.follows + sums.follows,
        "answered_before": sums.answered_before,
        "failed_before": sums.failed_before,
    }


@dataclass(frozen=True)
class _Ahead:
    """When batches are done if they are sent now, and what they will cost, as forecasts have it."""

    history: TurnaroundHistory
    costs: RequestCosts

    def of(self, batches: Iterable[PlannedBatch]) -> WorkForecast:
        return foresee_sending(
            self.history, [(one.model, one.requests, self.cost_eur(one)) for one in batches]
        )

    def cost_eur(self, batch: PlannedBatch) -> float | None:
        return self.costs.expect(batch.company_id, batch.model, batch.requests, batch.cost_eur)


def _left(batches: Sequence[PlannedBatch], cost_eur: float, rows_per_run: int) -> str:
    """What the next run leaves for later ones."""
    requests = plural(sum(batch.requests for batch in batches), "request")
    return (
        f"Left for later runs: {requests} in {plural(len(batches), 'batch', 'batches')}, about "
        f"{euros(cost_eur)} EUR, since one run claims no more once it has {count(rows_per_run)} "
        "(BATCH_ROWS_PER_RUN)."
    )


def _lines(
    batches: Iterable[PlannedBatch], companies: dict[str, str], ahead: _Ahead
) -> Iterable[Line]:
    def key(batch: PlannedBatch) -> tuple[str, str]:
        return companies[batch.company_id], batch.model

    for (company, model), group in groupby(sorted(batches, key=key), key):
        ones = list(group)
        done = ahead.of(ones)
        yield Line(
            company=company,
            model=model,
            requests=sum(batch.requests for batch in ones),
            batches=len(ones),
            tokens=sum(batch.tokens for batch in ones),
            cost_eur=_sum(map(ahead.cost_eur, ones)),
            estimated_cost_eur=_sum(batch.cost_eur for batch in ones),
            p50_seconds=done.p50_seconds,
            p90_seconds=done.p90_seconds,
        )


def _sum(costs: Iterable[float | None]) -> float | None:
    """The sum of those that are known; `None` if none is."""
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known else None


def _totals(lines: list[Line]) -> dict[str, Any]:
    return {
        "requests": sum(line.requests for line in lines),
        "batches": sum(line.batches for line in lines),
        "tokens": sum(line.tokens for line in lines),
        "cost_eur": _sum(line.cost_eur for line in lines),
        "estimated_cost_eur": _sum(line.estimated_cost_eur for line in lines),
    }


def _document(
    lines: list[Line], plan: PlanPreview, others: dict[str, int], held_because: str | None
) -> dict[str, object]:
    return {
        "would_send": [asdict(line) for line in lines],
        "totals": _totals(lines),
        "refused": dict(plan.rejected),
        "held_back": dict(plan.held),
        **others,
        "unknown_types": dict(plan.unknown_types),
        "tokens_by_part": asdict(plan.parts),
        "estimates": [asdict(one) for one in plan.estimates],
        "submission_held_because": held_because,
    }


def _show(
    place: str,
    lines: list[Line],
    plan: PlanPreview,
    sentences: list[str],
    held_because: str | None,
) -> None:
    shown = console()
    shown.say(f"What a run of the job would send now from the {place}:\n")
    if lines:
        _show_lines(shown, lines, plan)
    else:
        shown.say(_why_nothing(plan, held_because))
    for code, requests in plan.rejected.items():
        shown.say(f"Would be refused for good: {plural(requests, 'request')} ({code}).")
    for reason, requests in plan.held.items():
        shown.say(f"Would be held back: {plural(requests, 'request')} ({reason}).")
    for sentence in sentences:
        shown.say(sentence)
    if plan.unknown_types:
        shown.say(of_unknown_types(plan.unknown_types))
    if held_because is not None and (lines or plan.held):
        shown.say(f"\nBut nothing is submitted now. {held_because}")


def _why_nothing(plan: PlanPreview, held_because: str | None) -> str:
    if plan.held:
        return "Nothing: all that is due is held."
    if held_because is not None:
        return f"Nothing. {held_because}"
    return "Nothing: no company has enough requests waiting, or an old enough one."


def _show_lines(shown: Screen, lines: list[Line], plan: PlanPreview) -> None:
    total = Line("Total", "", **_totals(lines))
    shown.show(_COLUMNS, lines, [column.cell(total) for column in _COLUMNS])
    _say_estimates(shown, plan)
    counted = euros(total.estimated_cost_eur or 0.0)
    if counted != euros(total.cost_eur or 0.0):
        shown.say(f"Caps and budgets count it with {counted} EUR until it is read.")
    unpriced = sorted({line.model for line in lines if line.cost_eur is None})
    if unpriced:
        shown.say(
            f"Without a price, and in no sum above: {', '.join(unpriced)}. While costs are "
            "capped they are not sent; BATCH_MODEL_PRICES can say what they cost."
        )


def _say_estimates(shown: Screen, plan: PlanPreview) -> None:
    shown.say("Prompt tokens and cost (batch prices) are estimates.")
    shown.say(_per_request(plan))
    for sentence in _bases(plan.estimates):
        shown.say(sentence)


def _bases(estimates: Iterable[EstimateBasis]) -> Iterable[str]:
    """What the costs are estimated by, a sentence for each model and processing type."""
    for one in estimates:
        what = f"{one.model}, {one.processing_type}"
        if not one.is_learnt:
            yield (
                f"{what}: the cost is assumed, since {plural(one.answers, 'answer')} of "
                f"{ENOUGH} that it takes to go by were read."
            )
        elif one.error_percent is None:
            yield f"{what}: the cost is estimated by {plural(one.answers, 'answer')}."
        else:
            yield (
                f"{what}: the cost is estimated by {plural(one.answers, 'answer')}; the estimates "
                f"of what was read last were off by {one.error_percent:.1f} %."
            )


def _per_request(plan: PlanPreview) -> str:
    """Where the tokens of one request go, on average."""
    requests = sum(batch.requests for batch in plan.batches)
    prompt, schema, conversation, answer = (
        count(round(part / requests)) for part in astuple(plan.parts)
    )
    return (
        f"Tokens per request: prompt {prompt}, schema {schema}, conversation {conversation}; "
        f"expected answer {answer}."
    )
