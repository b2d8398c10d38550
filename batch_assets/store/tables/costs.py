"""Our own tables of money: the sums of days that are over, and what each run has read.

`docs/costs.md` explains them.
"""

from sqlalchemy import BigInteger, Column, Date, Double, Index, Table, Text

from batch_assets.store.tables.base import OWN_SCHEMA, metadata, timestamp


def _counts(*names: str) -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False) for name in names]


def _amounts(*names: str) -> list[Column[float]]:
    return [Column(name, Double, nullable=False) for name in names]


_TOKENS = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")

daily_cost = Table(
    "daily_cost",
    metadata,
    Column("day", Date, primary_key=True),
    Column("company_id", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    *_counts("batches", "requests", "usable_answers", "unpriced_answers", *_TOKENS),
    Column("cost_usd", Double),
    *_amounts("cost_eur", "synchronous_cost_eur", "saved_eur", "unusable_eur", "discarded_eur"),
    *_amounts("unattributed_usd", "unattributed_eur", "duplicates_usd", "duplicates_eur"),
    *_amounts("abandoned_usd", "abandoned_eur", "estimated_usd", "estimated_eur"),
    timestamp("kept_at", required=True),
    *_amounts("spent_eur"),
    Index(None, "company_id", "day"),
    schema=OWN_SCHEMA,
)
"""By the UTC day of the claim; a batch that is in it has `is_kept`. The model is `''` where
LiveDash made the batch. `cost_usd` is NULL where not all USD are known. `spent_eur` is what counts
against budgets, with what is estimated of unknown costs, and without LiveDash's own batches."""

run_reading = Table(
    "run_reading",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("run_id", Text, primary_key=True),
    *_counts("usable_answers", "unpriced_answers", *_TOKENS),
    *_amounts("cost_usd", "cost_eur", "synchronous_cost_eur", "saved_eur"),
    *_amounts("unusable_eur", "discarded_eur"),
    timestamp("began_at", required=True),
    timestamp("read_at", required=True),
    Index(None, "run_id"),
    Index(None, "read_at"),
    schema=OWN_SCHEMA,
)
"""Written in the transaction of the answers: also of a run that is killed before its metrics."""
