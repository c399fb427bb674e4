#!/usr/bin/env bash
# Sets up what a checkout needs. `system`: programs from the distribution; `python`: the virtual environment .venv.
# Called by the Makefile; both parts do nothing where everything is there already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VENV=.venv
readonly OLDEST=10 NEWEST=13 # of Python 3

say() { printf '%s\n' "$*" >&2; }

# Whether a Python is one that this project supports and can make virtual environments.
suitable() {
    "$1" - "$OLDEST" "$NEWEST" >/dev/null 2>&1 <<'PYTHON'
import ensurepip, sys, venv
oldest, newest = int(sys.argv[1]), int(sys.argv[2])
sys.exit(not (sys.version_info[0] == 3 and oldest <= sys.version_info[1] <= newest))
PYTHON
}

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.11 python3.12 python3.13 python3.10 /usr/bin/python3; do
        if command -v "$candidate" >/dev/null && suitable "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

has_nix() {
    command -v nix >/dev/null || [[ -x /nix/var/nix/profiles/default/bin/nix || -x ${HOME:-/root}/.nix-profile/bin/nix ]]
}

has_venv() { [[ -x $VENV/bin/python ]] && "$VENV/bin/python" -c '' 2>/dev/null; }

install_system() {
    local missing=()
    has_venv || find_python >/dev/null || missing+=(python3 python3-venv)
    has_nix || missing+=(nix-bin)
    command -v git >/dev/null || missing+=(git)
    ((${#missing[@]})) || return 0
    if ((EUID == 0)) && command -v apt-get >/dev/null; then
        say "Installing Debian packages: ${missing[*]}"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq </dev/null >&2
        apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >&2
    else
        say "These are missing and can only be installed by an administrator:"
        say "  Debian, Ubuntu:   sudo apt-get install --no-install-recommends ${missing[*]}"
        say "  other systems:    Nix 2.8 or newer from https://nixos.org/download (labs cannot be built without it),"
        say "                    Python 3.$OLDEST to 3.$NEWEST with its venv module, git"
    fi
}

install_python() {
    local python
    if ! has_venv; then
        if ! python=$(find_python); then
            say "No Python 3.$OLDEST to 3.$NEWEST with its venv module. Install one, or name one: make install PYTHON=/path/to/python3"
            exit 1
        fi
        say "Creating $VENV with $python ($("$python" --version))"
        "$python" -m venv --clear "$VENV"
    fi
    say "Installing this package, Airflow and the development tools into $VENV (versions as in constraints.txt; about two minutes)"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
}

case ${1:-} in
    system) install_system ;;
    python) install_python ;;
    *)
        say "usage: $0 system | python"
        exit 2
        ;;
esac
