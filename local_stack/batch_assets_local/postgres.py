"""A real PostgreSQL of this project's own: started, found again and stopped.

It listens on a Unix socket only, and lets in nobody but the operating-system user who made it.
Nothing here trusts the process id in `postmaster.pid`, which after a restart of the machine may
be another program's: the server is known by its command line.
"""

import signal
import time
from pathlib import Path

from batch_assets.domain.errors import LocalStackError
from batch_assets_local import belonging, paths, postgres_data, postgres_programs, processes

DATABASE = "livedash"
START_SECONDS = 60.0
STOP_SECONDS = 20.0

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track_utility": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A failed statement's message can quote a row: it goes to its client and into no log.
    "log_min_messages": "log",
    "log_checkpoints": "off",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# Fast shutdown, then immediate shutdown: PostgreSQL's own meaning of these two signals.
STOP_SIGNALS = (signal.SIGINT, signal.SIGQUIT)


class EmbeddedPostgres:
    """The PostgreSQL server of the stack in `state_dir`.

    Two processes must never launch or stop the same one at once: the supervisor's lock sees to it.
    `durable=False` trades safety against a power cut for speed, for data that tests throw away.
    """

    name = "PostgreSQL"

    def __init__(self, state_dir: Path, *, durable: bool = True) -> None:
        self._state_dir = state_dir
        self._durable = durable
        self._log = processes.Log(state_dir / "postgres.log")
        self._data = paths.postgres_home(state_dir) / "data"
        self._process: processes.Process | None = None

    def url(self, database: str = DATABASE) -> str:
        """A libpq URL without a driver, for the superuser `postgres`."""
        return f"postgresql://postgres@/{database}?host={self._socket_dir()}"

    def launch(self) -> None:
        """Take over the server that an earlier launcher left, or start one; does not wait."""
        home = paths.make_postgres_home(self._state_dir)
        if paths.data_lie_outside():
            self._own(home)
        programs = postgres_programs.programs()
        postgres_data.make_data(home, programs, durable=self._durable)
        command = self._command(programs, postgres_data.write_access_rules(home))
        left = self._find_left()
        if [server.command for server in left] == [command] and self._is_ready(left[0]):
            self._process = left[0]
            return
        self._end(left)
        self._drop_misleading_pid_file()
        self._process = processes.spawn(
            command,
            log=self._log,
            account=paths.server_account(),
            environment=postgres_data.environment(),
        )

    def wait_ready(self) -> None:
        """Return when the launched server takes connections and has the application's database.

        Raises:
            LocalStackError: it does not come to that.
        """
        give_up = time.monotonic() + START_SECONDS
        while self._process is None or not self._is_ready(self._process):
            if not self.is_alive():
                raise LocalStackError(f"PostgreSQL does not start: {self._log.telling_line()}")
            if time.monotonic() > give_up:
                raise LocalStackError(f"PostgreSQL is not ready after {START_SECONDS:.0f} s.")
            time.sleep(0.01)
        self._make_database()

    def is_alive(self) -> bool:
        """Whether the server that was launched or taken over still runs."""
        return self._process is not None and self._process.is_alive()

    def stop(self) -> None:
        """Stop this data directory's server, whoever launched it, and no other."""
        self._end(self._find_left())
        self.is_alive()  # reaps our own child
        self._process = None

    def _own(self, home: Path) -> None:
        """Make `home` this stack's, without what one that is gone may have left there."""
        if belonging.is_left_over(self._state_dir, home):
            self._end(self._find_left())
            belonging.remove_left_over(home)
        belonging.claim(self._state_dir, home)

    def _socket_dir(self) -> Path:
        return paths.socket_dir(self._state_dir, paths.server_account())

    def _command(self, programs: Path, access_rules: dict[str, str]) -> tuple[str, ...]:
        settings = {
            **SETTINGS,
            **({} if self._durable else NOT_DURABLE),
            **access_rules,
            "unix_socket_directories": str(self._socket_dir()),
        }
        command = [str(programs / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return tuple(command)

    def _find_left(self) -> list[processes.Process]:
        """The servers of this data directory: more than one if it was removed under the first."""
        data_option = ("-D", str(self._data))
        return processes.find(
            lambda command: Path(command[0]).name == "postgres" and command[1:3] == data_option
        )

    def _end(self, servers: list[processes.Process]) -> None:
        for server in servers:
            server.end(STOP_SIGNALS, patience_seconds=STOP_SECONDS)

    def _drop_misleading_pid_file(self) -> None:
        """Remove a `postmaster.pid` whose process id is another program's by now.

        PostgreSQL would take that program for a server and refuse to start. An id that is
        nobody's it recognises by itself, and then checks that no backend is left, too.
        """
        lines = self._pid_file_lines()
        if lines and lines[0].isdigit() and processes.exists(int(lines[0])):
            (self._data / "postmaster.pid").unlink()

    def _is_ready(self, process: processes.Process) -> bool:
        # Line 1 is the process id, line 8 the status: what pg_ctl goes by as well.
        lines = self._pid_file_lines()
        return len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() == "ready"

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    def _make_database(self) -> None:
        # Imported here, so that its 0.2 s pass while the server starts.
        import psycopg  # noqa: PLC0415 (see above)

        try:
            with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
                known = connection.execute(
                    "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
                ).fetchone()
                if known is None:
                    connection.execute("CREATE DATABASE livedash")
        except psycopg.Error as error:
            raise LocalStackError(f"PostgreSQL runs but cannot be used: {error}") from error
