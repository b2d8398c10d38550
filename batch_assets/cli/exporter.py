"""`batch-assets exporter`: the metrics of runs for Prometheus, over HTTP."""

import time
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from batch_assets.cli.dagster_instance import require_port
from batch_assets.cli.opening import open_database
from batch_assets.cli.processes import TICK_SECONDS, StopSignals
from batch_assets.cli.screen import console

PORT: Final = 9464
"""The one that OpenTelemetry's specification gives to exporters for Prometheus."""

commands = typer.Typer()


@commands.command("exporter")
def serve_metrics(
    host: Annotated[
        str, typer.Option(help="The address to listen on; there is no login: see the docs.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", "-p", min=1, max=65535, help="The exporter's port.")
    ] = PORT,
) -> None:
    """Serve the metrics of runs to Prometheus at /metrics, until Ctrl-C."""
    from prometheus_client import CollectorRegistry, start_http_server

    from batch_assets.telemetry.prometheus import RunCollector

    require_port(host, port)
    with open_database() as database, StopSignals() as signals:
        registry = CollectorRegistry()
        registry.register(RunCollector(database.engine, datetime.now(UTC)))
        server, thread = start_http_server(port, host, registry)
        shown = f"[{host}]" if ":" in host else host
        console().say(f"Metrics are at http://{shown}:{port}/metrics — Ctrl-C ends the exporter.")
        while not signals.count:
            time.sleep(TICK_SECONDS)
        server.shutdown()
        server.server_close()
        thread.join()
