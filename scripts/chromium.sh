#!/bin/sh
# Installs the distribution's Chromium, which the tests of the UI need, unless a browser is there.
set -eu

fail() {
    echo "chromium: $*" >&2
    exit 1
}

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done

advice="install the distribution's Chromium, and try again."
command -v apt-get >/dev/null 2>&1 || fail "there is no browser and no apt-get: $advice"
[ "$(id -u)" = 0 ] || fail "there is no browser, and only root may use apt-get: $advice"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update ||
    fail "the lists of packages could not be read: see apt-get's message above, and try again."
apt-get -qq install --yes --no-install-recommends chromium fonts-dejavu-core ||
    fail "Chromium could not be installed: see apt-get's message above; or $advice"
