"""Draws the demo's bar on terminals and then on stdout, in processes forked from this one.

Started with the terminals as JSON: a list of file descriptors, each with the variables that go
with it. What the bar is drawn with takes ten times longer to import than to draw it.
"""

import json
import os
import sys
import time

from batch_assets.cli.screen import console
from batch_assets_local.cli.demo import progress


def main() -> int:
    """Return the sum of the exit codes."""
    children = [_fork(*drawing) for drawing in json.loads(sys.argv[1])]
    draw()
    return sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


def draw() -> None:
    shown = console()
    with progress(shown, 318) as show:
        for left in (318, 159, 0):
            show(left, f"{left} waiting, 0 in a batch")
            time.sleep(0.25)
            shown.say(f"{left} are left")


def _fork(terminal: int, environ: dict[str, str]) -> int:
    child = os.fork()
    if child == 0:
        os.login_tty(terminal)
        os.environ.update(environ)
        draw()
        sys.stdout.flush()
        os._exit(0)
    os.close(terminal)
    return child


if __name__ == "__main__":
    sys.exit(main())
