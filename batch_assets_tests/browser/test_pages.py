"""Which pages the UI's tests visit, and which pictures the tour shows."""

import io

import dagster as dg
import pytest
from PIL import Image

from batch_assets.definitions import defs
from batch_assets.domain.errors import BatchAssetsError
from browser.pages import beginning, declared_pages, scheduled_jobs
from browser.screenshots import MOST_BYTES, PICTURES, RUN, TOUR, compressed, pages_of, pictures


def test_there_is_a_page_for_whatever_is_declared() -> None:
    repository = defs.get_repository_def()
    graph = defs.resolve_asset_graph()
    jobs = [name for name in repository.job_names if not name.startswith("__")]
    assert sorted(page.name for page in declared_pages(defs)) == sorted(
        [
            *(f"asset-{key.to_user_string()}" for key in graph.get_all_asset_keys()),
            *(f"check-{key.name}" for key in graph.asset_check_keys),
            *(f"job-{name}" for name in jobs),
            *(f"launchpad-{name}" for name in jobs),
            *(f"schedule-{schedule.name}" for schedule in repository.schedule_defs),
            *(f"sensor-{sensor.name}" for sensor in repository.sensor_defs),
            *(f"resource-{name}" for name in repository.get_top_level_resources()),
        ]
    )


def test_whatever_is_declared_has_a_description() -> None:
    assert [page.name for page in declared_pages(defs) if not page.shows] == []


def test_what_has_none_is_noticed() -> None:
    bare = dg.Definitions(assets=[dg.AssetSpec("bare")])
    assert [page.shows for page in declared_pages(bare)] == [""]


def test_the_job_that_works_is_the_last_of_those_that_run_by_themselves() -> None:
    jobs = scheduled_jobs(defs)
    assert "audit_job" in jobs
    assert jobs[-1] == "batch_processing_job"


def test_a_description_begins_as_the_ui_shows_it() -> None:
    assert beginning("See `audit_job` in [the docs](docs/x.md),\n**now**.") == (
        "See audit_job in the docs, now."
    )


def test_the_tour_shows_pictures_of_pages_and_every_picture_is_shown() -> None:
    shown = pictures(TOUR.read_text(encoding="utf-8"))
    assert RUN in shown
    assert {page.name for page in pages_of(shown, defs)} == {*shown} - {RUN}
    assert {path.name for path in PICTURES.iterdir()} == {f"{name}.png" for name in shown}
    assert [path.name for path in PICTURES.iterdir() if path.stat().st_size > MOST_BYTES] == []


def test_a_picture_of_no_page_is_named() -> None:
    with pytest.raises(BatchAssetsError, match="no page for the pictures job-none of operations"):
        pages_of([RUN, "job-none"], defs)


def test_a_picture_is_made_small_and_one_that_stays_large_is_refused() -> None:
    plain = io.BytesIO()
    Image.new("RGB", (1400, 900), "white").save(plain, "BMP")
    small = compressed(plain.getvalue())
    assert Image.open(io.BytesIO(small)).mode == "P"
    assert len(small) < 10_000
    noise = io.BytesIO()
    Image.effect_noise((1400, 900), 90).save(noise, "BMP")
    with pytest.raises(BatchAssetsError, match="150,000 are the most"):
        compressed(noise.getvalue())
