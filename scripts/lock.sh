#!/bin/sh
# Compiles requirements.txt and requirements-dev.txt from the pyproject.toml of both packages, for
# every Python that they allow. Pins that still fit stay; `--upgrade` takes the newest. No registry is named in the files.
set -eu
cd "$(dirname "$0")/.."

tools=.local/lock-tools
mkdir -p -m 700 .local
if [ ! -x "$tools/bin/uv" ]; then
    .venv/bin/python -m venv "$tools"
    "$tools/bin/python" -m pip install -qq uv
fi

compile() {
    output=$1
    shift
    "$tools/bin/uv" pip compile pyproject.toml local_stack/pyproject.toml --extra build "$@" --output-file "$output" \
        --universal --python-version 3.11 --generate-hashes --no-header --quiet \
        --no-emit-package batch-assets --no-emit-index-url --no-emit-find-links
}

compile requirements.txt "$@"
# The same versions, and the tools on top.
compile requirements-dev.txt --extra dev --constraint requirements.txt "$@"
