"""`batch-assets exporter`, started as a service starts it and scraped as Prometheus does it."""

import os
import signal
import socket
import subprocess
import sys

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from batch_assets_tests.cli.conftest import KEY, Type
from batch_assets_tests.cli.dev_program import free_port


def test_it_answers_scrapes_until_it_is_told_to_stop(database_url: str) -> None:
    port = free_port()
    configured = {"DATABASE_URL": database_url, "OPENAI_API_KEY": KEY}
    with subprocess.Popen(
        [sys.executable, "-m", "batch_assets.cli", "exporter", "--port", str(port)],
        env={**os.environ, **configured},
        stdout=subprocess.PIPE,
        text=True,
    ) as exporter:
        assert exporter.stdout is not None
        # It is said once it listens.
        said = exporter.stdout.readline()
        address = f"http://127.0.0.1:{port}/metrics"
        assert said == f"Metrics are at {address} — Ctrl-C ends the exporter.\n"
        written = httpx2.get(address, trust_env=False).raise_for_status().text
        up = {one.name: one for one in text_string_to_metric_families(written)}["batch_assets_up"]
        assert up.samples[0].value == 1
        exporter.send_signal(signal.SIGTERM)
        assert exporter.wait(30) == 0


def test_a_port_in_use_is_one_sentence(typed: Type, database_url: str) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        said = typed("exporter", "--port", str(port), DATABASE_URL=database_url, OPENAI_API_KEY=KEY)
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        f"Port {port} of 127.0.0.1 is in use: give another one with --port, or end what listens "
        "there.\n"
    )
