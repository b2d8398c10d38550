"""`python -m batch_assets.cli`: the same as `batch-assets`."""

from batch_assets.cli.app import main

main()
