"""The metrics of runs as Prometheus reads them: counters of what runs moved, levels of the last.

Counters begin at 0 with the process, as Prometheus expects of them, and take in each run once, when
a scrape first finds it recorded. What a metric means is written in `domain.metrics` alone; its name
is the key there with a prefix, `_total` on counters, and a ratio in place of a percentage.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from batch_assets.domain.alerts.records import AlertState
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.domain.logs import open_log
from batch_assets.domain.metrics import MetricType, metric_types
from batch_assets.store.lists import Lists
from batch_assets.store.metrics import MetricHistory

log = open_log(__name__)

PREFIX: Final = "batch_assets_"
_LATE: Final = timedelta(minutes=10)
"""A run may become visible so long after the moment that its record bears."""
_FIRST_LOOK: Final = timedelta(days=1)
"""How far back the first scrape looks for the last run."""
_PERCENT: Final = "_percent"


class RunCollector(Collector):
    """Collects from `run_metric` and `alert`, a statement each; threads may share it."""

    def __init__(self, engine: Engine, began_at: datetime) -> None:
        """Runs that were recorded from `began_at` on are counted."""
        self._history = MetricHistory(engine)
        self._lists = Lists(engine)
        self._began_at = began_at
        self._types = metric_types()
        self._sums: Counter[str] = Counter()
        self._runs: Counter[str] = Counter()
        self._counted: dict[str, datetime] = {}
        """The runs that are in the sums and may be read again, by id."""
        self._last: Mapping[str, Any] | None = None
        self._alerts: Sequence[AlertState] = ()
        self._is_up = True
        self._lock = Lock()

    def describe(self) -> Iterator[Metric]:
        """Nothing: a registry would else collect once to know the names."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; without the database only that it cannot be read."""
        with self._lock:
            self._see()
            yield _gauge("up", "1 if the database could be read for this scrape", self._is_up)
            if not self._is_up:
                return
            yield from self._counters()
            yield self._raised()
            if self._last is not None:
                yield from self._gauges(self._last)

    def _see(self) -> None:
        """Take in new runs, if the database can be read; that it cannot is logged once."""
        try:
            self._take_in(datetime.now(UTC))
        except (BatchAssetsError, SQLAlchemyError) as error:
            if self._is_up:
                log.warning("The metrics of runs cannot be read: %s", type(error).__name__)
            self._is_up = False
        else:
            self._is_up = True

    def _take_in(self, now: datetime) -> None:
        self._alerts = self._lists.alerts()
        since = now - _FIRST_LOOK if self._last is None else self._last["recorded_at"] - _LATE
        for run in self._history.runs(since, now + _LATE):
            self._last = run
            if run["recorded_at"] < self._began_at or run["run_id"] in self._counted:
                continue
            self._counted[run["run_id"]] = run["recorded_at"]
            self._runs[run["mode"]] += 1
            for key, kind in self._types.items():
                if kind.adds_up:
                    self._sums[key] += run[key] or 0
        self._counted = {run: at for run, at in self._counted.items() if at >= since - _LATE}

    def _counters(self) -> Iterator[Metric]:
        runs = CounterMetricFamily(
            f"{PREFIX}runs", "Runs of the job that recorded their metrics", labels=("mode",)
        )
        for mode, number in sorted(self._runs.items()):
            runs.add_metric((mode,), number)
        yield runs
        for key, kind in self._types.items():
            if kind.adds_up:
                yield CounterMetricFamily(f"{PREFIX}{key}", kind.meaning, self._sums[key])

    def _raised(self) -> Metric:
        raised = GaugeMetricFamily(
            f"{PREFIX}alert",
            "1 while an alert is raised, 0 once it is resolved; there if it was ever raised",
            labels=("name", "severity"),
        )
        for alert in self._alerts:
            raised.add_metric((alert.name, alert.severity), float(alert.is_raised))
        return raised

    def _gauges(self, last: Mapping[str, Any]) -> Iterator[Metric]:
        yield _gauge(
            "last_run_timestamp_seconds",
            "When the last run recorded its metrics",
            last["recorded_at"].timestamp(),
        )
        for key, kind in self._types.items():
            if not kind.adds_up and last[key] is not None:
                yield _level(key, kind, last[key])


def _level(key: str, kind: MetricType, value: float) -> Metric:
    if key.endswith(_PERCENT):
        return _gauge(f"{key.removesuffix(_PERCENT)}_ratio", kind.meaning, value / 100)
    return _gauge(key, kind.meaning, value)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}{name}", meaning, value)
