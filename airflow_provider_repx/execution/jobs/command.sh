#!/usr/bin/env bash
# Runs a user's own command as a unit. Needs bash 4.4 and nothing else.
#
#   command-runner OUT ARGUMENTS ENVIRONMENT
#
#   OUT          folder of the results, which becomes the working directory
#   ARGUMENTS    file with the command and its arguments, each ended by a NUL
#   ENVIRONMENT  file with further variables as NAME=value, each ended by a NUL
set -u

die() {
  printf 'command-runner: %s\n' "$*" >&2
  exit 70
}

(( $# == 3 )) || die "needs 3 arguments, got $#"
mapfile -d '' -t arguments <"$2" || die "cannot read $2"
mapfile -d '' -t environment <"$3" || die "cannot read $3"
cd -- "$1" || die "cannot enter $1"
if (( ${#environment[@]} )); then
  export -- "${environment[@]}" || die "cannot set a variable of $3"
fi
exec -- "${arguments[@]}"
