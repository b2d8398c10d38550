"""The four timers of the replaced system, one tick each."""

import time
from dataclasses import dataclass, field

from openai import APIStatusError, OpenAI
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from batch_assets_tests.defects.replaced.checking import check_statuses
from batch_assets_tests.defects.replaced.creating import active_companies, create_batch
from batch_assets_tests.defects.replaced.processing import process_results
from batch_assets_tests.defects.replaced.retrying import retry_failed


@dataclass
class Breaker:
    """Opens for five minutes after five failures, whatever they were and whoever met them (19)."""

    failures: int = 0
    opened_at: float | None = None

    @property
    def is_open(self) -> bool:
        return self.opened_at is not None and time.monotonic() - self.opened_at < 300

    def count(self) -> None:
        self.failures += 1
        if self.failures >= 5:
            self.opened_at = time.monotonic()


@dataclass(frozen=True)
class ReplacedSystem:
    """One process of it: company by company, and what it knows dies with it."""

    engine: Engine
    client: OpenAI
    breaker: Breaker = field(default_factory=Breaker)

    def create(self) -> None:
        for company_id in active_companies(self.engine):
            if self.breaker.is_open:
                return
            try:
                self.create_for(company_id)
            except APIStatusError:
                self.breaker.count()
            except SQLAlchemyError:
                continue  # the timer logs it and goes on

    def create_for(self, company_id: str) -> None:
        create_batch(self.engine, self.client, company_id)

    def check(self) -> None:
        check_statuses(self.engine, self.client)

    def process(self) -> None:
        process_results(self.engine, self.client)

    def retry(self) -> None:
        retry_failed(self.engine, self.client)
