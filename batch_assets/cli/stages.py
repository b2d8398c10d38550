"""`batch-assets reset-stages`."""

from dataclasses import asdict

from batch_assets.cli.opening import open_database
from batch_assets.cli.output import console, print_json
from batch_assets.stages.controls.reset import correct_stages


def reset(*, dry_run: bool, as_json: bool) -> None:
    """Let the stage of each session say what its requests do, or say how many would be changed."""
    with open_database() as database:
        report = correct_stages(database.engine, dry_run=dry_run)
    if as_json:
        print_json(asdict(report))
        return
    for line in report.sentences:
        console().say(line)
