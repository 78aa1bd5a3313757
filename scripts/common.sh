# shellcheck shell=bash
# What the scripts share: progress, an unprivileged user, a private PostgreSQL
# in a temporary directory that goes away at the end.  Sourced, not run;
# expects $top, the directory of the sources.
# shellcheck disable=SC2154 # $top

say() {
    if [ -t 1 ]; then
        printf '\033[1m==> %s\033[0m\n' "$*"
    else
        printf '==> %s\n' "$*"
    fi
}

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Runs a command as root.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        command -v sudo >/dev/null || die "not root and no sudo for: $*"
        sudo "$@"
    fi
}

# Sets $pg_major and $clang_major: of the PostgreSQL that PG_CONFIG or the path names, or else of
# the newest that the release has.
choose_versions() {
    pg_major=$("${PG_CONFIG:-pg_config}" --version 2>/dev/null | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p')
    released=$(apt-cache search --names-only '^postgresql-server-dev-[0-9]+$' |
        sed -n 's/^postgresql-server-dev-\([0-9]*\) .*/\1/p' | sort -n)
    : "${pg_major:=$(echo "$released" | tail -n 1)}"
    # one that was built by hand has no package
    built_with=$pg_major
    echo "$released" | grep -qx "$built_with" || built_with=$(echo "$released" | tail -n 1)
    clang_major=$(apt-cache depends "postgresql-server-dev-$built_with" 2>/dev/null |
        sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
    [ -n "$pg_major" ] && [ -n "$clang_major" ]
}

# True when there is a PostgreSQL already that no package brought.
is_built_by_hand() {
    postgres=$("${PG_CONFIG:-pg_config}" --bindir 2>/dev/null)/postgres
    [ -x "$postgres" ] && ! dpkg -S "$postgres" >/dev/null 2>&1
}

# Installs the packages of the given purposes (lines of scripts/packages).
install_packages() {
    choose_versions || {
        as_root apt-get update -qq
        choose_versions || die "apt has no package postgresql-server-dev-NN"
    }
    packages=
    for purpose in "$@"; do
        packages="$packages $(sed -n "s/^$purpose: *//p" "$top/scripts/packages" | tr '\n' ' ')"
    done
    if is_built_by_hand; then
        packages=$(echo "$packages" | tr ' ' '\n' | grep -v '@PG@')
    fi
    packages=$(echo "$packages" | sed "s/@PG@/$pg_major/g; s/@CLANG@/$clang_major/g")
    missing=
    for package in $packages; do
        # other makers' nodejs has npm in it, and conflicts with Debian's
        case $package in nodejs | npm) ! command -v npm >/dev/null || continue ;; esac
        # shellcheck disable=SC2016 # dpkg's own variable
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
        [ "$status" = installed ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    say "installing$missing"
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null || die "not root and no sudo; install these packages first:$missing"
    # The packages' own servers must not start: everything here runs its own.
    policy=
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        policy=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod +x "$policy"
    fi
    installed=yes
    # shellcheck disable=SC2086 # a list
    {
        as_root apt-get update -qq &&
            as_root env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y -qq --no-install-recommends $missing
    } >/dev/null || installed=no
    [ -z "$policy" ] || as_root rm -f "$policy"
    [ $installed = yes ] || die "apt-get could not install:$missing"
}

# PostgreSQL refuses to run as root: sets $as_user to what runs a command as
# somebody else, and makes that user the owner of the given directory.
choose_user() {
    as_user=
    if [ "$(id -u)" -eq 0 ]; then
        user=postgres
        id "$user" >/dev/null 2>&1 || user=nobody
        group=$(id -gn "$user")
        as_user="setpriv --reuid=$user --regid=$group --clear-groups env -u SUDO_USER HOME=$1"
        chown "$user:$group" "$1"
    fi
}

# Makes $work, a temporary directory in which everything happens, and copies
# the sources to $work/tree, so that the tree one works in stays as it is.
make_workplace() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/mulberry.XXXXXX")
    chmod 755 "$work"
    trap 'clean_up' EXIT
    trap 'exit 130' INT TERM
    choose_user "$work"
    mkdir "$work/tree"
    if git -C "$top" rev-parse --git-dir >/dev/null 2>&1; then
        (cd "$top" && git ls-files -z --cached --others --exclude-standard |
            tar --null -T - --ignore-failed-read -cf - 2>/dev/null) | tar -C "$work/tree" -xf -
    else
        tar -C "$top" --exclude=.git -cf - . | tar -C "$work/tree" -xf -
    fi
    [ -z "$as_user" ] || chown -R "$user:$group" "$work/tree"
}

# Ends what is left of our own cluster and removes the temporary directory.
clean_up() {
    status=$?
    trap - EXIT
    set +e # what has ended already does not keep the rest from ending
    for pid_file in "$work"/*.pid; do
        [ -e "$pid_file" ] && kill "$(cat "$pid_file")" 2>/dev/null
    done
    find "$work" -name postmaster.pid 2>/dev/null | while read -r pid_file; do
        $as_user "$bindir/pg_ctl" -D "${pid_file%/postmaster.pid}" -m immediate -w stop >/dev/null 2>&1
    done
    if [ -n "${KEEP:-}" ]; then
        echo "kept: $work"
    else
        rm -rf "$work"
    fi
    exit $status
}

# Builds the extension, in a copy of $work/tree, for the server of another pg_config, and installs it
# into a private one in $work/older; sets $older to its directory.
build_for_older() { # pg_config
    older=$($as_user "$work/tree/scripts/private-postgres" "$work/older" "$1")
    (cd "$work" &&
        $as_user cp -r tree older-tree &&
        $as_user make -s -C older-tree -j"$(nproc)" with_llvm=no PG_CONFIG="$older" all &&
        $as_user make -s -C older-tree with_llvm=no PG_CONFIG="$older" install) >"$work/older.log" 2>&1 || {
        cat "$work/older.log"
        die "the build for $1 failed"
    }
    older=${older%/bin/pg_config}
}

# Builds the extension and the programs in $work/tree and installs them into a
# private PostgreSQL in $work/pg; sets $pg_config and $bindir.  Arguments are make's.
build() {
    pg_config=$($as_user "$work/tree/scripts/private-postgres" "$work/pg" "${PG_CONFIG:-pg_config}")
    bindir=${pg_config%/pg_config}
    (cd "$work/tree" &&
        $as_user make -s -j"$(nproc)" PG_CONFIG="$pg_config" "$@" all programs &&
        $as_user make -s PG_CONFIG="$pg_config" "$@" install) >"$work/build.log" 2>&1 || {
        cat "$work/build.log"
        die "the build failed"
    }
    grep -E 'warning' "$work/build.log" || true
}
