"""What makes a batch: when it is due, how large it may be, what may be spent."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from batch_assets.openai_batch import limits
from batch_assets.settings.fields import (
    DAY,
    DEFAULTS,
    MANY,
    Family,
    ModelName,
    number,
    parse_pairs,
    setting,
    whole,
)

TokenAllowance = Annotated[int, Field(ge=1)]
TokenAllowances = Annotated[dict[ModelName, TokenAllowance], BeforeValidator(parse_pairs)]


class Sending(Family):
    """Caps that are not set do not hold anything back."""

    min_batch_requests: int = whole(
        "BATCH_MIN_SIZE", DEFAULTS.min_batch_requests, 1, limits.MAX_REQUESTS
    )
    max_wait_minutes: float = number(
        "BATCH_MAX_WAIT_MINUTES", DEFAULTS.max_wait_seconds / 60, 0, 10_080
    )
    max_batch_requests: int = whole(
        "BATCH_MAX_REQUESTS", DEFAULTS.max_batch_requests, 1, limits.MAX_REQUESTS
    )
    max_batch_bytes: int = whole(
        "BATCH_MAX_BYTES", DEFAULTS.max_batch_bytes, 1_000, limits.MAX_FILE_BYTES
    )
    default_token_allowance: int = whole(
        "BATCH_TOKEN_ALLOWANCE", DEFAULTS.default_token_allowance, 1, 100_000_000_000
    )
    token_allowances: TokenAllowances = setting(
        "BATCH_TOKEN_ALLOWANCES", "pairs such as gpt-4o-mini=2000000,gpt-4.1=900000", default={}
    )
    model_pause_seconds: float = number(
        "BATCH_MODEL_PAUSE_SECONDS", DEFAULTS.model_pause_seconds, 0, DAY
    )

    run_max_requests: int | None = whole("BATCH_RUN_MAX_REQUESTS", None, 0, MANY)
    day_max_requests: int | None = whole("BATCH_DAY_MAX_REQUESTS", None, 0, MANY)
    company_day_max_requests: int | None = whole("BATCH_COMPANY_DAY_MAX_REQUESTS", None, 0, MANY)
    run_max_cost_eur: float | None = number("BATCH_RUN_MAX_COST_EUR", None, 0, MANY)
    day_max_cost_eur: float | None = number("BATCH_DAY_MAX_COST_EUR", None, 0, MANY)
    company_day_max_cost_eur: float | None = number("BATCH_COMPANY_DAY_MAX_COST_EUR", None, 0, MANY)
    usd_to_eur: float = number("USD_TO_EUR_RATE", DEFAULTS.usd_to_eur, 0.01, 100)
