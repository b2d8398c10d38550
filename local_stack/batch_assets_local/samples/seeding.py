"""Fills a database with the companies and sessions of the demo."""

from datetime import UTC, datetime
from typing import Final

from batch_assets_local.samples.companies import sample_companies
from batch_assets_local.samples.sessions import DEFAULT_SEED, sample_sessions
from batch_assets_local.samples.writing import (
    SampleModel,
    SeedSummary,
    Target,
    connected,
    write_models,
    write_samples,
)

# gpt-5-mini has no price here, so that the demo also shows the prices of the package.
_MODELS: Final = (
    SampleModel("gpt-4o-mini", 128_000, 0.15e-6, 0.60e-6),
    SampleModel("gpt-4.1-mini", 1_047_576, 0.40e-6, 1.60e-6),
    SampleModel("gpt-5-mini", 400_000),
)
_PRICED_SINCE: Final = datetime(2025, 8, 7, tzinfo=UTC)


def seed_database(target: Target, *, seed: int = DEFAULT_SEED, now: datetime) -> SeedSummary:
    """Adds the demo's companies, sessions, messages, pending requests, models and prices.

    All in one transaction. A second call with the same seed adds nothing, whatever became of the
    rows meanwhile; another seed adds other sessions of the same companies. `now` needs a time
    zone. The database has to be migrated; psycopg's errors come through.
    """
    with connected(target) as connection, connection.transaction():
        write_models(connection, _MODELS, _PRICED_SINCE)
        return write_samples(connection, sample_companies(), sample_sessions(seed, now=now), now)
