"""Runs the drill."""

import sys

from drills.command import main

sys.exit(main())
