"""A wiring that is given to a test's jobs, not found in the environment."""

from batch_assets.resources.connections import WiringResource
from batch_assets.settings import Settings
from batch_assets.wiring import Endpoints, connect


def given_wiring(settings: Settings, endpoints: Endpoints | None = None) -> WiringResource:
    """The settings with these endpoints, or with those that they lead to."""
    where = endpoints or connect(settings)

    class GivenWiring(WiringResource):
        """Dagster makes its resources anew for each run: what is given is the class's."""

        @property
        def settings(self) -> Settings:
            return settings

        @property
        def endpoints(self) -> Endpoints:
            return where

    return GivenWiring()
