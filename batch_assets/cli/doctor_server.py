"""What `batch-assets doctor` looks at beside the database: the API, and Dagster's daemon."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from batch_assets.cli.doctor_database import of_clock
from batch_assets.cli.opening import require_account
from batch_assets.domain.display import listed, span
from batch_assets.domain.errors import AccountRefusedError, BatchAssetsError
from batch_assets.domain.health import Finding, found_wrong

if TYPE_CHECKING:
    from batch_assets.settings import Settings
    from batch_assets.store.dagster_history import DaemonPart, DagsterHistory
    from batch_assets.wiring import Endpoints


def examine_server(endpoints: Endpoints, server: str) -> Iterable[Finding]:
    """Look at the API, by one call that costs nothing; `server` is how people call it."""
    profile = endpoints.profile
    if profile.no_batches is not None:
        yield replace(profile.no_batches.finding, about="server")
        return
    try:
        ahead = require_account(endpoints)
    except AccountRefusedError as error:
        yield from found_wrong("key", error)
    except BatchAssetsError as error:
        yield from found_wrong("server", error)
    else:
        yield Finding.well("server", f"The {server} answers; its profile is {profile.name}.")
        yield Finding.well("key", "It is taken.")
        yield of_clock("API's server", ahead)


def examine_dagster(settings: Settings, endpoints: Endpoints) -> Iterable[Finding]:
    """Look at Dagster's tables, and at whether anything starts runs."""
    from batch_assets.store.dagster_history import DagsterHistory
    from batch_assets.store.dagster_schema import require_dagster_schema
    from batch_assets.store.engine import open_engine_for_looks

    url = endpoints.dagster_database_url
    try:
        require_dagster_schema(url)
    except BatchAssetsError as error:
        yield from found_wrong("Dagster's tables", error)
        return
    history = DagsterHistory(open_engine_for_looks(url))
    if not history.is_there():
        yield Finding.attention(
            "Dagster's tables",
            "Dagster has not made its tables yet.",
            "`batch-assets migrate` makes them.",
        )
        return
    yield Finding.well("Dagster's tables", "They are there, and its user may use them.")
    yield from _starting(settings, history, is_local=endpoints.is_local)


def _starting(settings: Settings, history: DagsterHistory, *, is_local: bool) -> Iterator[Finding]:
    yield of_daemon(history.daemons(), is_local=is_local)
    off = history.switched_off()
    if off:
        yield Finding.attention(
            "schedules",
            f"Somebody has switched off {listed(off)}.",
            "Switch it on again in the UI, under Automation, if runs are to start by it.",
        )
    elif settings.schedules_enabled:
        yield Finding.well("schedules", "None is switched off.")


def of_daemon(parts: list[DaemonPart], *, is_local: bool) -> Finding:
    """Judge Dagster's daemon by what was heard of its parts; a local stack need have none."""
    from batch_assets.store.dagster_history import TICKING

    known = [one for one in parts if one.part in TICKING]
    silent = [one for one in known if not one.lives]
    failing = [one for one in known if one.errors]
    if len(silent) == len(known) and is_local:
        return Finding.well("daemon", "None runs, and the local stack needs none: see `make dev`.")
    if not known:
        return Finding.attention(
            "daemon",
            "No daemon has ever run on this database, so that no run starts by itself.",
            "Start it with `batch-assets serve`, or its part alone: `batch-assets daemon`.",
        )
    if silent:
        seconds = min(one.silent_seconds for one in silent)
        what = listed([TICKING[one.part] for one in silent])
        return Finding.not_well(
            "daemon",
            f"The daemon was not heard of for {span(seconds)} ({what}): nothing starts by itself.",
            "See in its log what holds it, or start `batch-assets serve` anew.",
        )
    if failing:
        what = listed([TICKING[one.part] for one in failing])
        return Finding.attention(
            "daemon", f"The daemon reports errors of its {what}.", "Its log says which."
        )
    heard = span(max(one.silent_seconds for one in known))
    return Finding.well("daemon", f"It lives, and was heard of {heard} ago.")
