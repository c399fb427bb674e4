#!/usr/bin/env bash
# Sets up what a checkout needs. `system`: programs from the distribution; `tests`: more of them, which only tests use;
# `python`: the virtual environment .venv. Called by the Makefile; each part does nothing where everything is there already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VENV=.venv
readonly OLDEST=10 NEWEST=13 # of Python 3
readonly POLICY=/usr/sbin/policy-rc.d

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
    if can_install; then
        install_packages "${missing[@]}"
    else
        say "These are missing and can only be installed by an administrator:"
        say "  Debian, Ubuntu:   sudo apt-get install --no-install-recommends ${missing[*]}"
        say "  other systems:    Nix 2.8 or newer from https://nixos.org/download (labs cannot be built without it),"
        say "                    Python 3.$OLDEST to 3.$NEWEST with its venv module, git"
    fi
}

# Slurm with accounting, sshd, login shells that differ from bash, a file system with quotas: tests start clusters and
# servers of their own.
install_tests() {
    local missing=()
    has shellcheck || missing+=(shellcheck)
    has slurmctld slurmd sbatch munged || missing+=(slurm-wlm munge)
    has slurmdbd mariadbd mariadb-install-db || missing+=(slurmdbd slurm-wlm-mysql-plugin mariadb-server)
    has sshd ssh ssh-keygen || missing+=(openssh-server openssh-client)
    has tcsh fish zsh || missing+=(tcsh fish zsh)
    has mkfs.btrfs btrfs || missing+=(btrfs-progs)
    ((${#missing[@]})) || return 0
    if can_install; then
        without_services install_packages "${missing[@]}"
    else
        say "Tests that need one of these are skipped: ${missing[*]}"
    fi
}

# Whether all of these programs are there; daemons lie where not every user's PATH leads.
has() {
    local program
    for program; do
        PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v "$program" >/dev/null || return 1
    done
}

can_install() { ((EUID == 0)) && command -v apt-get >/dev/null; }

install_packages() {
    say "Installing Debian packages: $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq </dev/null >&2
    apt-get install -y -qq --no-install-recommends "$@" </dev/null >&2
}

# Runs a command while no package may start its service: nobody asked for a database or a server of this machine.
without_services() {
    if [[ ! -e $POLICY ]]; then
        trap 'rm -f "$POLICY"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$POLICY"
        chmod 0755 "$POLICY"
    fi
    "$@"
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
    tests) install_tests ;;
    python) install_python ;;
    *)
        say "usage: $0 system | tests | python"
        exit 2
        ;;
esac
