"""`make screenshots`: the pictures of docs/operations.md, taken of the real UI after the demo.

That page decides which there are: a picture has the name of a page of the UI (`pages.py`).
"""

import io
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import dagster as dg
from PIL import Image

from batch_assets.definitions import defs
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.project_files import PROJECT_DIR
from batch_assets_local.batch_server import ServerConfig
from batch_assets_local.samples import DEFAULT_SEED, seed_database
from batch_assets_local.state_file import LocalStack
from browser.chromium import chromium, new_page
from browser.launchpad import Launchpad
from browser.pages import GENERAL, REPORTS, WORK, Page, declared_pages, scheduled_jobs
from browser.running import configure_server, dagster_ui, empty_stack, play_demo
from browser.systems import System, healthy_system, sick_system
from browser.window import Window

TOUR: Final = PROJECT_DIR / "docs" / "operations.md"
PICTURES: Final = TOUR.parent / "screenshots"
MOST_BYTES: Final = 150_000
COLOURS: Final = 256
STACK: Final = "ui-screenshots"
LOG: Final = PROJECT_DIR / ".local" / "ui-screenshots.log"
LAUNCHPAD: Final = "launchpad-"
TIMELINE: Final = "timeline"
OVERVIEW: Final = "asset-overview"
RUN: Final = "run"
"""The picture of the page of a run, which is none that can be found before it has run."""
OTHERS: Final[Mapping[str, Callable[[str, Path], AbstractContextManager[System]]]] = {
    "healthy-": healthy_system,
    "sick-": sick_system,
}
"""The systems of which the pictures are whose names begin so; all others are of the demos."""

DEMOS: Final[tuple[Mapping[str, Any], ...]] = (
    {},
    {"rows": [{"lines": [1], "effect": {"kind": "http_error", "status": 400}}]},
    {"rows": [{"probability": 0.05, "seed": 1, "effect": {"kind": "http_error", "status": 500}}]},
    {"batches": [{"count": 1, "end_as": "expired", "after_rows": 20}]},
)
"""How the server behaves in each demo, so that there is something to see in every plot."""

LEVELS: Final = "info|warning|error|critical"
"""Of the events of a run: the lines that its ops log, without Dagster's own."""

SEED: Final = DEFAULT_SEED + len(DEMOS)
"""Of what comes in after the demos."""

TICKS_SECONDS: Final = 125.0
"""How long the schedule may take to tick."""


def main() -> int:
    """Take every picture that the tour shows, and remove the others; 0 if all came out well."""
    try:
        wanted = pictures(TOUR.read_text(encoding="utf-8"))
        pages = pages_of(wanted, defs)
        PICTURES.mkdir(exist_ok=True)
        with empty_stack(STACK) as stack, dagster_ui(stack, LOG, {}) as url:
            began = time.monotonic()
            _make_history(stack)
            with chromium() as browser:
                window = Window(new_page(browser), url)
                _run_jobs(window, stack)
                time.sleep(max(0.0, began + TICKS_SECONDS - time.monotonic()))
                for page in pages:
                    if not page.name.startswith(tuple(OTHERS)):
                        _show(window, page)
                        _take(window, page.name)
        for prefix in OTHERS:
            _take_others(prefix, pages)
    except BatchAssetsError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    for path in PICTURES.glob("*.png"):
        if path.stem not in wanted:
            path.unlink()
    return 0


def pictures(text: str) -> list[str]:
    """The names of the pictures that a page of the docs shows, in their order, each once."""
    return list(dict.fromkeys(re.findall(r"\]\(screenshots/([^)]+)\.png\)", text)))


def pages_of(wanted: list[str], definitions: dg.Definitions) -> list[Page]:
    """The pages of these names, but for that of a run. Raises `BatchAssetsError`."""
    known = {
        f"{prefix}{page.name}": replace(page, name=f"{prefix}{page.name}")
        for page in [*GENERAL, *declared_pages(definitions)]
        for prefix in ("", *OTHERS)
    }
    missing = [name for name in wanted if name not in {*known, RUN}]
    if missing:
        raise BatchAssetsError(
            f"The UI has no page for the pictures {', '.join(missing)} of {TOUR.name}: name them "
            f"after one of {', '.join(sorted(known))}."
        )
    return [known[name] for name in wanted if name != RUN]


def compressed(picture: bytes) -> bytes:
    """A PNG with the same pixels in a palette. Raises `BatchAssetsError` when it is too large."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    written = io.BytesIO()
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    size = len(written.getvalue())
    if size > MOST_BYTES:
        raise BatchAssetsError(f"A picture has {size:,} bytes; {MOST_BYTES:,} are the most.")
    return written.getvalue()


def _make_history(stack: LocalStack) -> None:
    for config in DEMOS:
        configure_server(stack, ServerConfig.model_validate(config))
        play_demo(stack, LOG.with_suffix(".demo.log"))
    configure_server(stack, ServerConfig())


def _run_jobs(window: Window, stack: LocalStack) -> None:
    """Have each job run once, the main one with something to do; its run's page is a picture."""
    for job in scheduled_jobs(defs):
        if job == WORK:
            # Not before: the sensors would start a run for it.
            seed_database(stack.database_url, seed=SEED, now=datetime.now(UTC))
        run, ended = Launchpad(window, job).run()
        if ended != "Success":
            raise BatchAssetsError(f"Run {run} of {job} ended with {ended}: see {LOG}.")
    window.open(f"/runs/{run}?levels={LEVELS}", "Each request is in exactly one bucket")
    _take(window, RUN)


def _take_others(prefix: str, pages: list[Page]) -> None:
    """Take the pictures of one of the other systems, after a run has been launched on it."""
    log = LOG.with_suffix(f".{prefix.removesuffix('-')}.log")
    with (
        OTHERS[prefix](f"{STACK}-{prefix.removesuffix('-')}", log) as system,
        chromium() as browser,
    ):
        window = Window(new_page(browser), system.url)
        Launchpad(window, WORK).run()
        for page in pages:
            if page.name.startswith(prefix):
                window.open(page.path, page.shows)
                if page.group:
                    window.show_table()
                _keep(window, page.name)


def _show(window: Window, page: Page) -> None:
    """Open a page, and what is worth seeing on it."""
    if page.name.startswith(LAUNCHPAD):
        Launchpad(window, page.name.removeprefix(LAUNCHPAD)).show_fields()
        return
    window.open(page.path, page.shows)
    if page.name == OVERVIEW:
        window.show_table()
    elif page.group == REPORTS:
        window.show_picture()
    elif page.group:
        window.show_plots()
    elif page.name == TIMELINE:
        window.show_last_hour()


def _take(window: Window, name: str) -> None:
    complaints = window.complaints()
    if complaints:
        raise BatchAssetsError(f"The page for {name}.png is not as it should be: {complaints[0]}")
    _keep(window, name)


def _keep(window: Window, name: str) -> None:
    picture = compressed(window.page.screenshot(animations="disabled"))
    (PICTURES / f"{name}.png").write_bytes(picture)
    sys.stdout.write(f"{name}.png: {len(picture):,} bytes\n")


if __name__ == "__main__":
    sys.exit(main())
