"""What a person does about a raised alert, and who or what is behind it."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from batch_assets.domain.alerts.records import Fault
from batch_assets.domain.display import euros
from batch_assets.domain.livedash_timers import REMEDY

BUDGETS: Final = "budgets"
"""The check on all budgets."""
OF_BUDGET: Final = "budget_"
"""What the name of the alert of one budget begins with."""


def advise(name: str, faults: Sequence[Fault]) -> str:
    """What to do about an alert, with the exact command for the first of what is behind it."""
    return _ADVICE[_kind(name)](faults)


def behind(fault: Fault) -> str:
    """One company, batch, operation or code that is behind an alert, in a sentence."""
    return _BEHIND[_kind(fault.alert)](fault)


def _kind(name: str) -> str:
    """The alerts of budgets are of one kind; every other is one of its own."""
    return BUDGETS if name.startswith(OF_BUDGET) else name


def _of_company(faults: Sequence[Fault]) -> str:
    company_id = faults[0].company_id if faults else None
    return f" --company {shlex.quote(company_id)}" if company_id else ""


def _error_rate(faults: Sequence[Fault]) -> str:
    return (
        "See what failed and with which codes: `batch-assets dead-letters list"
        f"{_of_company(faults)} --newer-than 2h`. What failed in a way that may pass is tried "
        "again by itself; once the cause is mended, `batch-assets dead-letters requeue "
        "--newer-than 2h --dry-run` shows what can be sent again."
    )


def _batch_age(faults: Sequence[Fault]) -> str:
    one = faults[0].subject if faults else "BATCH"
    return (
        f"Nothing is lost: the API may take 24 hours. See `batch-assets batch {one}`; after "
        "BATCH_TIMEOUT_HOURS it is cancelled by itself, what ran of it is kept and the rest sent "
        f"again. If it must not wait, `batch-assets cancel {one}` or cancel_batch_job does so now. "
        "If it is older than that, see in the newest run of batch_processing_job why "
        "check_batch_statuses could not cancel it; if the server does not know it, `batch-assets "
        f"abandon {one} --dry-run` says what can be done, and if it never ends, with --force."
    )


def _failed_batch(_faults: Sequence[Fault]) -> str:
    return (
        "Look up the code: wrong requests are taken out and the others sent again by themselves, "
        "but a code that is about the model, the account or the file needs somebody. What became "
        "of the requests: `batch-assets status` and `batch-assets dead-letters list "
        "--newer-than 2h`."
    )


def _throughput_too_low(_faults: Sequence[Fault]) -> str:
    return (
        "Compare fetch, submit and ingest seconds in the plots of the asset `throughput`, and "
        "database_seconds in those of `queries`: if the database is slow, look for locks and a "
        "missing VACUUM; if it is not, the API is. Where MAX_CONCURRENT_COMPANIES is set, a higher "
        "one, or none, lets more files be sent at one time."
    )


def _lookup_hit_rate(_faults: Sequence[Fault]) -> str:
    return (
        "See the warnings of load_companies in the newest run, and `batch-assets companies`. If "
        "runs start less often than COMPANY_CACHE_SECONDS, raise that above the time between them."
    )


def _fallback_rate(_faults: Sequence[Fault]) -> str:
    return (
        "Nothing is lost: the original has done the work. The runs' warnings name the operation; "
        "the server's log has the error. Until it is mended, ENABLE_BATCH_OPTIMIZATION=false saves "
        "the futile tries."
    )


def _dead_letters(faults: Sequence[Fault]) -> str:
    return (
        f"See why: `batch-assets dead-letters list{_of_company(faults)}`. Once the cause is "
        "mended, `batch-assets dead-letters requeue --code CODE --dry-run` shows what would be "
        "sent again, and without --dry-run sends it."
    )


def _cost_above_budget(_faults: Sequence[Fault]) -> str:
    return (
        "`batch-assets status` shows what each company has cost. BATCH_DAY_MAX_COST_EUR and "
        "BATCH_COMPANY_DAY_MAX_COST_EUR stop further submissions of the day; what is on the server "
        "already will be paid for."
    )


def _budgets(faults: Sequence[Fault]) -> str:
    one = faults[0] if faults else Fault(BUDGETS, subject="month")
    whose = _of_company([one]) or " --all"
    return (
        "`batch-assets budgets` shows each with what is left. What goes beyond one waits until it "
        f"begins anew; `batch-assets budget set {one.subject} EUR{whose}` raises it at once, and "
        f"`batch-assets budget clear {one.subject}{whose}` takes it back. What is on the server "
        "already will be paid for."
    )


def _open_breaker(faults: Sequence[Fault]) -> str:
    operation = f" {faults[0].subject}" if faults else ""
    return (
        "The API is not well: see its status page. It is tried again by itself; once it is well, "
        f"`batch-assets reset{operation}` allows calls at once. What is held up shows in "
        "`batch-assets status`."
    )


def _backlog_age(_faults: Sequence[Fault]) -> str:
    return (
        "`batch-assets plan --dry-run` says what would be sent now, and what is held and why: a "
        "cap, a budget, BATCH_TOKEN_ALLOWANCE, a model in cooldown, a confirmation. In the newest "
        "run, held_because of submit_batches says the same."
    )


def _account_refused(_faults: Sequence[Fault]) -> str:
    return (
        "Check OPENAI_API_KEY, and the key's permissions and quota: `batch-assets doctor` tries it "
        "by one free call. Nothing is lost: the next run carries on."
    )


def _schedule_paused(_faults: Sequence[Fault]) -> str:
    return (
        "The failed runs' pages say why. Once that is mended, `batch-assets reset` lets the "
        "schedule go on at once."
    )


def _livedash_timers(_faults: Sequence[Fault]) -> str:
    return (
        f"{REMEDY} Requests that were reset are back where they were and not bought again. "
        "`batch-assets status` names what was bought by both, and says from when on submissions "
        "go on: once nothing was seen for a while."
    )


def _livedash_changed(_faults: Sequence[Fault]) -> str:
    return (
        "Put these columns back, or install a version of this project that knows LiveDash's newest "
        "migration. What is on the server is read then; files stay there for 30 days."
    )


def _unknown_batches(_faults: Sequence[Fault]) -> str:
    return (
        "If the database that made them lives on, `batch-assets confirm --copy` makes this one an "
        "installation of its own; if this one goes on alone, after a dump was put back or a "
        "replica was promoted, `batch-assets confirm --moved` does. What those batches hold is "
        "not read here, and what of it still waits here is bought again."
    )


def _unresolved_submission(_faults: Sequence[Fault]) -> str:
    return (
        "Nothing is lost, and nothing of it is sent again before the server is known not to have "
        "it. See the warnings of check_batch_statuses in the newest run: usually OPENAI_API_KEY or "
        "OPENAI_BASE_URL was changed since, and one run with the former ones settles it."
    )


def _not_conserved(_faults: Sequence[Fault]) -> str:
    return (
        "The check of the asset `row_conservation` names the requests and what to do about each "
        "kind; `batch-assets audit` looks at every row now."
    )


def _company(fault: Fault) -> str:
    return f"company {fault.company or 'that was deleted'} ({fault.company_id})"


def _of(fault: Fault) -> str:
    return f"{fault.amount or 0:,.0f} of {fault.total or 0:,.0f}"


_ADVICE: Final[Mapping[str, Callable[[Sequence[Fault]], str]]] = {
    "error_rate": _error_rate,
    "batch_age": _batch_age,
    "failed_batch": _failed_batch,
    "throughput_too_low": _throughput_too_low,
    "lookup_hit_rate": _lookup_hit_rate,
    "fallback_rate": _fallback_rate,
    "dead_letters": _dead_letters,
    "cost_above_budget": _cost_above_budget,
    BUDGETS: _budgets,
    "open_breaker": _open_breaker,
    "backlog_age": _backlog_age,
    "account_refused": _account_refused,
    "schedule_paused": _schedule_paused,
    "livedash_timers": _livedash_timers,
    "livedash_changed": _livedash_changed,
    "unknown_batches": _unknown_batches,
    "unresolved_submission": _unresolved_submission,
    "open_rows_conserved": _not_conserved,
    "all_rows_conserved": _not_conserved,
}

_BEHIND: Final[Mapping[str, Callable[[Fault], str]]] = {
    "error_rate": lambda fault: f"{_of(fault)} requests of {_company(fault)}.",
    "batch_age": lambda fault: (
        f"Batch {fault.subject} ({fault.label}) of {_company(fault)}, submitted "
        f"{(fault.amount or 0) / 3_600:.1f} hours ago."
    ),
    "failed_batch": lambda fault: (
        f"Batch {fault.subject} of {_company(fault)}: {fault.label or 'no code was given'}."
    ),
    "fallback_rate": lambda fault: f"Operation {fault.subject}: {_of(fault)} calls.",
    "dead_letters": lambda fault: (
        f"{fault.amount or 0:,.0f} with the code {fault.subject} of {_company(fault)}."
    ),
    "cost_above_budget": lambda fault: f"{fault.amount or 0:.2f} EUR of {_company(fault)}.",
    BUDGETS: lambda fault: (
        f"{euros(fault.amount or 0)} of {euros(fault.total or 0)} EUR for {fault.label} of "
        f"{_company(fault) if fault.company_id else 'all companies'}."
    ),
    "open_breaker": lambda fault: (
        f"{fault.subject}: {fault.amount or 0:,.0f} calls in a row have failed ({fault.label})."
    ),
    "backlog_age": lambda fault: (
        f"{fault.total or 0:,.0f} requests of {_company(fault)}, the oldest for "
        f"{(fault.amount or 0) / 3_600:.1f} hours."
    ),
    "livedash_timers": lambda fault: (
        f"LiveDash's {fault.label} timer, {fault.subject} of {_company(fault)}"
        f"{', which was bought here, too' if fault.amount else ''}."
    ),
}
"""The sentence for each alert of which it is known who or what is behind it."""
