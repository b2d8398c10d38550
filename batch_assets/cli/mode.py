"""`batch-assets mode`."""

from batch_assets.cli.opening import open_database, who
from batch_assets.cli.output import console, print_json
from batch_assets.stages.controls.query_mode import choose_mode, read_mode


def mode(wanted: str | None, *, as_json: bool) -> None:
    """Print the mode of the next run; with `wanted` choose it before."""
    with open_database() as database:
        environment = database.settings.toggle().mode
        if wanted is None:
            report = read_mode(database.stored_modes, environment)
        else:
            report = choose_mode(database.stored_modes, environment, wanted, who())
    if as_json:
        print_json({"mode": report.mode, "stored": report.now, "environment": report.environment})
    else:
        console().say(report.sentence)
