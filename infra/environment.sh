# Sourced by infra/up, infra/demo, infra/specmesh, tests/run and tests/xenbed. Sets $root, $dotnet and a sane environment for dotnet; defines build_quietly, install_servers and install_missing.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

[ "$(uname -s)" = Linux ] || fail "SpecMesh runs on Linux only: it tracks guest memory with the Linux kernel. This is $(uname -s)."

# dotnet keeps its caches below HOME; a service account or a container may have none, or one that it cannot write.
if [ -z "${HOME:-}" ] || ! mkdir -p "$HOME" 2>/dev/null || [ ! -w "$HOME" ]; then
    export HOME="$root/.state/home"
    mkdir -p "$HOME" || fail "Neither HOME nor $root can be written."
fi
if [ -z "${DOTNET_CLI_HOME:-}" ] || [ ! -w "$DOTNET_CLI_HOME" ]; then
    export DOTNET_CLI_HOME="$HOME"
fi
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_GENERATE_ASPNET_CERTIFICATE=false
# Build nodes that wait for the next build would outlive the command.
export MSBUILDDISABLENODEREUSE=1
export MASSTRANSIT_USAGE_TELEMETRY=false

# Sets $dotnet to the first dotnet that has an SDK new enough; $found to the versions of those that have not.
find_dotnet() {
    local candidate versions
    found=
    for candidate in "$(command -v dotnet || true)" "${DOTNET_ROOT:-}/dotnet" "$HOME/.dotnet/dotnet" /usr/share/dotnet/dotnet /usr/lib/dotnet/dotnet; do
        [ -x "$candidate" ] || continue
        versions=$("$candidate" --list-sdks 2>/dev/null | awk '{print $1}')
        if grep -qE '^10\.' <<<"$versions"; then
            dotnet=$candidate
            return 0
        fi
        found+="$candidate has $(tr '\n' ' ' <<<"${versions:-no SDK}"); "
    done
    return 1
}

find_dotnet || fail "SpecMesh needs the .NET 10 SDK (https://dot.net) on the PATH. ${found:-There is no dotnet.}"

# build_quietly PROJECT...: builds Release; output is shown only when a build fails.
build_quietly() {
    local project log
    log=$(mktemp)
    for project in "$@"; do
        if ! (cd "$root" && "$dotnet" build -c Release --nologo -v quiet "$project") >"$log" 2>&1; then
            cat "$log" >&2
            rm -f "$log"
            fail "$project does not build."
        fi
    done
    rm -f "$log"
}

# missing_servers: prints the Debian packages that are neither given by the environment nor installed.
missing_servers() {
    [ -n "${SPECMESH_RABBITMQ:-}" ] || [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || printf 'rabbitmq-server '
    [ -n "${SPECMESH_POSTGRES:-}" ] || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || printf 'postgresql '
}

# missing_checker: prints the Debian packages that tests/model/run needs and that are not installed.
missing_checker() {
    command -v spin >/dev/null || printf 'spin '
    command -v cc >/dev/null || printf 'gcc libc6-dev '
}

# missing_emulator: prints the Debian packages that tests/xenbed needs and that are not installed.
missing_emulator() {
    command -v qemu-system-x86_64 >/dev/null || printf 'qemu-system-x86 '
    command -v cpio >/dev/null || printf 'cpio '
    command -v mke2fs >/dev/null || printf 'e2fsprogs '
    command -v gcc >/dev/null || printf 'gcc libc6-dev '
    command -v python3 >/dev/null || printf 'python3 '
}

# install_missing FUNCTION: installs the packages that FUNCTION prints. Succeeds only when it prints none any more.
install_missing() {
    local packages log policy=/usr/sbin/policy-rc.d placed=no
    read -r -a packages <<<"$("$1")"
    [ ${#packages[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        printf 'Missing: %s. As root: apt-get install -y --no-install-recommends %s\n' "${packages[*]}" "${packages[*]}" >&2
        return 1
    fi

    printf 'installing %s\n' "${packages[*]}" >&2
    # The packages would start servers for the whole machine, on all its addresses; ours are private.
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && placed=yes
    fi
    log=$(mktemp)
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${packages[@]}"; } >"$log" 2>&1; then
        tail -20 "$log" >&2
    fi
    rm -f "$log"
    [ $placed = no ] || rm -f "$policy"
    [ -z "$("$1")" ]
}

install_servers() { install_missing missing_servers; }
