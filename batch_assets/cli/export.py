"""`batch-assets export`: the metrics of runs, or what was spent, for other programs."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer

from batch_assets.cli.opening import open_database
from batch_assets.domain.display import escaped, escaped_cell, escaped_json
from batch_assets.domain.errors import BatchAssetsError, ConfigurationError
from batch_assets.domain.former_names import with_former_keys, with_former_names

commands = typer.Typer()

FORMATS = ("json", "csv")
DIMENSIONS: Final = ("month", "day", "company", "model")
"""By what the report divides what was spent; of the first two only one."""
_UNKNOWN_IF_NONE_IS: Final = (
    *("cost_usd", "cost_eur", "synchronous_cost_eur", "saved_eur", "billed_usd", "billed_eur"),
)
"""What is not 0 where there are answers, and of none of them the cost is known."""


@commands.command()
def export(
    *,
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="WHEN",
            help="Since: 36h, 7d, or a date (UTC). By itself 1d; with --by all there is.",
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="WHEN", help="Up to: the same; else now.")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORM",
            show_default=False,
            help="json or csv; by itself as FILE is called, else json.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write here, not to stdout.")
    ] = None,
    companies: Annotated[
        bool, typer.Option("--companies", help="Sums by company, too; in CSV instead.")
    ] = False,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="WHAT",
            help="What was spent instead: by some of month (or day), company and model, with "
            "commas between them.",
        ),
    ] = None,
) -> None:
    """Write the metrics of each run, or what was spent, for other programs."""
    from batch_assets.store.metrics import COMPANY_KEYS, KEYS, MetricHistory

    form = _form(form, output)
    if by is not None:
        if companies:
            raise ConfigurationError("--by and --companies are two reports: ask for one.")
        _export_spent(_dimensions(by), since, until, form=form, output=output)
        return
    first, last = _span(since or "1d", until)
    with open_database() as database, _opened(output) as file:
        history = MetricHistory(database.engine)
        runs = chain(history.runs(first, last), history.killed_runs(first, last))
        if form == "json":
            _write_json(file, runs, history.companies(first, last) if companies else None)
        elif companies:
            sums = map(_plain, history.companies(first, last))
            write_csv(file, with_former_keys(COMPANY_KEYS), sums)
        else:
            write_csv(file, with_former_keys(KEYS), map(_plain, runs))


def _form(given: str | None, output: Path | None) -> str:
    """What is written: as was asked for, or as the file is called."""
    named = output.suffix.lower().removeprefix(".") if output is not None else ""
    form = (given or (named if named in FORMATS else "json")).lower()
    if form not in FORMATS:
        raise ConfigurationError(f"--format is '{escaped(form)}': it must be json or csv.")
    if named in FORMATS and named != form:
        raise ConfigurationError(
            f"--format {form} and a file that ends in .{named} contradict each other: leave "
            "--format out, or call the file otherwise."
        )
    return form


def _dimensions(by: str) -> Sequence[str]:
    """What `--by` names, in the order of the report's columns."""
    named = [name.strip() for name in by.split(",")]
    wanted = [name for name in DIMENSIONS if name in named]
    is_meant = len(wanted) == len(named) and not {"month", "day"} <= set(named)
    if not is_meant:
        raise ConfigurationError(
            f"--by is '{by}': it must be some of month, company, model, or of day, company, model, "
            "with commas between them."
        )
    return wanted


def _export_spent(
    by: Sequence[str], since: str | None, until: str | None, *, form: str, output: Path | None
) -> None:
    """Write what was spent, a line for each of what it is divided by; whole UTC days."""
    from batch_assets.store.daily_costs import SUMS, CostReports

    first, last = _days(since, until)
    keys = [
        key for name in by for key in (("company_id", "company") if name == "company" else (name,))
    ]
    with open_database() as database, _opened(output) as file:
        reports = CostReports(database.engine)
        found = reports.sums(
            period="month" if "month" in by else "day" if "day" in by else None,
            by_company="company" in by,
            by_model="model" in by,
            since=first,
            until=last,
        )
        total = reports.sums(since=first, until=last)
        rows = [_spent(row, [*keys, *SUMS]) for row in found]
        if form == "csv":
            write_csv(file, [*keys, *SUMS], rows)
            return
        document = {
            "by": list(by),
            "from": first and first.isoformat(),
            "to": last and last.isoformat(),
            "costs": rows,
            "total": _spent(total[0], SUMS) if total else None,
        }
        file.write(escaped_json(json.dumps(document, indent=1, ensure_ascii=False)) + "\n")


def _days(since: str | None, until: str | None) -> tuple[date | None, date | None]:
    """The first day and the one after the last: days that are asked for in part are there whole."""
    from batch_assets.stages.controls.criteria import time_argument

    first = None if since is None else time_argument("--from", since).astimezone(UTC).date()
    if until is None:
        return first, None
    end = time_argument("--to", until).astimezone(UTC)
    last = (end + timedelta(days=1, microseconds=-1)).date()
    if first is not None and last <= first:
        raise ConfigurationError("--from and --to leave no time between them: swap them.")
    return first, last


def _spent(row: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    known = _with_unknown_costs(row)
    return {key: known["period" if key in ("month", "day") else key] for key in keys}


def _with_unknown_costs(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row in which no cost is 0 because nobody knows it; how many answers have none is beside it.

    Where some are known, the sum is theirs.
    """
    if not row["unpriced_answers"] or row["cost_eur"]:
        return row
    return {**row, **{key: None for key in _UNKNOWN_IF_NONE_IS if key in row and not row[key]}}


def _span(since: str, until: str | None) -> tuple[datetime, datetime]:
    from batch_assets.stages.controls.criteria import time_argument

    first = time_argument("--from", since)
    last = datetime.now(UTC) if until is None else time_argument("--to", until)
    if last <= first:
        raise ConfigurationError("--from and --to leave no time between them: swap them.")
    return first, last


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        if isinstance(sys.stdout, TextIOWrapper) and not sys.stdout.isatty():
            # What programs read is UTF-8, whatever this terminal's language is.
            sys.stdout.reconfigure(encoding="utf-8")
        yield sys.stdout
        return
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise BatchAssetsError(f"{output} cannot be written ({error.strerror}).") from None


def _write_json(
    file: TextIO, runs: Iterable[Mapping[str, Any]], companies: list[Mapping[str, Any]] | None
) -> None:
    """One document, whose runs stand a line each."""
    file.write('{"metrics": [')
    for number, run in enumerate(runs):
        file.write(",\n" if number else "\n")
        file.write(escaped_json(json.dumps(_plain(run), ensure_ascii=False)))
    file.write("\n]")
    if companies is not None:
        file.write(',\n"companies": ')
        file.write(escaped_json(json.dumps([_plain(one) for one in companies], ensure_ascii=False)))
    file.write("}\n")


def write_csv(file: TextIO, keys: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A line a row under a line of keys; what is not known is empty. Numbers stay numbers."""
    writer = csv.DictWriter(file, fieldnames=list(keys), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = row.items()
        writer.writerow(
            {key: escaped_cell(cell) if isinstance(cell, str) else cell for key, cell in cells}
        )


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON and CSV have it; what was renamed is there under its former name, too."""
    return with_former_names(
        {
            key: value.isoformat() if isinstance(value, datetime) else value
            for key, value in _with_unknown_costs(row).items()
        }
    )
