"""The resources of every job, by their keys."""

from batch_assets.resources.company_lookup import CompanyLookupResource
from batch_assets.resources.connections import DatabaseResource, OpenAIResource, WiringResource
from batch_assets.resources.pipeline import PipelineResource
from batch_assets.resources.query_strategy import QueryStrategyResource


def default_resources(wiring: WiringResource | None = None) -> dict[str, object]:
    """Make the resources of every job; on another wiring than the environment's if given.

    They are configured at launch: so Dagster makes each once in a process, and gives the same to
    the ops and to the resources that hold it.
    """
    given = wiring or WiringResource.configure_at_launch()
    database = DatabaseResource.configure_at_launch(wiring=given)
    openai = OpenAIResource.configure_at_launch(wiring=given)
    query_strategy = QueryStrategyResource.configure_at_launch(wiring=given, database=database)
    return {
        "wiring": given,
        "database": database,
        "openai": openai,
        "query_strategy": query_strategy,
        "company_lookup": CompanyLookupResource.configure_at_launch(
            wiring=given, query_strategy=query_strategy
        ),
        "pipeline": PipelineResource.configure_at_launch(
            wiring=given, database=database, openai=openai, query_strategy=query_strategy
        ),
    }
