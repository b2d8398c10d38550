"""The origin check of Dagster's web server, which has no login and takes any page's word."""

from collections.abc import Collection

from dagster_webserver.webserver import DagsterWebserver
from starlette.middleware import Middleware

from batch_assets.web_access import OriginCheck

_build_middleware = DagsterWebserver.build_middleware


def guard_webserver(hosts: Collection[str]) -> None:
    """Let each web server that this process makes from now on have the origin check, outermost.

    Whatever it was started by: `batch-assets dev`, `dagster dev`, `dg dev` and `dagster-webserver`
    make it in a process of its own that opens Dagster's storage first; none has an option for this.
    """

    def with_origin_check(webserver: DagsterWebserver) -> list[Middleware]:  # type: ignore[type-arg]
        return [Middleware(OriginCheck, hosts=hosts), *_build_middleware(webserver)]

    DagsterWebserver.build_middleware = with_origin_check  # type: ignore[method-assign, assignment]
