"""The client of the Batch API."""

from collections.abc import Iterator

import dagster as dg

from batch_assets.openai_batch.client import BatchApi
from batch_assets.openai_batch.operations import CallGuard
from batch_assets.resources.wiring import WiringResource


class OpenAIResource:
    """Makes one client when first asked, and gives its connections back at the end of the run."""

    def __init__(self, wiring: WiringResource) -> None:
        self._wiring = wiring
        self._api: BatchApi | None = None

    def api(self, guard: CallGuard) -> BatchApi:
        """The client, whose calls all go through the guard that was given first.

        It connects with its first call; raises `ConfigurationError`.
        """
        if self._api is None:
            endpoints = self._wiring.endpoints
            self._api = BatchApi(
                endpoints.api_key,
                endpoints.base_url,
                profile=endpoints.profile,
                window_seconds=self._wiring.settings.policy().batch_timeout_seconds,
                guard=guard,
            )
        return self._api

    def close(self) -> None:
        """Close all connections."""
        if self._api is not None:
            self._api.close()


@dg.resource(
    config_schema={},
    required_resource_keys={"wiring"},
    description="The OpenAI Batch API, or the local server that speaks it.",
)
def openai(context: dg.InitResourceContext) -> Iterator[OpenAIResource]:
    """Open from its first use to the end of the run."""
    resource = OpenAIResource(context.resources.wiring)
    try:
        yield resource
    finally:
        resource.close()
