"""Giving a company to an account, and what is seen of all accounts."""

from collections.abc import Sequence
from dataclasses import dataclass

from batch_assets.domain.accounts import DEFAULT_ACCOUNT
from batch_assets.domain.display import plural
from batch_assets.domain.errors import ConfigurationError
from batch_assets.domain.health import Finding
from batch_assets.stages.controls.criteria import company_of
from batch_assets.store.company_accounts import AccountStanding, CompanyAccounts
from batch_assets.store.lookups import Lookups


@dataclass(frozen=True, slots=True)
class AssignReport:
    """Which account serves a company from now on."""

    company_id: str
    company: str
    account_name: str
    before: str

    @property
    def sentence(self) -> str:
        """What holds now."""
        if self.before == self.account_name:
            return f"{self.company} is served by the account {self.account_name}, as it was before."
        return (
            f"{self.company} is served by the account {self.account_name} from now on: what waits "
            f"goes by it. What is under way was made with {self.before}, and is read with that."
        )


def assign_company(
    lookups: Lookups, company: str, account_name: str, account_names: Sequence[str], who: str
) -> AssignReport:
    """Let an account serve a company.

    Raises:
        ConfigurationError: There is no such company, or no such account in the settings.
    """
    if account_name not in account_names:
        raise ConfigurationError(
            f"There is no account '{account_name}': there are {', '.join(account_names)}, of which "
            f"BATCH_ACCOUNTS names all but {DEFAULT_ACCOUNT}."
        )
    found = company_of(lookups, company)
    accounts = CompanyAccounts(lookups.engine)
    before = accounts.of_company(found.id)
    if before != account_name:
        accounts.assign(found.id, account_name, who)
    return AssignReport(found.id, found.name, account_name, before)


def left_behind(standing: Sequence[AccountStanding], account_names: Sequence[str]) -> list[Finding]:
    """What is wrong with each account that has something and that no settings name."""
    return [_left(one) for one in standing if one.account_name not in account_names]


def _left(one: AccountStanding) -> Finding:
    made, served = "made with it", "that it serves"
    batches = plural(one.batches, f"batch {made} is", f"batches {made} are")
    companies = plural(one.companies, f"company {served} waits", f"companies {served} wait")
    parts = [f"{batches} not done with"] * bool(one.batches)
    parts += [f"{companies} to be sent for"] * bool(one.companies)
    return Finding.not_well(
        "accounts",
        f"The account {one.account_name} is not in BATCH_ACCOUNTS: {', and '.join(parts)}. All "
        "others go on.",
        "Name it there again, with its key, or give its companies to another account.",
    )
