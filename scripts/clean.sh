#!/bin/sh
# Removes what was made here: the local stack with its data, the environment and the caches.
set -eu
cd "$(dirname "$0")/.."

for state_file in .local/*/keeper.json; do
    [ -e "$state_file" ] || continue
    stack=$(basename "$(dirname "$state_file")")
    # It knows what lies outside of this folder: root's databases, and sockets.
    BATCH_LOCAL_STACK=$stack .venv/bin/python -m batch_assets.cli local reset --yes ||
        echo "clean: the local stack $stack could not be removed; the rest goes on." >&2
done
rm -rf .venv .local .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
find . -name __pycache__ -type d -prune -exec rm -rf {} +
