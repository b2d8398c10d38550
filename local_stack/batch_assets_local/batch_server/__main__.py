"""Runs the command."""

import sys

from batch_assets_local.batch_server.command import main

sys.exit(main())
