"""What a normal user does with a local stack, as a program: says what came of it, in JSON.

`python normal_user.py PROJECT OPTIONS`; the process that runs it is not root.
"""

import json
import os
import sys
from pathlib import Path

import psycopg

from batch_assets_local import stack


def main(project: Path, options: stack.StackOptions) -> None:
    attached = stack.attach(project, options=options)
    with psycopg.connect(attached.database_url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION pg_stat_statements")
        row = connection.execute("SELECT current_setting('data_directory')").fetchone()
    data = Path(str(row and row[0]))
    outcome = {
        "uid": os.geteuid(),
        "state_dir": str(attached.state_dir),
        "data_dir": str(data),
        "data_owner": data.stat().st_uid,
    }
    stack.reset(project)
    json.dump(outcome, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]), stack.StackOptions.from_json(sys.argv[2]))
