"""Every page of the UI opens, shows what it is about, and says no word of an error."""

import pytest
from playwright.sync_api import expect

from batch_assets.definitions import defs
from browser.launchpad import Launchpad
from browser.pages import GENERAL, REPORTS, Page, declared_pages, scheduled_jobs
from browser.window import Window

PAGES = [*GENERAL, *declared_pages(defs)]
TICK_MILLISECONDS = 90_000
"""The schedule of the job ticks each minute here, and sensors more often."""


@pytest.fixture(scope="module")
def runs(shared_window: Window) -> dict[str, str]:
    """How one run of each job that runs by itself has ended."""
    return {job: Launchpad(shared_window, job).run()[1] for job in scheduled_jobs(defs)}


def test_each_job_that_runs_by_itself_succeeds(runs: dict[str, str]) -> None:
    assert set(runs.values()) == {"Success"}


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_a_page_opens_and_says_what_it_is_about(page: Page, shared_window: Window) -> None:
    window = shared_window
    assert page.shows, f"{page.name} has no description"
    window.open(page.path, page.shows)
    # Dagster leads to another page from one that it does not have.
    assert window.page.url == window.url + page.path
    if page.group == REPORTS:
        assert window.show_picture() == 1
    elif page.group:
        assert window.show_plots() > 0
    if page.name.startswith("check-"):
        assert "Evaluation result Not evaluated" not in window.text()
    if page.name.startswith("sensor-") or page.name == "schedule-batch_processing_schedule":
        never = window.page.get_by_text("has never run")
        expect(never).to_have_count(0, timeout=TICK_MILLISECONDS)
    assert window.complaints() == []


def test_what_is_wrong_with_a_page_is_noticed(window: Window) -> None:
    window.open("/locations/batch_assets/jobs/no_such_job", "no_such_job")
    assert window.complaints() != []
