"""What is foreseen on each kind of server comes true: when batches are done, and what they cost.

Batches are really sent, and the clocks of the server and of the database put forward. Each batch
takes as long as a server happens to need, with a long tail; what is foreseen after the first wave
is compared with what the next ones have really taken, and with what the ledger says of them.
"""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from math import exp
from statistics import NormalDist
from typing import Final

import pytest

from batch_assets.domain.forecasts import Forecast, foresee
from batch_assets.domain.metrics import RunMetrics
from batch_assets.domain.money import read_price
from batch_assets.domain.turnarounds import Basis
from batch_assets.stages.forecasts import look_ahead
from batch_assets.store.metrics import Metrics
from batch_assets_local.batch_server.profiles.played import Server
from batch_assets_tests.stages.support import Lab, wait_until
from batch_assets_tests.stages.test_servers import playing
from batch_assets_tests.stages.time_passing import Clock

ROWS: Final = 8
"""Of each batch."""
LENGTHS: Final = (2, 4, 9, 14)
"""Messages of the conversations, a quarter of them each."""
PRICE: Final = (2.0, 0.5, 8.0)
RATE: Final = 0.8
STEP_SECONDS: Final = 450.0
"""From one look at the server to the next."""
MEDIAN_SECONDS: Final = 3_600.0


def stalled(batches: int, seed: int) -> list[dict[str, object]]:
    """For how long each of so many batches keeps the server busy: log-normal, in any order."""
    quantiles = [(number + 0.5) / batches for number in range(batches)]
    seconds = [MEDIAN_SECONDS * exp(0.5 * NormalDist().inv_cdf(part)) for part in quantiles]
    random.Random(seed).shuffle(seconds)
    return [{"end_as": "stalled", "stalled_seconds": one, "count": 1} for one in seconds]


class World:
    """One company on one kind of server, whose time passes in steps."""

    def __init__(self, lab: Lab, name: Server) -> None:
        self.lab = lab
        self._name = name
        self._clock = Clock(lab, moves_server=True, plays=name)
        self.company_id, _ = lab.company(0)

    def want(self, requests: int) -> None:
        """Let so many more requests wait, of all lengths."""
        for length in LENGTHS:
            self.lab.more(self.company_id, requests // len(LENGTHS), messages=length)

    def send(self, seed: int) -> int:
        """Send what waits; how many batches."""
        waiting = self.lab.bucket_counts()["waiting"]
        self._clock.configure(plays=self._name, batches=stalled(-(-waiting // ROWS), seed))
        return self.lab.submit().batches

    def go_on(self, seconds: float) -> float:
        """Let time pass, with a look at the server after each step; how much has passed."""
        began = self._clock.passed
        until = began + seconds
        in_flight = 1
        while self._clock.passed < until and in_flight:
            self._clock.let_pass(STEP_SECONDS)
            wait_until(self._has_settled)
            in_flight = self.lab.poll().in_flight
        self.lab.ingest()
        return self._clock.passed - began

    def _has_settled(self) -> bool:
        """Whether the server has done what is due by its clock."""
        service = self.lab.server.service
        due = service.batches.next_due()
        return due is None or (due.due_at or 0.0) > service.config.now()

    def foresee(self) -> Forecast:
        pipeline = self.lab.pipeline
        seen = look_ahead(self.lab.desk.engine, pipeline.policy, pipeline.api.profile)
        return foresee(seen.standing, seen.rule).in_all

    def turnarounds(self) -> Sequence[float]:
        """What each of the newest batches has taken, in order."""
        return self.lab.desk.column(
            "SELECT extract(epoch FROM b.ended_at - b.submitted_at)::float8"
            " FROM batch_assets.batch AS b ORDER BY b.claimed_at, b.id"
        )

    def metrics(self) -> RunMetrics:
        """Those of a run that ends now."""
        known = RunMetrics(run_id="run-1", recorded_at=datetime.now(UTC), mode="optimized")
        return Metrics(self.lab.desk.engine).record(known, None, 1, "an account").metrics

    def billed_eur(self) -> float:
        """What the server has billed so far, at the price of a batch."""
        usd = 0.0
        for entry in self.lab.server.ledger().entries():
            fresh = entry.prompt_tokens - entry.cached_tokens
            tokens = (fresh, entry.cached_tokens, entry.completion_tokens)
            usd += sum(count * rate for count, rate in zip(tokens, PRICE, strict=True)) / 1e6
        return usd * RATE * self.lab.pipeline.api.profile.price_factor


def quantile(of: Sequence[float], part: float) -> float:
    return sorted(of)[round(part * len(of)) - 1]


@pytest.mark.parametrize(
    ("pipeline", "name"),
    [
        ("optimized", "openai"),
        ("optimized", "dashscope"),
        ("optimized", "together"),
        ("original", "openai"),
    ],
    indirect=["pipeline"],
)
def test_what_is_foreseen_comes_true(lab: Lab, name: Server) -> None:
    policy = {"max_batch_requests": ROWS, "usd_to_eur": RATE}
    prices = {"gpt-4o-mini": read_price("/".join(map(str, PRICE)))}
    with playing(lab.under(model_prices=prices, **policy), name) as there:
        world = World(there, name)
        world.want(208)
        first = world.foresee().waiting
        assert (first.basis, first.unpriced) == (Basis.WINDOW, 0), "a claim estimates them"
        assert first.p90_seconds == 86_400
        assert world.send(seed=1) == 26
        world.go_on(86_400)
        billed = world.billed_eur()

        world.want(120)
        assert world.send(seed=2) == 15
        world.want(40)
        foreseen = world.foresee()
        passed = world.go_on(0.75 * MEDIAN_SECONDS)
        later = world.foresee().in_flight
        world.go_on(86_400)
        taken = world.turnarounds()[26:]
        assert foreseen.in_flight.basis is not Basis.WINDOW
        assert foreseen.in_flight.p50_seconds == pytest.approx(quantile(taken, 0.5), rel=0.2)
        assert foreseen.in_flight.p90_seconds == pytest.approx(quantile(taken, 0.9), rel=0.2)
        running_on = [seconds for seconds in taken if seconds > passed + STEP_SECONDS / 2]
        assert later.requests == ROWS * len(running_on)
        assert later.p90_seconds is not None
        assert later.p90_seconds + passed == pytest.approx(quantile(running_on, 0.9), rel=0.2)

        assert foreseen.waiting.p90_seconds == pytest.approx(quantile(taken, 0.9), rel=0.2)
        assert world.send(seed=3) == 5
        world.go_on(86_400)
        cost = foreseen.in_flight.cost_eur + foreseen.waiting.cost_eur
        assert cost == pytest.approx(world.billed_eur() - billed, rel=0.05)
        error = world.metrics().batch_turnaround.forecast_turnaround_error_percent
        assert error == pytest.approx(0, abs=20)
