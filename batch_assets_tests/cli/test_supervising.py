"""What has died is started again after a growing pause; what cannot start at all is given up."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from batch_assets.cli import supervising
from batch_assets.cli.health import SILENT_SECONDS, problems, readiness
from batch_assets.cli.part_output import bounded_log
from batch_assets.cli.supervising import (
    LIVED_SECONDS,
    LONGEST_PAUSE_SECONDS,
    TRIES,
    WRONG_OPTION,
    Part,
    Restarts,
    Serving,
    Supervisor,
)
from batch_assets.domain.errors import BatchAssetsError
from batch_assets.project_files import PROJECT_DIR

SLEEPS = (sys.executable, "-c", "import time; time.sleep(60)")
FAILS = (sys.executable, "-c", "import sys; sys.exit(3)")
WAIT_SECONDS = 60


@contextmanager
def begun(said: list[str], *parts: Part) -> Iterator[Supervisor]:
    supervisor = Supervisor(parts, os.environ, said.append)
    try:
        yield supervisor
    finally:
        supervisor.stop(is_urgent=lambda: True)


def look_until(supervisor: Supervisor, holds: Callable[[], object]) -> None:
    give_up = time.monotonic() + WAIT_SECONDS
    while not holds():
        supervisor.look()
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_the_pause_grows_and_what_has_lived_is_never_given_up() -> None:
    restarts = Restarts()
    assert restarts.pause_after(LIVED_SECONDS, 1) == 1
    assert [restarts.pause_after(0, 1) for _ in range(6)] == [
        2,
        4,
        8,
        16,
        32,
        LONGEST_PAUSE_SECONDS,
    ]
    assert restarts.pause_after(LIVED_SECONDS, 1) == 1
    assert restarts.pause_after(0, WRONG_OPTION) == 2


def test_what_never_lives_for_long_is_given_up() -> None:
    restarts = Restarts()
    assert [restarts.pause_after(0, 1) for _ in range(TRIES - 1)] == [1, 2, 4, 8]
    assert restarts.pause_after(LIVED_SECONDS - 1, 1) is None
    assert Restarts().pause_after(0, WRONG_OPTION) is None


def test_what_is_killed_comes_back_and_all_of_it_ends() -> None:
    said: list[str] = []
    with begun(
        said, Part(name="first", command=SLEEPS), Part(name="second", command=SLEEPS)
    ) as one:
        look_until(one, lambda: one.has_begun)
        before = one.pids()
        os.kill(before["first"] or 0, signal.SIGKILL)
        look_until(one, lambda: one.pids()["first"] is None)
        assert said == ["The first has ended by SIGKILL: it is started again in 1 s."]
        look_until(one, lambda: one.pids()["first"])
        now = one.pids()
        assert (now["first"] != before["first"], now["second"]) == (True, before["second"])
    assert not any(psutil.pid_exists(pid or 0) for pid in now.values())


def test_what_cannot_start_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervising, "LONGEST_PAUSE_SECONDS", 0.0)
    said: list[str] = []
    with (
        begun(said, Part(name="daemon", command=FAILS)) as one,
        pytest.raises(
            BatchAssetsError, match="The daemon cannot start: it has ended with exit code 3 as"
        ),
    ):
        look_until(one, lambda: False)
    assert len(said) == TRIES - 1


def test_nothing_is_begun_before_what_it_needs_answers() -> None:
    answers: list[bool] = []
    needed = Part(name="needed", command=SLEEPS, answers=lambda: bool(answers))
    with begun([], needed, Part(name="later", command=SLEEPS)) as one:
        for _ in range(3):
            one.look()
        assert (one.has_begun, one.pids()["later"]) == (False, None)
        answers.append(True)
        look_until(one, lambda: one.has_begun)
        assert one.pids()["later"]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:3000/dagster"),
        ("0.0.0.0", "http://127.0.0.1:3000/dagster"),
        ("::", "http://[::1]:3000/dagster"),
        ("10.0.0.5", "http://10.0.0.5:3000/dagster"),
        ("fe80::1", "http://[fe80::1]:3000/dagster"),
    ],
)
def test_where_the_ui_answers_on_this_machine(host: str, address: str) -> None:
    serving = Serving(
        host=host,
        port=3000,
        home=PROJECT_DIR,
        log=PROJECT_DIR / "x",
        environment={},
        path_prefix="/dagster",
    )
    assert serving.address == address


def answered(
    *, beat_at: float | None = 1000.0, loaded: str = "RepositoryLocation"
) -> dict[str, object]:
    daemon = {"daemonType": "SENSOR", "required": True, "lastHeartbeatTime": beat_at}
    unused = {"daemonType": "ASSET", "required": False, "lastHeartbeatTime": None}
    return {
        "instance": {"daemonHealth": {"allDaemonStatuses": [daemon, unused]}},
        "workspaceOrError": {"locationEntries": [{"locationOrLoadError": {"__typename": loaded}}]},
    }


def test_a_probe_is_told_that_the_database_is_away_and_nobody_else_is_asked() -> None:
    code, document = readiness("http://127.0.0.1:9", {"daemon": 7}, "The database is away.")
    assert (code, document["problems"]) == (503, ["The database is away."])
    assert readiness("http://127.0.0.1:9", {"daemon": 7})[1]["problems"] == [
        "The web server does not answer."
    ]


def test_what_the_parts_print_never_fills_a_disk(tmp_path: Path) -> None:
    path = tmp_path / "serve.log"
    with bounded_log(path, most_bytes=1_000) as output:
        prints = (sys.executable, "-c", "for n in range(500): print(n, flush=True)")
        subprocess.run(prints, stdout=output, check=True)
    kept = path.with_name("serve.log.1").read_text() + path.read_text()
    assert kept.endswith("498\n499\n")
    assert path.stat().st_size <= 1_000


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (answered(), []),
        (answered(beat_at=999 - SILENT_SECONDS), ["No heartbeat of the daemon for 300 s: SENSOR."]),
        (answered(beat_at=None), ["No heartbeat of the daemon for 300 s: SENSOR."]),
        (answered(loaded="PythonError"), ["The code location is not loaded."]),
        ({**answered(), "workspaceOrError": {}}, ["The code location is not loaded."]),
    ],
)
def test_what_a_probe_is_told(asked: dict[str, object], found: list[str]) -> None:
    assert problems(asked, 1000.0) == found
