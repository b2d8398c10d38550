"""`make launchers`: what Dagster's launchers for Kubernetes and Docker start, started here.

Each is made from its `dagster.yaml` of `deploy/`, and launches a run through a server that takes
what the launcher's client sends. What would be the pod is held against the schema of Kubernetes;
then the command of the pod, or of the container, is run as it stands, after the image's entry
point, and the run has to succeed. The packages of requirements-engines.txt have to be installed.
"""

import argparse
import importlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import dagster as dg
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import (
    DEFAULT_DAGSTER_ENTRY_POINT,
    JobPythonOrigin,
    RepositoryPythonOrigin,
)

from batch_assets.definitions import defs
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.project_files import PROJECT_DIR
from batch_assets.wiring import connect_local
from batch_assets_local import stack

STACK: Final = "launchers"
DEPLOY: Final = PROJECT_DIR / "deploy"
JOB: Final = "batch_processing_job"


class WrongError(Exception):
    """Something came out as it should not; the message says what."""


class _Taking(BaseHTTPRequestHandler):
    """Takes whatever is posted, as Kubernetes and Docker take what they are to start."""

    def do_GET(self) -> None:
        self._answer({"ApiVersion": "1.44", "Id": "taken", "Name": "taken", "Config": {}})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        taken = json.loads(body) if body else {}
        self.server.taken.append((self.path, taken))  # type: ignore[attr-defined]
        self._answer(taken if "/namespaces/" in self.path else {"Id": "taken", "Warnings": []})

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name is http.server's)
        """Say nothing."""

    def _answer(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(201 if self.command == "POST" else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def taking() -> Iterator[tuple[int, list[tuple[str, dict[str, Any]]]]]:
    """A server's port, and what is posted to it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taking)
    taken: list[tuple[str, dict[str, Any]]] = []
    server.taken = taken  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1], taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def launch(engine: str, home: Path, port: int) -> str:
    """Let the engine's launcher launch a run; its id."""
    document = yaml.safe_load((DEPLOY / engine / "dagster.yaml").read_text(encoding="utf-8"))
    if engine == "kubernetes":
        context = {"cluster": "here", "user": "me"}
        kubeconfig = {
            "current-context": "here",
            "contexts": [{"name": "here", "context": context}],
            "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "me", "user": {}}],
        }
        (home / "kubeconfig").write_text(yaml.safe_dump(kubeconfig), encoding="utf-8")
        document["run_launcher"]["config"] |= {
            "load_incluster_config": False,
            "kubeconfig_file": str(home / "kubeconfig"),
        }
    os.environ["DOCKER_HOST"] = f"tcp://127.0.0.1:{port}"
    (home / "dagster.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    pointer = ModuleCodePointer("batch_assets.definitions", "defs", str(PROJECT_DIR))
    code = RepositoryPythonOrigin(
        executable_path=sys.executable,
        code_pointer=pointer,
        entry_point=DEFAULT_DAGSTER_ENTRY_POINT,
    )
    with dg.DagsterInstance.from_config(str(home)) as instance:
        run = instance.create_run_for_job(
            defs.resolve_job_def(JOB), job_code_origin=JobPythonOrigin(JOB, code)
        )
        instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=None))
    return run.run_id


def pod_command(taken: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """What runs in the pod, whose manifest is valid. WrongError."""
    schema = importlib.import_module("kubernetes_validate")
    ((path, job),) = taken
    if path != "/apis/batch/v1/namespaces/default/jobs":
        raise WrongError(f"the job was posted to {path}")
    document = {"apiVersion": "batch/v1", "kind": "Job", **_without_nulls(job)}
    schema.validate(document, schema.latest_version(), strict=True)
    (container,) = document["spec"]["template"]["spec"]["containers"]
    return [*(container.get("command") or _entry_point()), *container["args"]]


def container_command(taken: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """What runs in the container. WrongError."""
    made = [body for path, body in taken if "/containers/create" in path]
    started = [path for path, _ in taken if path.endswith("/containers/taken/start")]
    if len(made) != 1 or len(started) != 1:
        raise WrongError(f"not one container was made and started: {[path for path, _ in taken]}")
    return [*(made[0].get("Entrypoint") or _entry_point()), *made[0]["Cmd"]]


COMMANDS: Final = {"kubernetes": pod_command, "docker": container_command}


def play(engine: str, home: Path) -> None:
    """Launch a run, and run what is started for it. WrongError."""
    with taking() as (port, taken):
        run_id = launch(engine, home, port)
    ended = subprocess.run(  # noqa: S603 (it is what the launcher says)
        COMMANDS[engine](taken),
        cwd=PROJECT_DIR,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        check=False,
        capture_output=True,
        text=True,
    )
    with dg.DagsterInstance.from_config(str(home)) as instance:
        run = instance.get_run_by_id(run_id)
    if ended.returncode != 0 or run is None or run.status is not dg.DagsterRunStatus.SUCCESS:
        raise WrongError(f"{ended.returncode}, {run and run.status}: {ended.stderr[-2_000:]}")


def _entry_point() -> list[str]:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    return list(json.loads(re.findall(r"^ENTRYPOINT (.+)$", text, re.MULTILINE)[0]))


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


def main(arguments: Sequence[str] | None = None) -> int:
    """Play both; 0 if each run was launched, and its command did the work."""
    parser = argparse.ArgumentParser(prog="make launchers", description=__doc__)
    parser.add_argument("engines", nargs="*", default=list(COMMANDS), help="which of them")
    options = parser.parse_args(arguments)
    stack.reset(PROJECT_DIR, name=STACK)
    wrong = 0
    try:
        local = connect_local(STACK)
        os.environ |= {
            "DATABASE_URL": local.database_url,
            "OPENAI_API_KEY": local.api_key,
            "OPENAI_BASE_URL": local.base_url,
        }
        for engine in options.engines:
            with tempfile.TemporaryDirectory() as home:
                os.environ["DAGSTER_HOME"] = home
                try:
                    play(engine, Path(home))
                    _show(f"ok    {engine}")
                except WrongError as error:
                    wrong += 1
                    _show(f"WRONG {engine}: {error}")
    except BatchAssetsError as error:
        _show(str(error))
        return error.exit_code
    finally:
        stack.reset(PROJECT_DIR, name=STACK)
    _show(f"launchers={len(options.engines)} wrong={wrong}")
    return 1 if wrong else 0


def _show(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (what `make launchers` is for)


if __name__ == "__main__":
    sys.exit(main())
