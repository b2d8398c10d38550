"""`batch-assets reset`."""

from collections.abc import Sequence

from batch_assets.cli.opening import open_database, who
from batch_assets.cli.output import console, print_json
from batch_assets.domain.errors import ConfigurationError
from batch_assets.stages.controls import reset as stage


def reset(names: Sequence[str], *, every: bool, dry_run: bool, as_json: bool) -> None:
    """Close breakers and end cooldowns, those that are named or all; without any the pause, too."""
    if names and every:
        raise ConfigurationError("Give names or say --all, not both.")
    with open_database() as database:
        report = stage.resume(database.engine, names, who(), dry_run=dry_run)
    if as_json:
        print_json(
            {
                "dry_run": report.dry_run,
                "operations": report.operations,
                "account_resumed": report.account,
                "schedule_resumed": report.schedule,
            }
        )
        return
    for line in report.sentences:
        console().say(line)
