"""Runs the benchmark, or what is named first: `drain` or `large`.

Here and nowhere else a program begins: the processes that are measured import what began it, unless
that is called `__main__`.
"""

import sys

from benchmarks.comparison import command, drain, large

_OTHERS = {"drain": drain.main, "large": large.main}

if __name__ == "__main__":
    given = sys.argv[1:]
    other = _OTHERS.get(given[0]) if given else None
    sys.exit(command.main(given) if other is None else other(given[1:]))
