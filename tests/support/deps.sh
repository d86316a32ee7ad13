#!/bin/sh
# deps.sh PACKAGE...: install the Debian packages that are missing; start no service.
#
# Without root or sudo it prints the line to run and stops.
set -eu

missing=
for package in "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
        missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root="sudo"
elif command -v sudo >/dev/null 2>&1 && [ -t 0 ]; then
    as_root="sudo"
else
    echo "Packages are missing. As root, run:" >&2
    echo "    apt-get update && apt-get install -y --no-install-recommends$missing" >&2
    exit 1
fi

echo "installing:$missing"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM
# Services stay off while packages are set up: policy-rc.d answers "not allowed". One that an
# administrator has put there stays.
policy=/usr/sbin/policy-rc.d
made_policy=no
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$work/policy"
    $as_root install -m 755 "$work/policy" "$policy"
    made_policy=yes
fi
# Postgres' own default cluster would be one more server on this machine: none is made.
conf=/etc/postgresql-common/createcluster.conf
if [ ! -e "$conf" ]; then
    $as_root mkdir -p /etc/postgresql-common
    echo "create_main_cluster = false" >"$work/conf"
    $as_root install -m 644 "$work/conf" "$conf"
fi
status=0
$as_root apt-get update -q || true
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends \
    -o Dpkg::Options::=--force-confold $missing || status=$?
[ "$made_policy" = no ] || $as_root rm -f "$policy"
exit $status
