"""What Prometheus reads: parsed by its own client library, from runs in a real database."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from batch_assets.domain.alerts.records import Change, Severity
from batch_assets.domain.metrics import RunMetrics, metric_types
from batch_assets.store.alerts import Alerts
from batch_assets.store.engine import open_engine
from batch_assets.store.tables.runs import run_metric
from batch_assets.telemetry.prometheus import PREFIX, RunCollector

NOW = datetime.now(UTC)
LEVELS = [key for key, kind in metric_types().items() if not kind.adds_up]
SUMS = [key for key, kind in metric_types().items() if kind.adds_up]


class Scraped:
    """A registry with the one collector."""

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(RunCollector(engine, NOW))

    def __call__(self) -> dict[str, float]:
        """Every sample without its prefix, a label's value behind the name."""
        written = generate_latest(self._registry).decode()
        return {
            " ".join([sample.name.removeprefix(PREFIX), *sample.labels.values()]): sample.value
            for family in text_string_to_metric_families(written)
            for sample in family.samples
        }


@pytest.fixture
def scraped(module_engine: Engine) -> Iterator[Scraped]:
    yield Scraped(module_engine)
    with module_engine.begin() as connection:
        connection.execute(run_metric.delete())


def record(engine: Engine, run_id: str, minutes: float, **known: Any) -> None:
    """A run that has recorded its metrics so many minutes after the exporter's beginning."""
    run = RunMetrics(run_id, NOW + timedelta(minutes=minutes), "optimized")
    row = {"run_id": run_id, "recorded_at": run.recorded_at, "mode": run.mode, **run.by_key()}
    with engine.begin() as connection:
        connection.execute(run_metric.insert(), {**row, **known})


def test_a_run_is_counted_once_however_often_it_is_seen(
    scraped: Scraped, module_engine: Engine
) -> None:
    record(module_engine, "before", -5, completed_requests=100)
    record(module_engine, "first", 1, completed_requests=7, cost_eur=0.25)
    assert scraped()["completed_requests_total"] == 7
    record(module_engine, "second", 2, completed_requests=5, cost_eur=0.5)
    scraped()
    # It was recorded before the second, and is visible only now.
    record(module_engine, "late", 1.5, completed_requests=1)
    assert {scraped()["completed_requests_total"] for _ in range(3)} == {13}
    assert scraped()["cost_eur_total"] == 0.75
    assert scraped()["runs_total optimized"] == 3


def test_levels_are_the_last_runs(scraped: Scraped, module_engine: Engine) -> None:
    record(module_engine, "first", -3, dead_letters=9, lookup_hit_rate_percent=80.0)
    record(module_engine, "last", -2, dead_letters=2, lookup_hit_rate_percent=75.0)
    found = scraped()
    assert (found["dead_letters"], found["lookup_hit_rate_ratio"]) == (2, 0.75)
    assert found["last_run_timestamp_seconds"] == pytest.approx(
        (NOW - timedelta(minutes=2)).timestamp()
    )


def test_what_the_last_run_could_not_know_is_missing_and_never_zero(
    scraped: Scraped, module_engine: Engine
) -> None:
    record(module_engine, "first", -3, waiting_requests=4)
    record(module_engine, "last", -2, waiting_requests=None)
    assert "waiting_requests" not in scraped()


def test_an_alert_is_there_with_its_state(scraped: Scraped, module_engine: Engine) -> None:
    change = Change("queue_age", True, Severity.ERROR, "The oldest has waited 4 h.")
    alerts = Alerts(module_engine)
    alerts.change([change], NOW)
    assert scraped()["alert queue_age ERROR"] == 1
    alerts.change([replace(change, is_raised=False)], NOW + timedelta(minutes=1))
    assert scraped()["alert queue_age ERROR"] == 0


def test_every_metric_has_its_meaning_and_its_type(module_engine: Engine, scraped: Scraped) -> None:
    known = dict.fromkeys(LEVELS, 1)
    record(module_engine, "last", -2, **known)
    found = scraped()
    assert {f"{key}_total" for key in SUMS} <= found.keys()
    assert {key.replace("_percent", "_ratio") for key in LEVELS} <= found.keys()
    registry = CollectorRegistry()
    registry.register(RunCollector(module_engine, NOW))
    written = generate_latest(registry).decode()
    families = {one.name: one for one in text_string_to_metric_families(written)}
    for key, kind in metric_types().items():
        family = families[PREFIX + key.replace("_percent", "_ratio")]
        assert family.type == ("counter" if kind.adds_up else "gauge")
        assert family.documentation == kind.meaning


def test_before_the_first_run_there_are_counters_and_no_levels(scraped: Scraped) -> None:
    found = scraped()
    assert (found["up"], found["completed_requests_total"]) == (1, 0)
    assert not {"last_run_timestamp_seconds", "dead_letters"} & found.keys()


def test_a_database_that_is_gone_is_said_and_no_figure_made_up(
    module_engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = open_engine("postgresql://somebody:geheim@127.0.0.1:9/livedash")
    scraped = Scraped(nowhere)
    assert [scraped(), scraped()] == [{"up": 0}, {"up": 0}]
    assert caplog.text.count("cannot be read") == 1
    assert "geheim" not in caplog.text
    nowhere.dispose()
