"""The local stack as its users see it: they attach and it runs, they end and it is gone."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from batch_assets.domain.errors import LocalStackError
from batch_assets_local import paths, processes, stack
from batch_assets_local.stack import LocalStack, StackOptions

HERE = Path(__file__).parent
STAND_IN = (sys.executable, str(HERE / "stand_in_server.py"))
OPTIONS = StackOptions(durable=False, linger_seconds=0.3, server_program=STAND_IN)
ALL = {"supervisor", "server", "postgres"}
# Attaches and says who keeps the stack, then lives until its standard input ends.
USER = """
import sys
from pathlib import Path
from batch_assets_local import stack
attached = stack.attach(Path(sys.argv[1]), options=stack.StackOptions.from_json(sys.argv[2]))
print(attached.supervisor_pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("project")
    yield path
    stack.reset(path)


@pytest.fixture
def project(shared_project: Path) -> Iterator[Path]:
    """A project whose stack does not run, but may have run before."""
    yield shared_project
    stack.stop(shared_project)
    stack.detach(shared_project)


@contextmanager
def user_of(project: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", USER, str(project), OPTIONS.to_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def kill(process_id: int) -> None:
    os.kill(process_id, signal.SIGKILL)


def processes_of(project: Path, name: str = "default") -> dict[str, int]:
    """The ids of the stack's living processes: "supervisor", "server" and "postgres"."""
    directory = paths.state_dir(project, name)
    marks = {
        str(directory): "supervisor",
        str(directory / "batch-server"): "server",
        str(paths.postgres_home(directory) / "data"): "postgres",
    }
    living = {}
    for mark, kind in marks.items():
        found = [process for process in having(mark) if process.is_alive()]
        assert len(found) <= 1, f"more than one {kind}"
        if found:
            living[kind] = found[0].pid
    return living


def having(word: str) -> list[processes.Process]:
    return processes.find(lambda command: word in command)


def eventually(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 30  # far more than it takes, for a busy machine
    while not holds():
        assert time.monotonic() < give_up, "it did not come to that"
        time.sleep(0.02)


def seconds_to_find(project: Path, attached: LocalStack) -> float:
    began = time.monotonic()
    assert stack.attach(project) == attached
    return time.monotonic() - began


def server_environment(attached: LocalStack) -> list[str]:
    with urllib.request.urlopen(attached.api_base_url, timeout=5) as response:
        names: list[str] = json.load(response)
    return names


def answers(attached: LocalStack) -> bool:
    try:
        with psycopg.connect(attached.database_url) as connection:
            row = connection.execute("SELECT current_database()").fetchone()
        return row == ("livedash",) and "PATH" in server_environment(attached)
    except (psycopg.OperationalError, OSError):
        return False


def ownership(path: Path) -> dict[Path, tuple[int, int, int]]:
    return {
        place: (place.stat().st_mode, place.stat().st_uid, place.stat().st_gid)
        for place in (path, *path.parents)
    }


def test_attach_starts_both_and_the_next_call_finds_them(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-them")

    attached = stack.attach(project, options=OPTIONS)

    assert answers(attached)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", attached.api_base_url)
    assert attached.state_dir == stack.state_dir(project)
    assert stat.S_IMODE(attached.state_dir.stat().st_mode) == 0o700
    assert "OPENAI_API_KEY" not in server_environment(attached)
    assert processes_of(project).keys() == ALL
    assert min(seconds_to_find(project, attached) for _ in range(5)) < 0.2
    stack.detach(project)
    eventually(lambda: not processes_of(project))


def test_two_who_attach_at_once_share_one_and_it_outlives_the_first(project: Path) -> None:
    with user_of(project) as first, user_of(project) as second:
        assert first_line(first) == first_line(second) == str(processes_of(project)["supervisor"])
        kill(first.pid)
        first.wait()
        time.sleep(OPTIONS.linger_seconds + 0.5)
        assert processes_of(project).keys() == ALL
        kill(second.pid)
        second.wait()
        eventually(lambda: not processes_of(project))


def test_who_lets_go_sees_whether_someone_else_is_left(project: Path) -> None:
    assert not stack.is_used(project, name="never-made")
    with user_of(project) as other:
        first_line(other)
        stack.attach(project)
        stack.detach(project)
        assert stack.is_used(project)
        other.kill()
        other.wait()
        assert not stack.is_used(project)


def test_the_next_supervisor_takes_over_from_one_that_was_killed(project: Path) -> None:
    before = stack.attach(project, options=OPTIONS)
    left = processes_of(project)
    kill(before.supervisor_pid)
    eventually(lambda: "supervisor" not in processes_of(project))

    after = stack.attach(project, options=OPTIONS)

    assert after == replace(before, supervisor_pid=after.supervisor_pid)
    assert processes_of(project) == left | {"supervisor": after.supervisor_pid}
    assert answers(after)


def test_stop_ends_what_a_killed_supervisor_left(project: Path) -> None:
    attached = stack.attach(project, options=OPTIONS)
    kill(attached.supervisor_pid)

    stack.stop(project)

    assert not processes_of(project)


def test_servers_that_die_come_back_where_they_were(project: Path) -> None:
    attached = stack.attach(project, options=OPTIONS)
    for victim in ("server", "postgres"):
        before = processes_of(project)
        kill(before[victim])

        eventually(lambda: answers(attached) and processes_of(project).keys() == ALL)

        assert processes_of(project)[victim] != before[victim]
    assert stack.attach(project) == attached


def test_a_server_that_keeps_dying_is_given_up(project: Path) -> None:
    stack.attach(project, options=OPTIONS)

    def kill_until_given_up() -> bool:
        living = processes_of(project)
        if "server" in living:
            kill(living["server"])
        return not living

    eventually(kill_until_given_up)

    assert "dies again and again" in (stack.state_dir(project) / "supervisor.log").read_text()
    assert answers(stack.attach(project, options=OPTIONS))


def test_stop_keeps_the_data_and_the_port_and_reset_removes_all(tmp_path: Path) -> None:
    project = tmp_path
    first = stack.attach(project, options=OPTIONS)
    with psycopg.connect(first.database_url) as connection:
        connection.execute("CREATE TABLE kept ()")
    stack.stop(project)
    assert not processes_of(project)

    second = stack.attach(project, options=OPTIONS)

    assert second == replace(first, supervisor_pid=second.supervisor_pid)
    with psycopg.connect(second.database_url) as connection:
        connection.execute("SELECT FROM kept")
    stack.reset(project)
    assert not processes_of(project)
    assert not second.state_dir.exists()
    assert not paths.postgres_home(second.state_dir).exists()
    assert not Path(second.database_url.partition("host=")[2]).exists()


def test_sigterm_to_the_supervisor_ends_all(project: Path) -> None:
    attached = stack.attach(project, options=OPTIONS)
    os.kill(attached.supervisor_pid, signal.SIGTERM)

    eventually(lambda: not processes_of(project))

    assert "database system is shut down" in (attached.state_dir / "postgres.log").read_text()


def test_a_stack_whose_directory_is_removed_by_hand_ends_and_the_next_inherits_nothing(
    tmp_path: Path,
) -> None:
    attached = stack.attach(tmp_path, options=OPTIONS)
    with psycopg.connect(attached.database_url) as connection:
        connection.execute("CREATE TABLE inherited ()")
    shutil.rmtree(attached.state_dir.parent)

    eventually(lambda: not processes_of(tmp_path))

    after = stack.attach(tmp_path, options=OPTIONS)
    assert answers(after)
    with (
        psycopg.connect(after.database_url) as connection,
        pytest.raises(psycopg.errors.UndefinedTable),
    ):
        connection.execute("SELECT FROM inherited")
    stack.reset(tmp_path)
    assert not paths.postgres_home(attached.state_dir).exists()


def test_stacks_of_other_names_are_left_alone(project: Path) -> None:
    stack.attach(project, options=OPTIONS)
    other = stack.attach(project, name="other", options=OPTIONS)
    assert set(processes_of(project).values()).isdisjoint(processes_of(project, "other").values())

    stack.stop(project)

    assert answers(other)
    stack.reset(project, name="other")
    with pytest.raises(LocalStackError, match="cannot name a local stack"):
        stack.attach(project, name="../other")


def test_a_project_that_only_its_owner_may_enter_stays_as_it_is(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    project = closed.joinpath(*["a-rather-long-name-of-a-directory"] * 6)
    project.mkdir(parents=True)
    before = ownership(project)

    assert answers(stack.attach(project, options=OPTIONS))

    stack.reset(project)
    assert ownership(project) == before


def test_a_normal_user_has_all_of_it_in_the_project(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir(mode=0o700)
    options = StackOptions(durable=False, server_program=STAND_IN)
    command = [sys.executable, str(HERE / "normal_user.py"), str(project), options.to_json()]
    if os.geteuid() == 0:
        account = paths.server_account()
        os.chown(project, account.uid, account.gid)
        # The interpreter may lie in root's home: the right to pass is kept, all else is dropped.
        ids = [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
        rights = [f"--{kind}-caps=+dac_override" for kind in ("inh", "ambient")]
        command = ["setpriv", *ids, *rights, *command]
    before = ownership(project)

    ran = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
    )

    assert ran.stderr == ""
    outcome = json.loads(ran.stdout)
    assert outcome["uid"] != 0
    assert outcome["state_dir"] == str(project / ".local" / "default")
    assert outcome["data_dir"] == str(project / ".local" / "default" / "postgres" / "data")
    assert outcome["data_owner"] == outcome["uid"]
    assert ownership(project) == before


def test_a_server_that_does_not_start_says_why_and_leaves_nothing(project: Path) -> None:
    broken = (sys.executable, "-c", "raise SystemExit('the stove is cold: an error')")

    with pytest.raises(LocalStackError, match=r"does not start: the stove is cold"):
        stack.attach(project, options=replace(OPTIONS, server_program=broken))

    eventually(lambda: not processes_of(project))


def test_a_port_in_use_is_named(project: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LocalStackError, match=rf"^port {port} of 127\.0\.0\.1 is in use; "):
            stack.attach(project, options=replace(OPTIONS, port=port))

    attached = stack.attach(project, options=replace(OPTIONS, port=port))

    assert attached.api_base_url == f"http://127.0.0.1:{port}/v1"
    with pytest.raises(LocalStackError, match="already runs"):
        stack.attach(project, options=replace(OPTIONS, port=port + 1))


def test_a_supervisor_that_dies_as_it_starts_is_replaced(project: Path, tmp_path: Path) -> None:
    once = tmp_path / "killed"
    program = (
        "import os, pathlib, runpy, signal, sys\n"
        f"mark = pathlib.Path({str(once)!r})\n"
        "if not mark.exists():\n"
        "    mark.touch(); os.kill(os.getppid(), signal.SIGKILL)\n"
        f"sys.argv[0] = {STAND_IN[1]!r}\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    killer = replace(OPTIONS, server_program=(sys.executable, "-c", program))

    assert answers(stack.attach(project, options=killer))

    assert once.exists()
    assert processes_of(project).keys() == ALL
