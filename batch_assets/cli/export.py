"""`batch-assets export`: the metrics of runs, for other programs."""

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from batch_assets.cli.opening import open_database
from batch_assets.domain.display import escaped_cell, escaped_json
from batch_assets.domain.errors import BatchAssetsError, ConfigurationError
from batch_assets.domain.former_names import with_former_keys, with_former_names

commands = typer.Typer()

FORMATS = ("json", "csv")


@commands.command()
def export(
    *,
    since: Annotated[
        str, typer.Option("--from", metavar="WHEN", help="Since: 36h, 7d, or a date (UTC).")
    ] = "1d",
    until: Annotated[
        str | None, typer.Option("--to", metavar="WHEN", help="Up to: the same; else now.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="json or csv.")] = "json",
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write here, not to stdout.")
    ] = None,
    companies: Annotated[
        bool, typer.Option("--companies", help="Sums by company, too; in CSV instead.")
    ] = False,
) -> None:
    """Write the metrics of each run, for other programs."""
    from batch_assets.store.metrics import COMPANY_KEYS, KEYS, MetricHistory

    if form not in FORMATS:
        raise ConfigurationError(f"--format is '{form}': it must be json or csv.")
    first, last = _span(since, until)
    with open_database() as database, _opened(output) as file:
        history = MetricHistory(database.engine)
        runs = history.runs(first, last)
        if form == "json":
            _write_json(file, runs, history.companies(first, last) if companies else None)
        elif companies:
            _write_csv(file, COMPANY_KEYS, history.companies(first, last))
        else:
            _write_csv(file, KEYS, runs)


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


def _write_csv(file: TextIO, keys: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A line a row under a line of keys; what is not known is empty. Numbers stay numbers."""
    writer = csv.DictWriter(file, fieldnames=with_former_keys(keys), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = _plain(row).items()
        writer.writerow(
            {key: escaped_cell(cell) if isinstance(cell, str) else cell for key, cell in cells}
        )


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON and CSV have it; what was renamed is there under its former name, too."""
    return with_former_names(
        {
            key: value.isoformat() if isinstance(value, datetime) else value
            for key, value in row.items()
        }
    )
