"""`batch-assets plan`."""

from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from itertools import groupby

from batch_assets.cli.opening import open_database, open_pipeline
from batch_assets.cli.output import console, count, errors, euros, plural, print_json, table, total
from batch_assets.domain.wording import of_unknown_types
from batch_assets.stages.plan import PlannedBatch, PlanPreview, preview


@dataclass(frozen=True)
class Line:
    """What would be sent for one company and one model. Tokens and cost are estimates."""

    company: str
    model: str
    requests: int
    batches: int
    tokens: int
    cost_eur: float


def show_plan(*, dry_run: bool, as_json: bool) -> None:
    """Print what a run of the job would send now; changes nothing."""
    if not dry_run:
        errors().print(
            "Planning is all that this command does, with or without --dry-run: "
            "the job submits (`batch-assets run`, or the schedule)."
        )
    with open_database() as database:
        companies = {company.id: company.name for company in database.queries.active_companies()}
        with open_pipeline(database, "plan") as pipeline:
            plan = preview(pipeline, list(companies))
        lines = list(_lines(plan.batches, companies))
        held_because = database.registry.installation().hold_reason
    if as_json:
        print_json(_document(lines, plan, held_because))
    else:
        _show(database.place, lines, plan, held_because)


def _lines(batches: Iterable[PlannedBatch], companies: dict[str, str]) -> Iterable[Line]:
    def key(batch: PlannedBatch) -> tuple[str, str]:
        return companies[batch.company_id], batch.model

    for (company, model), group in groupby(sorted(batches, key=key), key):
        ones = list(group)
        yield Line(
            company=company,
            model=model,
            requests=sum(batch.requests for batch in ones),
            batches=len(ones),
            tokens=sum(batch.tokens for batch in ones),
            cost_eur=sum(batch.cost_eur for batch in ones),
        )


def _totals(lines: list[Line]) -> dict[str, float]:
    return {
        "requests": sum(line.requests for line in lines),
        "batches": sum(line.batches for line in lines),
        "tokens": sum(line.tokens for line in lines),
        "cost_eur": sum(line.cost_eur for line in lines),
    }


def _document(lines: list[Line], plan: PlanPreview, held_because: str | None) -> dict[str, object]:
    return {
        "would_send": [asdict(line) for line in lines],
        "totals": _totals(lines),
        "refused": dict(plan.rejected),
        "held_back": dict(plan.held),
        "unknown_types": dict(plan.unknown_types),
        "tokens_by_part": asdict(plan.parts),
        "submission_held_because": held_because,
    }


def _show(place: str, lines: list[Line], plan: PlanPreview, held_because: str | None) -> None:
    shown = console()
    shown.print(f"What a run of the job would send now from the {place}:\n", soft_wrap=True)
    made = table(["Company", "Model"], ["Requests", "Batches", "Tokens", "EUR"])
    for line in lines:
        made.add_row(line.company, line.model, *_numbers(asdict(line)))
    if lines:
        made.add_section()
        made.add_row(*total("Total", "", *_numbers(_totals(lines))))
        shown.print(made)
        shown.print("\nPrompt tokens and cost (batch prices) are estimates.")
        shown.print(_per_request(plan), soft_wrap=True)
    else:
        shown.print("Nothing: no company has enough requests waiting, or an old enough one.")
    for code, requests in plan.rejected.items():
        shown.print(f"Would be refused for good: {plural(requests, 'request')} ({code})")
    for reason, requests in plan.held.items():
        shown.print(f"Would be held back: {plural(requests, 'request')} ({reason})")
    if plan.unknown_types:
        shown.print(of_unknown_types(plan.unknown_types), soft_wrap=True)
    if held_because is not None:
        shown.print(f"\nBut nothing is submitted now. {held_because}", soft_wrap=True)


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


def _numbers(values: dict[str, float]) -> list[str]:
    whole = [count(int(values[name])) for name in ("requests", "batches", "tokens")]
    return [*whole, euros(values["cost_eur"])]
