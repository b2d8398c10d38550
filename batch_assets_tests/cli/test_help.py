"""Help fits a terminal of 80 columns, and the list of commands comes at once."""

import subprocess
import sys

import pytest

from batch_assets.cli.app import COMMANDS, load
from batch_assets_tests.cli.conftest import Type
from batch_assets_tests.cli.every_command import every_command

SLOW_TO_IMPORT = {"pydantic"}
SLOWEST_TO_IMPORT = {
    "alembic",
    "dagster",
    "httpx2",
    "matplotlib",
    "openai",
    "psycopg",
    "sqlalchemy",
}


@pytest.mark.parametrize("command", every_command())
def test_help_fits_80_columns(typed: Type, command: str) -> None:
    outcome = typed(*command.split(), "--help")
    assert outcome.code == 0
    assert f"Usage: batch-assets {command}" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_its_own_help_says(name: str) -> None:
    _, line = COMMANDS[name]
    assert load(name).help == line


def loaded_after(*commands: str) -> set[str]:
    """The packages that a process has imported once it has shown the help of these commands."""
    program = f"""
import sys
from batch_assets.cli import main
for command in {list(commands)}:
    sys.argv[1:] = [*command.split(), "--help"]
    try:
        main()
    except SystemExit as end:
        assert end.code == 0, command
print(*{{name.split(".")[0] for name in sys.modules}})
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(ended.stdout.splitlines()[-1].split())


def test_the_list_imports_nothing_that_takes_long() -> None:
    assert loaded_after("").isdisjoint(SLOW_TO_IMPORT)


def test_the_help_of_no_command_imports_what_takes_longest() -> None:
    assert loaded_after(*every_command()).isdisjoint(SLOW_TO_IMPORT - {"pydantic"})
