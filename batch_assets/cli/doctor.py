"""`batch-assets doctor`: looks at everything before money is spent, and changes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

import typer

from batch_assets.cli.conventions import AsJson, plural, print_json
from batch_assets.cli.doctor_database import examine_database
from batch_assets.cli.doctor_host import examine_host, examine_settings
from batch_assets.cli.doctor_server import examine_dagster, examine_server
from batch_assets.cli.opening import server_of
from batch_assets.cli.screen import Screen, console
from batch_assets.domain.errors import BatchAssetsError, WrongSettingsError
from batch_assets.domain.health import Finding, Health, found_wrong, worst

if TYPE_CHECKING:
    from batch_assets.settings import Settings

commands = typer.Typer()

NOT_YET: Final = Finding.attention(
    "the rest",
    "Database, server and Dagster were not looked at: that takes settings that say where they are.",
    "Put the settings right, and type `batch-assets doctor` again.",
)
_STYLES: Final = {Health.WELL: "green", Health.ATTENTION: "yellow", Health.NOT_WELL: "bold red"}


@commands.command()
def doctor(as_json: AsJson = False) -> None:
    """Look for what is wrong before money is spent; exit 10 or 11 if anything is."""
    found = examine()
    health = worst(found)
    if as_json:
        print_json({"health": health, "findings": [asdict(one) for one in found]})
    else:
        show(console(), found)
    if health is not Health.WELL:
        raise typer.Exit(health.exit_code)


def examine() -> Sequence[Finding]:
    """All that is looked at, each with what was found; what depends on wrong settings is left."""
    settings, found = examine_settings()
    if settings is None:
        return [*found, NOT_YET]
    return [*found, *_examine_places(settings)]


def _examine_places(settings: Settings) -> Sequence[Finding]:
    """What the settings lead to."""
    from batch_assets.wiring import connect

    try:
        endpoints = connect(settings)
    except BatchAssetsError as error:
        is_known = isinstance(error, WrongSettingsError)
        return [*([] if is_known else found_wrong("local stack", error)), NOT_YET]
    return [
        *examine_host(settings, endpoints.spool_dir),
        *examine_database(settings, endpoints),
        *examine_server(endpoints, server_of(endpoints)),
        *_examine_accounts(settings),
        *examine_dagster(settings, endpoints),
    ]


def _examine_accounts(settings: Settings) -> Iterator[Finding]:
    """The servers of further accounts, each finding with the name of its account."""
    from batch_assets.wiring import connect

    for name in settings.account_names[1:]:
        try:
            endpoints = connect(settings.of_account(name))
        except BatchAssetsError as error:
            yield from found_wrong(f"account {name}", error)
        else:
            for one in examine_server(endpoints, server_of(endpoints)):
                yield replace(one, about=f"{one.about} (account {name})")


def show(shown: Screen, found: Sequence[Finding]) -> None:
    """Print the findings in their order, and how all of it is."""
    for one in found:
        shown.say(f"{one.about}: {one.health}", style=_STYLES[one.health])
        shown.say(one.said, indent=2)
        if one.remedy:
            shown.say(f"To do: {one.remedy}", indent=2)
    numbers = Counter(one.health for one in found)
    wrong = [
        f"{plural(numbers[health], 'finding')} {words}"
        for health, words in _WRONG.items()
        if numbers[health]
    ]
    health = worst(found)
    summary = f"{' and '.join(wrong)}." if wrong else "Nothing is wrong."
    shown.say(f"\n{str(health).capitalize()}. {summary}", style=_STYLES[health])


_WRONG: Final = {Health.NOT_WELL: "to put right", Health.ATTENTION: "to look at"}
