"""Help fits a terminal of 80 columns, and the list of commands comes at once."""

import subprocess
import sys

import pytest

from batch_assets.cli.app import COMMANDS, load
from batch_assets_tests.cli.conftest import Type
from batch_assets_tests.cli.every_command import every_command

SLOW_TO_IMPORT = {"alembic", "dagster", "openai", "pydantic", "sqlalchemy"}


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


def test_the_list_imports_nothing_that_takes_long() -> None:
    program = (
        "import sys, atexit, batch_assets.cli as cli; sys.argv[1:] = ['--help'];"
        "atexit.register(lambda: print(*{name.split('.')[0] for name in sys.modules}));"
        "cli.main()"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert SLOW_TO_IMPORT.isdisjoint(loaded)
