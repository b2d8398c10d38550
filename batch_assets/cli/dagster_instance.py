"""Dagster's home and instance, as every command that needs them finds them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import dagster as dg

from batch_assets.domain.errors import ConfigurationError
from batch_assets.project_files import IS_CLONE, PROJECT_DIR, PROJECT_FILES
from batch_assets.resources.dagster_storage import SaidByDagsterError
from batch_assets.resources.run_executor import EXCLUSIVE
from batch_assets.resources.run_launcher import IN_PROCESS, RunWatch
from batch_assets.settings import load_settings

WORKSPACE: Final = PROJECT_FILES / "workspace.yaml"
"""What Dagster's programs are told of our code."""
# From a clone's `.local/dagster`, so that the clone may be moved.
_SOURCE: Final = Path("..", "..", "dagster.yaml") if IS_CLONE else PROJECT_FILES / "dagster.yaml"
_QUEUE_PATIENCE: Final = timedelta(minutes=1)


def dagster_home() -> Path:
    """DAGSTER_HOME if it is set, else a directory of ours that leads to the project's file.

    Also makes the project the working directory, since paths in `dagster.yaml` begin there.

    Raises:
        ConfigurationError: It is none, or cannot be made.
    """
    os.chdir(PROJECT_DIR)
    given = load_settings().dagster_home
    if given is not None:
        if not (given / "dagster.yaml").is_file():
            raise ConfigurationError(
                f"DAGSTER_HOME is '{given}', where there is no dagster.yaml: copy the project's "
                "there, or leave DAGSTER_HOME unset."
            )
        return given
    home = PROJECT_DIR / ".local" / "dagster"
    try:
        home.parent.mkdir(mode=0o700, exist_ok=True)
        home.mkdir(exist_ok=True)
        _lead(home / "dagster.yaml", _SOURCE)
    except OSError as error:
        raise ConfigurationError(
            f"Dagster's files cannot be kept in {home} ({error.strerror}): "
            "set DAGSTER_HOME to a directory with a copy of dagster.yaml in it."
        ) from None
    return home


@contextmanager
def open_instance() -> Iterator[dg.DagsterInstance]:
    """Open Dagster's instance, with the records of dead runs closed.

    Raises:
        BatchAssetsError: With the sentence that Dagster's own commands would print.
    """
    try:
        opened = dg.DagsterInstance.from_config(str(dagster_home()))
    except SaidByDagsterError as error:
        raise error.meant from None
    with opened as instance:
        RunWatch().close_dead_runs(instance)
        yield instance


def active_run(instance: dg.DagsterInstance) -> str | None:
    """The id of a run that has not ended and may submit: of the job or of force_batch_job.

    One that has been queued for a while does not count if nothing else is under way: there is no
    daemon to take it, and one that comes lets it wait for whatever is started now. Nor does one
    from the future: a session in local time has kept it, before ours were in UTC.
    """
    now = datetime.now(UTC)
    for which in (
        dg.RunsFilter(tags=dict(EXCLUSIVE), statuses=list(IN_PROCESS)),
        dg.RunsFilter(
            tags=dict(EXCLUSIVE),
            statuses=[dg.DagsterRunStatus.QUEUED],
            created_after=now - _QUEUE_PATIENCE,
            created_before=now + _QUEUE_PATIENCE,
        ),
    ):
        for run in instance.get_runs(which, limit=1):
            return run.run_id
    return None


def _lead(link: Path, source: Path) -> None:
    """Let the link lead to the file, if it does not lead to one yet."""
    if not link.exists():
        link.unlink(missing_ok=True)  # it leads to an environment that is gone
        with suppress(FileExistsError):
            link.symlink_to(source)
