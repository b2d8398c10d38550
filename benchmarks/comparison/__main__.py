"""Runs the benchmark."""

import sys

from benchmarks.comparison.command import main

sys.exit(main())
