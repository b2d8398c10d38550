"""`batch-assets serve`: all that production needs in one program."""

import os
from contextlib import ExitStack
from typing import Annotated

import typer

from batch_assets.cli.conventions import Port, port_of
from batch_assets.cli.dagster_instance import (
    PASSED_ON,
    dagster_home,
    open_instance,
    require_port,
    sole_daemon,
)
from batch_assets.cli.health import Answer, health_server, readiness
from batch_assets.cli.lookout import Lookout, say_where
from batch_assets.cli.opening import open_database
from batch_assets.cli.processes import end_left_behind
from batch_assets.cli.run_lines import RunLines
from batch_assets.cli.supervising import Serving, keep, say, supervised
from batch_assets.domain.errors import ConfigurationError

commands = typer.Typer()


@commands.command(context_settings=PASSED_ON)
def serve(
    passed_on: typer.Context,
    host: Annotated[str, typer.Option(help="The address that it listens on.")] = "127.0.0.1",
    port: Port = 3000,
    health_port: Annotated[
        int,
        typer.Option(
            metavar="PORT", parser=port_of, help="The port of /live and /ready, for probes."
        ),
    ] = 3070,
    path_prefix: Annotated[
        str, typer.Option(metavar="PATH", help="Below which path the UI is.")
    ] = "",
) -> None:
    """Run all that production needs: UI, daemon and code server, kept alive."""
    from batch_assets.store.lookups import Lookups

    end_left_behind()
    require_port(host, port)
    require_port(host, health_port, "give another one with --health-port")
    if path_prefix and (path_prefix[0], path_prefix[-1] == "/") != ("/", False):
        raise ConfigurationError(
            f"--path-prefix is '{path_prefix}': it begins with a slash and ends without one, as in "
            "/dagster."
        )
    home = dagster_home()
    with ExitStack() as stack:
        database = stack.enter_context(open_database())
        instance = stack.enter_context(open_instance())
        daemon = stack.enter_context(sole_daemon(database.endpoints))
        say(f"Starting Dagster on the {database.place} …")
        serving = Serving(
            host=host,
            port=port,
            home=home,
            log=home / "serve.log",
            environment=os.environ,
            path_prefix=path_prefix,
            webserver_options=passed_on.args,
        )
        lines = RunLines(instance, Lookups(database.engine), serving.address)
        lookout = Lookout(daemon, lines.new)
        supervisor = stack.enter_context(supervised(serving))

        def ready() -> Answer:
            return readiness(serving.address, supervisor.pids(), lookout.away)

        stack.enter_context(health_server(host, health_port, ready))
        stack.enter_context(lookout.looking())
        keep(
            supervisor,
            on_open=lambda: say_where(serving),
            each_time=lookout.check,
            is_hopeless=lambda: bool(lookout.away),
        )
    say("Everything has ended.")
