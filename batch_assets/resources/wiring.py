"""The settings and the endpoints of a run."""

import dagster as dg

from batch_assets.settings import Settings, load_settings
from batch_assets.wiring import Endpoints, connect


class WiringResource:
    """Finds out, when first asked, with what settings and on what endpoints this process works.

    It has no fields, and so have the resources that are made from it: keys and addresses can
    neither be read nor changed in the Launchpad.
    """

    def __init__(
        self, settings: Settings | None = None, endpoints: Endpoints | None = None
    ) -> None:
        self._settings = settings
        self._endpoints = endpoints

    @property
    def settings(self) -> Settings:
        """The settings that were given, or those of this process's environment."""
        if self._settings is None:
            self._settings = load_settings()
        return self._settings

    @property
    def endpoints(self) -> Endpoints:
        """The endpoints that were given, or those that the settings lead to."""
        if self._endpoints is None:
            self._endpoints = connect(self.settings)
        return self._endpoints


@dg.resource(
    config_schema={},
    description="The settings, and the database and the API server that they lead to.",
)
def wiring(_context: dg.InitResourceContext) -> WiringResource:
    """One for each process that runs ops."""
    return WiringResource()
