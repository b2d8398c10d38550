"""The names of all commands that can be typed, as the command line itself has them."""

from typer.main import get_group

from batch_assets.cli.app import COMMANDS, app, load


def every_command() -> list[str]:
    """All of them, groups too, and an empty one for what is typed without any."""
    names = [""]
    for name, listed in get_group(app).commands.items():
        command = load(name) if name in COMMANDS else listed
        names += [name, *(f"{name} {word}" for word in getattr(command, "commands", {}))]
    return sorted(names)
