#!/bin/sh
# Installs the distribution's Chromium and nginx, which the tests of the UI need, unless both are there.
set -eu

fail() {
    echo "ui_programs: $*" >&2
    exit 1
}

has() {
    for name in "$@"; do
        if command -v "$name" >/dev/null 2>&1; then
            return 0
        fi
    done
    return 1
}

packages=""
has chromium chromium-browser google-chrome || packages="chromium fonts-dejavu-core"
has nginx || packages="$packages nginx"
[ -n "$packages" ] || exit 0

advice="install the distribution's Chromium and nginx, and try again."
has apt-get || fail "there is no browser or no nginx, and no apt-get: $advice"
[ "$(id -u)" = 0 ] || fail "there is no browser or no nginx, and only root may use apt-get: $advice"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update ||
    fail "the lists of packages could not be read: see apt-get's message above, and try again."
# shellcheck disable=SC2086  # several packages
apt-get -qq install --yes --no-install-recommends $packages ||
    fail "Chromium or nginx could not be installed: see apt-get's message above; or $advice"
