"""The names of all commands that can be typed, as the command line itself has them."""

from collections.abc import Iterator

from typer.main import get_command

from batch_assets.cli.app import app


def every_command() -> list[str]:
    """All of them, groups too, and an empty one for what is typed without any."""
    return sorted(_names(get_command(app), ""))


def _names(command: object, name: str) -> Iterator[str]:
    yield name
    for word, one in getattr(command, "commands", {}).items():
        yield from _names(one, f"{name} {word}".strip())
