"""What tests ask of programs of Dagster's that are started as people start them."""

import http.client
import json
import socket
import urllib.request
from pathlib import Path

import psutil

REPOSITORY = '{repositoryName: "__repository__", repositoryLocationName: "batch_assets"}'
QUERY = f"""{{
    schedulesOrError(repositorySelector: {REPOSITORY})
        {{ ... on Schedules {{ results {{ name scheduleState {{ status }} }} }} }}
    sensorsOrError(repositorySelector: {REPOSITORY})
        {{ ... on Sensors {{ results {{ name sensorState {{ status }} }} }} }}
}}"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def ask(port: int) -> dict[str, object]:
    """What Dagster's GraphQL says of what starts runs; empty while it does not answer."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": QUERY}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return dict(json.load(answer)["data"])
    except OSError:
        return {}


def refused(port: int, path: str, method: str = "GET", **headers: str) -> bool:
    """Whether the UI's origin check refuses this; a header's name is written with _ for -."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    connection.request(method, path, headers=named)
    status = connection.getresponse().status
    connection.close()
    assert status in (101, 200, 403)
    return status == 403


def check_door(port: int) -> None:
    """Of the real web server; `batch_assets_tests/test_web_access.py` has all that is refused."""
    ask_to_speak = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec_WebSocket_Protocol": "graphql-ws",
    }
    same, other = f"http://127.0.0.1:{port}", "http://127.0.0.1:1"
    assert not refused(port, "/runs")
    assert refused(port, "/runs", Host="evil.example")
    assert not refused(port, "/graphql?query={version}")
    assert refused(port, "/graphql?query=mutation{launchRun}")
    assert refused(port, "/graphql?query={version}", "POST")
    assert not refused(port, "/graphql", **ask_to_speak, Origin=same)
    assert refused(port, "/graphql", **ask_to_speak, Origin=other)


def processes_of(project: Path) -> set[int]:
    """Processes that work in the project's folder or on its local stack."""
    found = set()
    for process in psutil.process_iter(["cwd", "cmdline", "status"]):
        mentioned = [process.info["cwd"] or "", *(process.info["cmdline"] or [])]
        if process.info["status"] != psutil.STATUS_ZOMBIE and any(
            text.startswith(str(project)) for text in mentioned
        ):
            found.add(process.pid)
    return found
