#!/bin/bash
# install.sh BUILD: what `make install` puts where, and that systemd accepts the units.
#
# Last line: N passed, N failed.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=$1
root=$(mktemp -d) || exit 2
trap 'rm -rf "$root"' EXIT
passed=0
failed=0
check() { # NAME COMMAND...
    local name=$1 said
    shift
    if said=$("$@" 2>&1); then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL %s\n%s\n' "$name" "$said"
    fi
}
put() { # VARIABLE=VALUE...: make install into an empty root
    rm -rf "$root/tree"
    make --no-print-directory BUILD="$build" DESTDIR="$root/tree" "$@" install
}
# systemd looks for programs where the units say, so a copy of the units says where they are here.
verify() { # UNIT...
    local said
    mkdir -p "$root/units"
    for unit in "$root"/tree/usr/lib/systemd/system/*; do
        sed "s|=/usr/sbin/|=$PWD/${build#"$PWD"/}/|" "$unit" >"$root/units/$(basename "$unit")"
    done
    [ "${build#/}" = "$build" ] || sed -i "s|$PWD/$build|$build|" "$root"/units/*
    said=$(cd "$root/units" && systemd-analyze verify --man=no "$@" 2>&1)
    [ $? -eq 0 ] && [ -z "$said" ] || { echo "$said" && false; }
}
exposure() { # UNIT LIMIT: 0 (nothing) to 100 (everything) that the service could reach
    (cd "$root/units" && systemd-analyze security --no-pager --offline=true --threshold="$2" "$1")
}
has() { # FILE TEXT
    grep -qF -- "$2" "$root/tree/$1" || { echo "$1 lacks $2" && false; }
}
reads_back() { # PROGRAM: its example file is one that it accepts
    MACP_ENV=development "$build/macp-$1" \
        --env-file "$root/tree/usr/share/doc/macp-observer/$1.env" check-config
}
names_all() { # PROGRAM: every variable of --help has its paragraph in the manual page
    local name
    for name in $("$build/macp-$1" --help | sed -n 's/^  \([A-Z][A-Z0-9_]*\)$/\1/p'); do
        has "usr/share/man/man8/macp-$1.8" ".B $name" || return 1
    done
}
places_nothing_elsewhere() {
    local stray
    stray=$(cd "$root/tree" && find . -type f | grep -vE '^\./usr/(sbin|lib/systemd/system|lib/sysusers\.d|share/(man/man8|doc/macp-observer))/')
    [ -z "$stray" ] || { echo "$stray" && false; }
}

check "install" put PREFIX=/usr
check "files lie where they belong" places_nothing_elsewhere
check "observer unit" verify macp-observerd@9465.service
check "handler units" verify macp-fcgi.service macp-fcgi.socket
check "observer can reach little" exposure macp-observerd@9465.service 25
check "handlers can reach little" exposure macp-fcgi.service 25
check "observer reads the file that is documented" has \
    "usr/lib/systemd/system/macp-observerd@.service" "--env-file /etc/macp-observer/observerd.env"
check "no placeholder is left" sh -c "! grep -nE '@(sbindir|sysconfdir|hardening)@' '$root'/tree/usr/lib/systemd/system/*"
check "users" has usr/lib/sysusers.d/macp-observer.conf "u macp-observer"
check "sysusers accepts the file" systemd-sysusers --dry-run "$root/tree/usr/lib/sysusers.d/macp-observer.conf"
for program in observerd fcgi; do
    check "example file of $program" reads_back "$program"
    check "manual page of $program" names_all "$program"
done
check "install elsewhere" put PREFIX=/opt/macp SYSCONFDIR=/opt/etc
check "units follow the prefix" grep -qF "ExecStart=/opt/macp/sbin/macp-fcgi --env-file /opt/etc/macp-observer/fcgi.env" \
    "$root/tree/opt/macp/lib/systemd/system/macp-fcgi.service"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
