"""All resources that the definitions have unless they are told otherwise.

None does anything before an op asks for it, so that definitions load with an empty environment and
what cannot be reached fails the op that needs it, with a sentence.
"""

import dagster as dg

from batch_assets.resources.company_lookup import company_lookup
from batch_assets.resources.database import database
from batch_assets.resources.openai import openai
from batch_assets.resources.pipeline import pipeline
from batch_assets.resources.query_strategy import query_strategy
from batch_assets.resources.wiring import wiring


def default_resources() -> dict[str, dg.ResourceDefinition]:
    """Every resource by its key; they find each other by these keys."""
    return {
        "wiring": wiring,
        "database": database,
        "openai": openai,
        "query_strategy": query_strategy,
        "company_lookup": company_lookup,
        "pipeline": pipeline,
    }
