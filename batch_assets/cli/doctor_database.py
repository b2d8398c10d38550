"""What `batch-assets doctor` looks at in the database, on a session that may not write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from batch_assets.cli.opening import OpenDatabase
from batch_assets.cli.status_sentences import stoppages
from batch_assets.domain.display import listed, question_of_free
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.health import Finding, Health, found_wrong

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from batch_assets.settings import Settings
    from batch_assets.store.installation import Installation
    from batch_assets.wiring import Endpoints

CLOCK_SECONDS: Final = 30
"""So far two clocks may be apart."""
WRONG_CLOCK_SECONDS: Final = 300
NAMED_AT_MOST: Final = 5
TIMERS: Final = "LiveDash's timers"
CONFIRMATION: Final = "confirmation"


def examine_database(settings: Settings, endpoints: Endpoints) -> list[Finding]:
    """Look at the database, and at what it says of the installation; it is not written to."""
    from sqlalchemy.exc import DBAPIError

    from batch_assets.store.connection_failures import database_unavailable, is_connection_failure
    from batch_assets.store.engine import open_engine

    engine = open_engine(endpoints.database_url, read_only=True)
    try:
        return _Examination(settings, endpoints, engine).findings()
    except DBAPIError as error:
        if not is_connection_failure(error):
            raise
        return found_wrong("database", database_unavailable(error, engine.url))
    finally:
        engine.dispose()


def of_clock(whose: str, ahead: timedelta) -> Finding:
    """Judge a clock by the time that it is ahead of this host's."""
    apart = abs(ahead.total_seconds())
    if apart <= CLOCK_SECONDS:
        return Finding.well("clocks", f"The clock of the {whose} is that of this host.")
    where = "ahead of" if ahead > timedelta(0) else "behind"
    return Finding(
        "clocks",
        Health.ATTENTION if apart <= WRONG_CLOCK_SECONDS else Health.NOT_WELL,
        f"The clock of the {whose} is {apart:,.0f} s {where} this host's.",
        "Let both follow a time server.",
    )


def of_installation(installation: Installation) -> Iterator[Finding]:
    """Judge whether anything keeps batches from being sent from this database."""
    by_timers, hold = installation.hold_by_timers, installation.hold
    if by_timers is None:
        yield Finding.well(TIMERS, "None was seen to act beside this project.")
    else:
        yield Finding(TIMERS, by_timers.health, by_timers.why, by_timers.remedy)
    if hold is None or hold == by_timers:
        yield Finding.well(CONFIRMATION, "Batches may be sent from this database.")
    else:
        yield Finding(CONFIRMATION, hold.health, hold.why, hold.remedy)


@dataclass
class _Examination:
    """One look at a database that answers."""

    settings: Settings
    endpoints: Endpoints
    engine: Engine
    found: list[Finding] = field(default_factory=list)

    def findings(self) -> list[Finding]:
        self._look("database", self._server)
        before = len(self.found)
        self._look("tables", self._tables)
        self._look("rights", self._rights)
        if all(one.health is Health.WELL for one in self.found[before:]):
            # What lacks a table or a right would say the same of whatever is asked of it.
            self._look(CONFIRMATION, self._installation)
            self._look("accounts", self._accounts)
            self._look("cooldowns", self._cooldowns)
            self._look("prices", self._prices)
        return self.found

    def _look(self, about: str, look: Callable[[], Iterable[Finding]]) -> None:
        try:
            self.found += look()
        except BatchAssetsError as error:
            self.found += found_wrong(about, error)

    @property
    def _database(self) -> OpenDatabase:
        from batch_assets.store.strategy import StoredModes, Strategy

        # What its operations cost is kept by who closes it, and here nobody does.
        modes = StoredModes(self.engine).read
        strategy = Strategy(self.engine, self.settings.toggle(), stored=modes)
        return OpenDatabase(self.settings, self.endpoints, self.engine, strategy)

    def _server(self) -> Iterator[Finding]:
        from batch_assets.store.diagnosis import Diagnosis
        from batch_assets.store.migrating.session import refuse_encoding, refuse_old_server

        seen = Diagnosis(self.engine).server()
        yield of_clock("database", seen.clock.astimezone(UTC) - datetime.now(UTC))
        if seen.time_zone != "UTC":
            yield Finding.not_well(
                "time zone",
                f"The session has the time zone {seen.time_zone}, although UTC was asked for at "
                "login.",
                "Let the pooler in between pass on what is asked for at login, or go around it.",
            )
        if seen.is_standby:
            yield Finding.not_well(
                "database",
                f"The {self._database.place} is a standby, which takes no changes.",
                "Use the primary server's address in DATABASE_URL.",
            )
        refuse_old_server(seen.version)
        with self.engine.connect() as connection:
            refuse_encoding(connection)
        yield Finding.well(
            "database",
            f"The {self._database.place} answers: PostgreSQL {seen.version // 10_000}, UTF-8, in "
            f"{seen.time_zone}.",
        )

    def _tables(self) -> Iterator[Finding]:
        from batch_assets.store.livedash_contract import computed_columns, faults_of
        from batch_assets.store.migrate import require_suitable

        with self.engine.connect() as connection:
            faults = [*faults_of(connection), *computed_columns(connection)]
        if faults:
            yield Finding.not_well(
                "tables",
                f"LiveDash's tables are not as this version needs them: {_some(faults)}.",
                "Bring LiveDash up to date there, or install a version of this project that knows "
                "the change.",
            )
        require_suitable(self.engine)
        if not faults:
            yield Finding.well("tables", "LiveDash's and ours are as this version needs them.")

    def _rights(self) -> Iterator[Finding]:
        from batch_assets.store.rights import hidden_tables, missing_rights, role_of

        with self.engine.connect() as connection:
            role = role_of(connection)
            missing = [right.said for right in missing_rights(connection)]
            hidden = hidden_tables(connection)
        if missing:
            yield Finding.not_well(
                "rights",
                f'The user "{role}" lacks {_some(missing)}.',
                f"Let the user that owns the tables run `batch-assets migrate --grant-to {role}`.",
            )
        if hidden:
            yield Finding.not_well(
                "rights",
                f'Row-level security on {_some(hidden)} would hide rows from the user "{role}".',
                f"Let a superuser run `ALTER ROLE {role} BYPASSRLS`.",
            )
        if not (missing or hidden):
            yield Finding.well("rights", f'The user "{role}" may do all that is needed.')

    def _installation(self) -> Iterable[Finding]:
        return of_installation(self._database.registry.installation())

    def _accounts(self) -> Iterator[Finding]:
        from batch_assets.stages.controls.accounts import left_behind
        from batch_assets.store.company_accounts import CompanyAccounts

        names = self.settings.account_names
        behind = left_behind(CompanyAccounts(self.engine).standing(), names)
        yield from behind or [
            Finding.well("accounts", "The settings name every account that anything is of.")
        ]

    def _cooldowns(self) -> Iterator[Finding]:
        remedy = "It ends by itself; `batch-assets reset` ends it at once."
        said = list(stoppages(self._database).halts())
        for sentence in said:
            yield Finding.attention("cooldowns", sentence, remedy)
        if not said:
            yield Finding.well("cooldowns", "No call, model or schedule is in one.")

    def _prices(self) -> Iterator[Finding]:
        from batch_assets.openai_batch.prices import price_finder
        from batch_assets.store.diagnosis import Diagnosis

        policy, database = self.settings.policy(), self._database
        of_livedash = database.queries.model_prices()
        own = {**of_livedash, **policy.model_prices}
        price_of = price_finder(own, self.endpoints.profile, policy.model_of)
        asked_for = Diagnosis(self.engine).models()
        in_doubt = database.prices_in_doubt
        wrong = [
            Finding.of_sentence("prices", Health.ATTENTION, question_of_free(model))
            for model in in_doubt
        ]
        unpriced = [one for one in asked_for if price_of(one) is None and one not in in_doubt]
        if unpriced:
            is_capped = policy.caps.limits_cost
            then = "are not sent while costs are capped" if is_capped else "cost nobody knows what"
            wrong.append(
                Finding(
                    "prices",
                    Health.NOT_WELL if is_capped else Health.ATTENTION,
                    f"No price list has {listed(unpriced)}: requests of it wait, and {then}.",
                    "Say in BATCH_MODEL_PRICES what it costs, or in BATCH_DEPLOYMENTS which model "
                    "it is.",
                )
            )
        known = {*asked_for, *of_livedash, *policy.deployments}
        wrong += _mistyped(set(policy.model_prices) - known, known)
        yield from wrong
        if not wrong:
            yield Finding.well("prices", "What waits has a price, and none is in doubt.")


def _mistyped(names: set[str], known: set[str]) -> Iterator[Finding]:
    """Models with a price of their own that nobody asks for, and that are nearly one of these."""
    for name in sorted(names):
        nearest = get_close_matches(name, sorted(known), n=1, cutoff=0.85)
        if nearest:
            yield Finding.attention(
                "prices",
                f"BATCH_MODEL_PRICES has a price of '{name}', for which nobody asks.",
                f"The nearest model is {nearest[0]}: correct it, or leave it out.",
            )


def _some(things: list[str]) -> str:
    named = "; ".join(things[:NAMED_AT_MOST])
    more = len(things) - NAMED_AT_MOST
    return named if more <= 0 else f"{named}; and {more:,} more"
