"""What `batch-assets doctor` looks at first: the settings, and the host that it is typed on."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batch_assets.cli.dagster_instance import DEFAULT_HOME, require_dagster_yaml
from batch_assets.cli.env_file import read_env_file
from batch_assets.domain.errors import BatchAssetsError, ConfigurationError, WrongSettingsError
from batch_assets.domain.health import Finding, Health, found_wrong

if TYPE_CHECKING:
    from batch_assets.settings import Settings

SETTINGS: Final = "settings"
DISK: Final = "disk"
HOME: Final = "DAGSTER_HOME"
LEAST_FILES: Final = 256
"""Of files and connections that a process may have open: up to 100 calls are in flight."""
_BATCHES_ON_DISK: Final = 4
_MEGABYTE: Final = 1_000_000
_STORAGE: Final = "WiredPostgresStorage"
_LAUNCHER: Final = "WatchedRunLauncher"
_LIMIT: Final = ".dagster/batch_assets_exclusive"


def examine_settings() -> tuple[Settings | None, list[Finding]]:
    """Read `.env` and the environment; the settings, unless some are wrong, and all about them."""
    from batch_assets.settings import all_settings, load_settings, name_warnings

    found: list[Finding] = []
    try:
        read_env_file()
    except ConfigurationError as error:
        found += found_wrong(SETTINGS, error)
    settings: Settings | None = None
    try:
        settings = load_settings()
    except WrongSettingsError as error:
        found += [one for one in found_wrong(SETTINGS, error) if one not in found]
    named = (Finding.of_sentence(SETTINGS, Health.ATTENTION, said) for said in name_warnings())
    found += [one if one.remedy else replace(one, remedy="Leave it out.") for one in named]
    if settings is not None:
        found += _fitting(settings)
    if found:
        return settings, found
    given = sum(one.name in os.environ for one in all_settings())
    said = f"{given} of {len(all_settings())} are set, and nothing about them is wrong."
    return settings, [Finding.well(SETTINGS, said)]


def _fitting(settings: Settings) -> Iterator[Finding]:
    """What is wrong, or hardly meant, with settings that are right each by itself."""
    from batch_assets.schedules import batch_processing_schedule
    from batch_assets.settings import doubts
    from batch_assets.ticks.evaluator import TickEvaluator

    if settings.local_stack is None:
        for conflict in settings.unusable():
            yield Finding.of_sentence(SETTINGS, Health.NOT_WELL, conflict.sentence)
    for doubt in doubts(settings):
        yield Finding.attention(SETTINGS, doubt.said, doubt.remedy)
    try:
        batch_processing_schedule("batch_processing_job", TickEvaluator(settings))
    except ConfigurationError as error:
        yield from found_wrong(SETTINGS, error)


def examine_host(settings: Settings, spool_dir: Path) -> list[Finding]:
    """Look at DAGSTER_HOME, the disks, and what a process may open; nothing is made there."""
    home = settings.dagster_home or DEFAULT_HOME
    found = list(_home(settings))
    if not found:
        found.append(Finding.well(HOME, f"{home} leads to a dagster.yaml of this project."))
    disks = [*_spool(spool_dir), *_room(settings, {spool_dir, home})]
    if not disks:
        disks.append(Finding.well(DISK, f"{spool_dir} has room, and is closed to others."))
    return [*found, *disks, *_open_files()]


def _home(settings: Settings) -> Iterator[Finding]:
    home = settings.dagster_home
    if home is None:
        return  # every command puts a link to the project's file into its own
    try:
        require_dagster_yaml(home)
        text = (home / "dagster.yaml").read_text(encoding="utf-8")
    except BatchAssetsError as error:
        yield from found_wrong(HOME, error)
        return
    except (OSError, ValueError):
        yield Finding.not_well(
            HOME,
            f"{home / 'dagster.yaml'} cannot be read.",
            "Let the user who runs this read it, or copy the project's there again.",
        )
        return
    remedy = "Copy the project's dagster.yaml there again."
    if _STORAGE not in text:
        yield Finding.not_well(
            HOME,
            f"{home / 'dagster.yaml'} keeps Dagster's runs elsewhere than in the database.",
            remedy,
        )
    elif _LAUNCHER not in text:
        yield Finding.attention(
            HOME,
            f"{home / 'dagster.yaml'} is one of an older version, by which Dagster does not know "
            "when a run is dead.",
            remedy,
        )
    elif _LIMIT not in text:
        yield Finding.attention(
            HOME,
            f"{home / 'dagster.yaml'} is one of an older version, by which Dagster lets several "
            "runs that submit start at once.",
            remedy,
        )


def _spool(spool_dir: Path) -> Iterator[Finding]:
    from batch_assets.openai_batch.spool import require_usable

    try:
        require_usable(spool_dir)
    except ConfigurationError as error:
        yield Finding.of_sentence(DISK, Health.NOT_WELL, str(error))


def _room(settings: Settings, places: set[Path]) -> Iterator[Finding]:
    """Whether some batches fit on the disk of each place, as large as they may be."""
    for place in sorted(places):
        nearest = next(one for one in (place, *place.parents) if one.exists())
        free = shutil.disk_usage(nearest).free
        if free < _BATCHES_ON_DISK * settings.max_batch_bytes:
            is_full = free < settings.max_batch_bytes
            yield Finding(
                DISK,
                Health.NOT_WELL if is_full else Health.ATTENTION,
                f"The disk of {place} has {free / _MEGABYTE:,.0f} MB left, where a batch may take "
                f"{settings.max_batch_bytes / _MEGABYTE:,.0f} MB (BATCH_MAX_BYTES).",
                "Make room there, or choose another place with BATCH_SPOOL_DIR or DAGSTER_HOME.",
            )


def _open_files() -> Iterator[Finding]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < LEAST_FILES:
        yield Finding.attention(
            "open files",
            f"A process may open {soft:,} files and connections here.",
            f"Raise that to {LEAST_FILES:,} or more (`ulimit -n`, or LimitNOFILE of systemd).",
        )
