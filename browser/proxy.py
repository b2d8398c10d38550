"""The proxy of deploy/nginx, as it stands there: the distribution's nginx, and a login."""

import getpass
import grp
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import httpx2
import pexpect

from batch_assets.domain.errors import BatchAssetsError, ConfigurationError
from batch_assets.project_files import PROJECT_DIR
from browser.running import HOST

CONFIGURATION: Final = PROJECT_DIR / "deploy" / "nginx" / "batch-assets.conf"
PAGE: Final = PROJECT_DIR / "docs" / "ui_access.md"
NAME: Final = "dagster.example.com"
PERSON: Final = "anna"
PASSWORD: Final = "correct horse battery staple"  # noqa: S105 (of the tests alone)
_PLACES: Final = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where it is, though no person who is not root has these on the PATH."""
_READY_SECONDS: Final = 10.0
_MAIN: Final = """
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
user {user} {group};
worker_processes 1;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/batch-assets.conf;
}}
"""


def find_nginx(path: str | None = None) -> str:
    """Its program, from `path` or where the system has its own. Raises `ConfigurationError`."""
    found = shutil.which("nginx", path=path or f"{os.environ.get('PATH', '')}:{_PLACES}")
    if found is None:
        raise ConfigurationError(
            "nginx is not installed, which the tests of the UI's proxy need: install the "
            "distribution's, on Debian and Ubuntu with `apt-get install nginx`."
        )
    return found


def login_command() -> str:
    """How somebody is given a login: the page's first block for a shell."""
    block = re.search(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    if block is None:
        raise BatchAssetsError(f"{PAGE.name} has no block of sh any more.")
    return block[1].splitlines()[0]


def prepare(folder: Path) -> None:
    """Make the certificate, and the login by the command of docs/ui_access.md."""
    _run(
        *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={NAME}"),
        *("-keyout", str(folder / "batch-assets.pem"), "-out", str(folder / "certificate")),
    )
    with (folder / "batch-assets.pem").open("ab") as file:
        file.write((folder / "certificate").read_bytes())
    command = login_command().replace("/etc/nginx", str(folder))
    typing = pexpect.spawn("sh", ["-c", command], timeout=_READY_SECONDS)
    for _ in ("once", "once more"):
        typing.expect("assword: ")
        typing.sendline(PASSWORD)
    typing.expect(pexpect.EOF)
    typing.close()


@contextmanager
def recording_server() -> Iterator[tuple[str, list[str]]]:
    """The address of a web server that takes whatever comes, and what has come: method and path."""
    came: list[str] = []

    class Recorder(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            came.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(b"the words of an answer")

        do_POST = do_PUT = do_OPTIONS = do_HEAD = do_GET  # noqa: N815 (their names there)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
            """Say nothing."""

    server = ThreadingHTTPServer((HOST, 0), Recorder)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}", came
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def nginx(folder: Path, port: int, upstream: str) -> Iterator[str]:
    """The address of the proxy, before a web server at `upstream`."""
    replaced = {
        "listen 443": f"listen {HOST}:{port}",
        "/etc/ssl": str(folder),
        "/etc/nginx": str(folder),
        "http://127.0.0.1:3000": upstream,
    }
    text = CONFIGURATION.read_text(encoding="utf-8")
    for old, new in replaced.items():
        if old not in text:
            raise BatchAssetsError(f"{CONFIGURATION.name} no longer has {old}.")
        text = text.replace(old, new)
    (folder / "batch-assets.conf").write_text(text, encoding="utf-8")
    main = folder / "nginx.conf"
    group = grp.getgrgid(os.getgid()).gr_name
    main.write_text(
        _MAIN.format(folder=folder, user=getpass.getuser(), group=group), encoding="utf-8"
    )
    log = folder / "error.log"
    started = subprocess.Popen([find_nginx(), "-c", str(main), "-p", str(folder), "-e", str(log)])
    try:
        _await_ready(started, port, log)
        yield f"https://{NAME}"
    finally:
        started.terminate()
        started.wait(_READY_SECONDS)


def _await_ready(started: subprocess.Popen[bytes], port: int, log: Path) -> None:
    give_up = time.monotonic() + _READY_SECONDS
    while started.poll() is None and time.monotonic() < give_up:
        try:
            httpx2.get(f"https://{HOST}:{port}/", verify=False)
        except httpx2.TransportError:
            time.sleep(0.1)
        else:
            return
    raise BatchAssetsError(f"nginx does not answer: see {log}.")


def _run(*command: str) -> None:
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    if ended.returncode:
        raise BatchAssetsError(f"{command[0]} failed: {ended.stderr}")
