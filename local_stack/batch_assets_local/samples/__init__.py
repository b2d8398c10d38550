"""Sample conversations of HR chatbots for the demo: hand-written, expanded, labelled.

Nothing here knows how they are analysed; `conversations/` and `companies.toml` are the data.
"""

from batch_assets_local.samples.corpus import load_conversations
from batch_assets_local.samples.records import (
    Expected,
    SampleCompany,
    SampleMessage,
    SampleSession,
    sample_companies,
)
from batch_assets_local.samples.sessions import DEFAULT_SEED, sample_sessions
from batch_assets_local.samples.writing import SeedSummary, seed_database

__all__ = [
    "DEFAULT_SEED",
    "Expected",
    "SampleCompany",
    "SampleMessage",
    "SampleSession",
    "SeedSummary",
    "load_conversations",
    "sample_companies",
    "sample_sessions",
    "seed_database",
]
