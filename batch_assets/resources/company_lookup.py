"""Which companies are active: asked of the database once in a while, and remembered for all runs.

*How long an answer lives:* `lifetime_seconds` from the moment before the database was asked, 5
minutes by default. No older one is ever given. One past half of its life is given and then asked
for anew, so that runs which come every two minutes always find one.

*How stale it can be:* a company that was made active or suspended shows after `lifetime_seconds` at
the latest, or at once after `refresh`. Nothing is submitted for a suspended company because of
that: the claim looks at the company itself.

*For whom:* all processes of this host and user that work on this database.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.metrics import LookupUse
from batch_assets.domain.records import Company
from batch_assets.resources.company_file import Answer, CompanyFile, Instant, UnusableFileError
from batch_assets.resources.connections import WiringResource
from batch_assets.resources.query_strategy import QueryStrategyResource
from batch_assets.settings import Settings
from batch_assets.wiring import Endpoints

WAIT_SECONDS: Final = 5.0
"""How long a run waits for the answer of another one before it asks for itself."""
REFRESH_WAIT_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class ActiveCompanies:
    """The active companies, by id, and how they were come by."""

    companies: tuple[Company, ...]
    hits: int = 0
    """Answers that were given without asking the database."""
    misses: int = 0
    """Answers for which it was asked."""
    refreshes: int = 0
    """Answers that were put into the file for the others."""
    age_seconds: float = 0.0
    """How old the answer is."""
    wait_seconds: float = 0.0
    """Spent on waiting for another process."""
    bytes: int = 0
    """The size of the file."""

    @property
    def use(self) -> LookupUse:
        """The same as metrics of a run."""
        return LookupUse(
            active_companies=len(self.companies),
            lookup_hits=self.hits,
            lookup_misses=self.misses,
            lookup_age_seconds=self.age_seconds,
        )

    @property
    def numbers(self) -> dict[str, float]:
        """What a run reports: every key every time."""
        return {
            "active_companies": len(self.companies),
            "lookup_hits": self.hits,
            "lookup_misses": self.misses,
            "lookup_refreshes": self.refreshes,
            "lookup_age_seconds": self.age_seconds,
            "lookup_wait_seconds": self.wait_seconds,
            "lookup_bytes": self.bytes,
        }


class CompanyCache:
    """The active companies of one database; see the module on how long an answer lives.

    A file that cannot be used is told to `warn` and counts as none. What `ask` raises, `active`
    and `refresh` raise, too.
    """

    def __init__(
        self,
        file: CompanyFile,
        ask: Callable[[], Iterable[Company]],
        *,
        lifetime_seconds: float,
        warn: Callable[[str], object],
        now: Callable[[], Instant] = Instant.now,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._file = file
        self._ask = ask
        self._lifetime_seconds = lifetime_seconds
        self._warn = warn
        self._now = now
        self._wait_seconds = wait_seconds
        self._has_warned_of_file = False

    def active(self) -> ActiveCompanies:
        """The active companies, from the file if its answer is young enough."""
        if not self._lifetime_seconds:
            return self._asked(keep=False)
        found = self._found()
        if found is None:
            found = self._awaited()
        elif self._is_past_half(found):
            found = replace(found, refreshes=self._ask_ahead())
        return replace(found, bytes=self._file.size_bytes())

    def refresh(self) -> ActiveCompanies:
        """Forget what is remembered, and ask the database now.

        Raises:
            BatchAssetsError: The old answer could go on being used: the file cannot be changed, or
                another process does not end its own question.
        """
        try:
            with self._file.locked(REFRESH_WAIT_SECONDS) as holding:
                if not holding:
                    raise BatchAssetsError(
                        "Another process has been asking for the active companies for more than "
                        f"{REFRESH_WAIT_SECONDS:.0f} s: see what keeps the database, and try again."
                    )
                self._file.forget()
                found = self._asked(keep=self._lifetime_seconds > 0)
                return replace(found, bytes=self._file.size_bytes())
        except UnusableFileError as error:
            raise BatchAssetsError(
                f"{self._unusable(error)}: remove this directory, and try again."
            ) from None

    def _found(self) -> ActiveCompanies | None:
        """What the file says, unless it is too old."""
        answer = self._read()
        age = answer.asked_at.age_seconds(self._now()) if answer else None
        if answer is None or age is None or age >= self._lifetime_seconds:
            return None
        return ActiveCompanies(answer.companies, hits=1, age_seconds=age)

    def _is_past_half(self, found: ActiveCompanies) -> bool:
        return found.age_seconds > self._lifetime_seconds / 2

    def _awaited(self) -> ActiveCompanies:
        """What another process is told meanwhile, or else what this one is told itself."""
        began = time.monotonic()
        with self._locked(self._wait_seconds) as holding:
            waited = time.monotonic() - began
            found = self._found() or self._asked(keep=holding)
        return replace(found, wait_seconds=waited)

    def _ask_ahead(self) -> int:
        """Ask for a new answer while the old one lives, unless another process does or did."""
        with self._locked(0) as holding:
            found = self._found()
            if not holding or (found and not self._is_past_half(found)):
                return 0
            try:
                return self._asked(keep=True).refreshes
            except (BatchAssetsError, SQLAlchemyError) as error:
                # Its own text may quote a row.
                self._warn(
                    "The active companies could not be asked for before their time "
                    f"({type(error).__name__}): the answer that is there goes on to be used."
                )
                return 0

    def _asked(self, *, keep: bool) -> ActiveCompanies:
        asked_at = self._now()
        companies = tuple(self._ask())
        kept = keep and self._keep(asked_at, companies)
        return ActiveCompanies(companies, misses=1, refreshes=int(kept))

    def _keep(self, asked_at: Instant, companies: tuple[Company, ...]) -> bool:
        try:
            self._file.write(asked_at, companies)
        except UnusableFileError as error:
            self._distrust(error)
            return False
        return True

    def _read(self) -> Answer | None:
        try:
            return self._file.read()
        except UnusableFileError as error:
            self._distrust(error)
            return None

    @contextmanager
    def _locked(self, wait_seconds: float) -> Iterator[bool]:
        """The file's lock, or none where the file cannot be used."""
        with ExitStack() as stack:
            holding = False
            try:
                holding = stack.enter_context(self._file.locked(wait_seconds))
            except UnusableFileError as error:
                self._distrust(error)
            yield holding

    def _distrust(self, error: UnusableFileError) -> None:
        # Once: what cannot be read can often be neither locked nor written.
        if not self._has_warned_of_file:
            self._has_warned_of_file = True
            self._warn(f"{self._unusable(error)}: the database is asked instead.")

    def _unusable(self, error: UnusableFileError) -> str:
        return (
            f"The file of the active companies in {self._file.directory} cannot be used ({error})"
        )


class CompanyLookupResource(dg.ConfigurableResource[None]):
    # The Launchpad shows its docstring. How long an answer lives, how stale it can be and for whom
    # stands above; both methods raise what `DatabaseResource.engine` raises.
    """The companies that are active; an answer is shared by the runs of a host."""

    wiring: dg.ResourceDependency[WiringResource]
    query_strategy: dg.ResourceDependency[QueryStrategyResource]

    def active(self) -> ActiveCompanies:
        """The companies that are active, by an answer that is younger than its lifetime."""
        return self._cache.active()

    def refresh(self) -> ActiveCompanies:
        """The companies that are active now, for this run and those that come; see the cache."""
        return self._cache.refresh()

    @cached_property
    def _cache(self) -> CompanyCache:
        return shared_cache(
            self.wiring.endpoints,
            self.wiring.settings,
            self._ask,
            warn=dg.get_dagster_logger().warning,
        )

    def _ask(self) -> list[Company]:
        return self.query_strategy.queries.active_companies()


def shared_cache(
    endpoints: Endpoints,
    settings: Settings,
    ask: Callable[[], Iterable[Company]],
    *,
    warn: Callable[[str], object],
) -> CompanyCache:
    """What all processes of this host share of the database that `endpoints` lead to."""
    return CompanyCache(
        CompanyFile(endpoints.cache_dir, endpoints.database_url),
        ask,
        lifetime_seconds=settings.company_cache_seconds,
        warn=warn,
    )
