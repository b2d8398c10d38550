"""Which pages the UI has for what is declared, and what each has to show. Read, not typed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

import dagster as dg

LOCATION: Final = "/locations/batch_assets"
WORK: Final = "batch_processing_job"
REPORTS: Final = "reports"
"""The group of the assets that have a picture."""
_WORDS: Final = 12


@dataclass(frozen=True)
class Page:
    """A page of the UI."""

    name: str
    """What it is about, such as `asset-row_conservation`; its test and its picture go by it."""
    path: str
    shows: str
    """A text that is on it once it is complete; empty when what it is about has no description."""
    group: str = ""
    """Of an asset that is materialized: its group."""


GENERAL: Final = (
    Page("timeline", "/overview/activity/timeline", "batch_processing_job"),
    Page("runs", "/runs", "batch_processing_job"),
    Page("catalog", "/assets", "row_conservation"),
    Page("lineage", "/asset-groups", "reports"),
    Page("jobs", "/jobs", "batch_processing_job"),
    Page("automation", "/automation", "batch_processing_schedule"),
    Page("code-location", LOCATION, "Loaded"),
    Page("deployment", "/deployment/locations", "Loaded"),
    Page("daemons", "/deployment/daemons", "Scheduler"),
    Page("configuration", "/deployment/config", "dequeue_interval_seconds"),
)


def declared_pages(definitions: dg.Definitions) -> Iterator[Page]:
    """A page for each asset, check, job, schedule, sensor and resource, and each Launchpad."""
    yield from _assets_and_checks(definitions)
    repository = definitions.get_repository_def()
    for job in repository.get_all_jobs():
        if not job.name.startswith("__"):
            path = f"{LOCATION}/jobs/{job.name}"
            yield Page(f"job-{job.name}", path, beginning(job.description))
            yield Page(f"launchpad-{job.name}", f"{path}/playground", "Launch Run")
    for schedule in repository.schedule_defs:
        path = f"{LOCATION}/schedules/{schedule.name}"
        yield Page(f"schedule-{schedule.name}", path, beginning(schedule.description))
    for sensor in repository.sensor_defs:
        path = f"{LOCATION}/sensors/{sensor.name}"
        yield Page(f"sensor-{sensor.name}", path, beginning(sensor.description))
    for name, resource in repository.get_top_level_resources().items():
        path = f"{LOCATION}/resources/{name}"
        yield Page(f"resource-{name}", path, beginning(resource.description))


def scheduled_jobs(definitions: dg.Definitions) -> list[str]:
    """The jobs that run by themselves; the one that does the work is the last."""
    schedules = definitions.get_repository_def().schedule_defs
    return sorted((schedule.job_name for schedule in schedules), key=lambda job: job == WORK)


def asset_path(key: dg.AssetKey) -> str:
    """The path of an asset's page."""
    return "/assets/" + "/".join(quote(part, safe="") for part in key.path)


def beginning(description: str | None) -> str:
    """The first words of a description, as the UI shows them: without the marks of Markdown."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", description or "")
    return " ".join(re.sub(r"[`*]", "", plain).split()[:_WORDS])


def _assets_and_checks(definitions: dg.Definitions) -> Iterator[Page]:
    graph = definitions.resolve_asset_graph()
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        # A table is what others write: nothing of it is materialized, so nothing is plotted.
        group = "" if node.tags.get("batch_assets/kind") == "table" else node.group_name
        text = beginning(node.description)
        yield Page(f"asset-{key.to_user_string()}", asset_path(key), text, group)
    for check in sorted(graph.asset_check_keys, key=str):
        spec = graph.get_check_spec(check)
        view = urlencode({"view": "checks", "checkDetail": check.name})
        path = f"{asset_path(check.asset_key)}?{view}"
        yield Page(f"check-{check.name}", path, beginning(spec.description))
