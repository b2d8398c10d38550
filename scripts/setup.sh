#!/bin/sh
# Makes .venv ready: Python, the pinned requirements, and the two packages of this project in
# place. What is ready already is left alone.
#
#   scripts/setup.sh demo    what it takes to run
#   scripts/setup.sh dev     and what it takes to test and check
#
# PYTHON names another interpreter than the first suitable one on the PATH.
set -eu

fail() {
    echo "setup: $*" >&2
    exit 1
}

suits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        suits "$PYTHON" || fail "PYTHON is '$PYTHON', which is no Python 3.11, 3.12 or 3.13."
        echo "$PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11; do
        if suits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11, 3.12 or 3.13 is needed and none is on the PATH ($(python3 --version 2>&1 |
        head -n 1)): install one, or name one, as in 'make PYTHON=/path/to/python3.12 …'."
}

make_environment() {
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no venv module: install it (on Debian and Ubuntu the package" \
            "python3-venv) and try again."
    "$python" -m venv --clear .venv ||
        fail "$python could not make the virtual environment .venv: see its message above."
}

install() {
    # The user's index, proxy and certificates hold; what would put packages elsewhere does not.
    unset PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON PIP_CONSTRAINT PIP_REQUIREMENT PIP_EDITABLE
    export PIP_USER=0 PIP_DRY_RUN=0 PIP_REQUIRE_HASHES=0
    export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
    # The file is complete, so that pip need not look for anything that is not in it.
    .venv/bin/python -m pip install -qq --no-compile --no-deps --requirement "$1" ||
        fail "the packages of $1 could not be installed: see pip's message above, check that the" \
            "package index can be reached, and try again."
    .venv/bin/python -m pip install -qq --no-compile --no-deps --no-build-isolation \
        --editable . --editable ./local_stack ||
        fail "the packages of this project could not be installed into .venv: see pip's message above."
    # On all cores, while pip would use one. Dagster takes three times as long to import without.
    # A few packages hold files for other versions of Python, which do not compile.
    .venv/bin/python -m compileall -qq -j 0 .venv/lib batch_assets local_stack >/dev/null 2>&1 || true
}

cd "$(dirname "$0")/.."
level=${1:-demo}
case $level in
    demo) requirements=requirements.txt ;;
    dev) requirements=requirements-dev.txt ;;
    *) fail "'$level' is neither demo nor dev." ;;
esac

# What .venv was made from, and where: a copied one still points to where it came from.
wanted="$(cksum pyproject.toml local_stack/pyproject.toml requirements.txt requirements-dev.txt) $(pwd -P)"
if [ "$(cat ".venv/ready-$level" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
if ! suits .venv/bin/python || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    make_environment
fi
echo "setup: installing the packages of $requirements into .venv, which takes a minute …"
rm -f .venv/ready-*
install "$requirements"
echo "$wanted" >.venv/ready-demo
[ "$level" = demo ] || echo "$wanted" >.venv/ready-dev
echo "setup: .venv is ready."
