"""Which account serves which company, and what is under way with each account."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.store.base import EngineQueries
from batch_assets.store.connection_failures import retry_lost
from batch_assets.store.sql import load

SQL = load(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True)
class CompanyAccount:
    """A company that another account than the default serves."""

    company_id: str
    company: str | None
    """Its name; `None` once the company is gone."""
    account_name: str
    assigned_by: str
    assigned_at: datetime


@dataclass(frozen=True, slots=True)
class AccountStanding:
    """What there is of an account."""

    account_name: str
    companies: int
    """Those that were given to it; the default account serves all others."""
    batches: int
    """Those of it that its key is still needed for: under way, with files to delete, or given up
    while they ran on."""


class CompanyAccounts(EngineQueries):
    """The table `company_account`; each call is one statement."""

    @retry_lost
    def all(self) -> list[CompanyAccount]:
        """Every company that was given to an account, by account and id."""
        with self.autocommit.connect() as connection:
            return [CompanyAccount(**row._mapping) for row in connection.execute(SQL["all"])]

    @retry_lost
    def of_company(self, company_id: str) -> str:
        """The account that serves a company."""
        with self.autocommit.connect() as connection:
            return str(connection.execute(SQL["of_company"], {"company_id": company_id}).scalar())

    @retry_lost
    def of_batch(self, batch_id: str) -> str | None:
        """The account with which a batch was made, by its id or the server's; `None`: no such."""
        with self.autocommit.connect() as connection:
            return connection.execute(SQL["of_batch"], {"batch_id": batch_id}).scalar()

    @retry_lost
    def assign(self, company_id: str, account_name: str, assigned_by: str) -> None:
        """Let an account serve a company from now on; what is under way stays with the former one.

        A claim that is under way goes on with what it has read.
        """
        which = {"company_id": company_id}
        with self.autocommit.connect() as connection:
            if account_name == DEFAULT_ACCOUNT:
                connection.execute(SQL["unassign"], which)
            else:
                given = {"account_name": account_name, "assigned_by": assigned_by}
                connection.execute(SQL["assign"], which | given)

    @retry_lost
    def standing(self) -> list[AccountStanding]:
        """Every account that anything is of, by name, whether or not settings have it."""
        with self.autocommit.connect() as connection:
            return [AccountStanding(**row._mapping) for row in connection.execute(SQL["standing"])]
