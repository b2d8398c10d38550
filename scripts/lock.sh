#!/bin/sh
# Compiles requirements.txt and requirements-dev.txt from the pyproject.toml of both packages, for
# every Python that they allow; requirements-engines.txt for other engines of Dagster's, and
# requirements-peer.txt for what the benchmark measures beside them.
# Pins that still fit stay; `--upgrade` takes the newest. No registry is named in the files.
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
    python=$2
    shift 2
    "$tools/bin/uv" pip compile "$@" --output-file "$output" \
        --universal --python-version "$python" --generate-hashes --no-header --quiet \
        --no-emit-package batch-assets --no-emit-index-url --no-emit-find-links
}

packages="pyproject.toml local_stack/pyproject.toml --extra build"
compile requirements.txt 3.11 $packages "$@"
# The same versions, and the tools on top.
compile requirements-dev.txt 3.11 $packages --extra dev --constraint requirements.txt "$@"
# And what other engines of Dagster take, on top of that.
compile requirements-engines.txt 3.11 $packages --extra engines \
    --constraint requirements-dev.txt "$@"
compile requirements-peer.txt 3.12 --group peer "$@"
