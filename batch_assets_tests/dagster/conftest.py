"""What the tests of the Dagster layer share: an instance, a server, and the job on both."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from batch_assets.definitions import build_definitions
from batch_assets.settings import load_settings
from batch_assets.wiring import Endpoints
from batch_assets_local.batch_server.config import ServerConfig
from batch_assets_local.batch_server.running import RunningServer, running_server
from batch_assets_tests.given_wiring import given_wiring

RunJob = Callable[..., dg.ExecuteInProcessResult]

NOWHERE = "http://127.0.0.1:9/v1"
"""Port 9 is refused at once: nothing listens there."""

ANSWER = {
    "language": "nl",
    "sentiment": "POSITIVE",
    "escalated": False,
    "forwarded_hr": True,
    "category": "SCHEDULE_HOURS",
    "questions": ["Kan ik vrijdag vrij krijgen?"],
    "summary": "De medewerker vraagt vrijdag vrij.",
}


def answer(_messages: list[dict[str, Any]], _format: dict[str, Any] | None) -> str:
    """What the server's model says to every conversation."""
    return json.dumps(ANSWER)


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    """Shared by a module's tests; in memory, since files would take most of a run's time."""
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(scope="module")
def instance_in_files() -> Iterator[dg.DagsterInstance]:
    """One that can be opened again, as ticks do. Shared, too: it takes a second to make."""
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def api(tmp_path: Path) -> Iterator[RunningServer]:
    """A Batch API server that gives the same analysis for every conversation, at once."""
    with running_server(
        tmp_path / "server", config=ServerConfig.instant(), answerer=answer
    ) as server:
        yield server


@pytest.fixture
def run_job(instance: dg.DagsterInstance, tmp_path: Path) -> RunJob:
    """Runs the job in this process: on a database, an API server, and with settings."""
    return job_runner(instance, tmp_path / "spool")


def job_runner(instance: dg.DagsterInstance, spool_dir: Path) -> RunJob:
    """What runs jobs on that instance.

    Unless the settings say otherwise each run asks for the companies, since a test's come and go.
    Definitions are kept, as the processes of Dagster keep them: what connects is made for each run.
    """
    made: dict[tuple[object, ...], dg.Definitions] = {}

    def run(
        database_url: str,
        *,
        job_name: str = "batch_processing_job",
        base_url: str = NOWHERE,
        api_key: str = "sk-test",
        environ: Mapping[str, str] | None = None,
        checks: Sequence[str] | None = None,
        assets: Sequence[str] | None = None,
        run_config: Mapping[str, Any] | None = None,
    ) -> dg.ExecuteInProcessResult:
        endpoints = Endpoints(
            database_url=database_url,
            dagster_database_url=database_url,
            api_key=api_key,
            base_url=base_url,
            spool_dir=spool_dir,
            is_local=False,
        )
        given = {"COMPANY_CACHE_SECONDS": "0", **(environ or {})}
        place = (endpoints, *sorted(given.items()))
        if place not in made:
            wiring = given_wiring(load_settings(given), endpoints)
            made[place] = build_definitions(wiring)
        definitions = made[place]
        job = definitions.resolve_job_def(job_name)
        if checks is not None:
            known = definitions.resolve_asset_graph().asset_check_keys
            job = job.get_subset(asset_check_selection={key for key in known if key.name in checks})
        return job.execute_in_process(
            run_config=run_config,
            instance=instance,
            raise_on_error=False,
            asset_selection=None if assets is None else [dg.AssetKey(name) for name in assets],
        )

    return run
