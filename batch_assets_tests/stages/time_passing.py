"""Time that passes in a test: the database's dates are moved back, the server's clock forward."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text

from batch_assets_tests.stages.support import Lab, wait_until

_LET_PASS = text(
    """
    DO $$
    DECLARE
        dated record;
    BEGIN
        FOR dated IN
            SELECT c.table_name,
                string_agg(format('%1$I = %1$I - current_setting(''test.passed'')::interval',
                    c.column_name), ', ') AS moves
            FROM information_schema.columns AS c
            JOIN information_schema.tables AS t USING (table_schema, table_name)
            WHERE c.table_schema = 'batch_assets' AND t.table_type = 'BASE TABLE'
                AND c.data_type = 'timestamp with time zone'
            GROUP BY c.table_name
        LOOP
            EXECUTE format('UPDATE batch_assets.%I SET %s', dated.table_name, dated.moves);
        END LOOP;
    END $$
    """
)
_BETWEEN_RUNS = 15 * 60
OPEN = {"waiting", "in_batch", "follows", "retry"}

_NEXT = text(
    """
    SELECT extract(epoch FROM min(due.at) - clock_timestamp())::float8
    FROM (
        SELECT f.retry_at AS at FROM batch_assets.retry AS f
        UNION ALL SELECT b.poll_at FROM batch_assets.batch AS b
        UNION ALL SELECT p.until FROM batch_assets.model_cooldown AS p
        UNION ALL SELECT a.until FROM batch_assets.account_cooldown AS a
    ) AS due
    WHERE due.at > clock_timestamp()
    """
)


class Clock:
    """The clocks of the database and, if it is to go with it, of the server."""

    def __init__(self, lab: Lab, *, moves_server: bool = False, **config: Any) -> None:
        """Put the server's `config` in force; its rules count anew whenever its clock is moved."""
        self._lab = lab
        self._moves_server = moves_server
        self._config: Mapping[str, Any] = config
        self.passed = 0.0
        self._configure()

    def let_pass(self, seconds: float) -> None:
        """As if so much time had gone by."""
        with self._lab.desk.engine.begin() as connection:
            connection.execute(
                text("SELECT set_config('test.passed', :seconds || ' seconds', true)"),
                {"seconds": str(seconds)},
            )
            connection.execute(_LET_PASS)
        self.passed += seconds
        if self._moves_server:
            self._configure()

    def configure(self, **config: Any) -> None:
        """Put another configuration of the server in force; no time passes."""
        self._config = config
        self._configure()

    def to_the_next_date(self, *, at_most: float) -> None:
        """To when something is due to be looked at or sent again; to the next usual run if not."""
        with self._lab.desk.engine.begin() as connection:
            seconds = connection.execute(_NEXT).scalar_one()
        self.let_pass(_BETWEEN_RUNS if seconds is None else min(seconds + 1, at_most))

    def run_to_the_end(self, *, at_most_hours: float = 24) -> int:
        """Make runs until nothing is open any more, each when something is due; how many."""
        runs = 0
        while runs == 0 or self._lab.bucket_counts().keys() & OPEN:
            assert self.passed < at_most_hours * 3_600, self._lab.bucket_counts()
            run(self._lab)
            self.to_the_next_date(at_most=3_600)
            runs += 1
        return runs

    def _configure(self) -> None:
        timing = dict(self._config.get("timing", {}))
        if self._moves_server:
            timing["clock_offset_seconds"] = self.passed
        self._lab.configure(**{**self._config, "timing": timing})


def run(lab: Lab) -> None:
    """Both branches of a run, with time for the server in between to do what it can."""
    service = lab.server.service
    lab.poll()
    lab.recover()
    lab.ingest()
    lab.clean()
    lab.retry_failed()
    lab.submit()
    wait_until(lambda: not service.batches.running_ids())
