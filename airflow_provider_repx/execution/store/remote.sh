#!/usr/bin/env bash
# Questions to an output store and its completion log, asked from another machine. Needs bash 4.4 and coreutils.
#
#   remote status OUTPUTS    job ids on stdin, one a line; answers with "<state> <job id>" for each that exists
#   remote folders OUTPUTS   the same for folders of jobs or of their parts, each by its own markers and claim alone
#   remote claims OUTPUTS    folders on stdin; answers with two lines, folder and claim, for each whose claim is alive
#   remote contents OUTPUTS  files on stdin, each ended by NUL; answers with "<size> <file>", NUL and its content for each
#   remote settled OUTPUTS   answers the same for every job that succeeded or failed
#   remote attempts OUTPUTS  folders on stdin; answers with two lines, folder and record, for each that has the record of an attempt
#   remote log OUTPUTS       the completion log
#   remote append OUTPUTS    records on stdin, appended to the completion log while nobody else of this package does
#
# The states are those of listing.py: succeeded, failed, running, pending; the marker SUCCESS is the truth.
set -u

die() {
  printf '%s\n' "$*" >&2
  exit 1
}

(( $# == 2 )) || die "needs a command and a folder, got $# arguments"
readonly outputs=$2

# The token in a claim or a record; empty without one. Both are JSON on a single line, written by this package.
token_in() {
  local line=''
  REPLY=''
  { IFS= read -r line <"$1"; } 2>/dev/null || [[ -n $line ]] || return 0
  [[ $line =~ \"token\":\ ?\"([0-9a-f]+)\" ]] && REPLY=${BASH_REMATCH[1]}
}

# The token of the last claim: each may be followed by its successor's. Empty when that one is over.
live_token() {
  local path=$1/claim token=''
  while token_in "$path" && [[ -n $REPLY ]]; do
    token=$REPLY
    path=$1/claim.after-$token
  done
  REPLY=$token
  [[ -z $token || ! -e $1/claim.over-$token ]] || REPLY=''
}

# A claim is live until it is marked as over, or the record of its own attempt is there.
state_of() {
  local repx=$outputs/$1/repx claimed
  if [[ -e $repx/SUCCESS ]]; then
    REPLY=succeeded
    return
  fi
  live_token "$repx"
  claimed=$REPLY
  token_in "$repx/attempt.json"
  if [[ -n $claimed && $claimed != "$REPLY" ]]; then
    REPLY=running
  elif [[ -e $repx/SUCCESS ]]; then
    REPLY=succeeded
  elif [[ -e $repx/FAIL ]]; then
    REPLY=failed
  else
    REPLY=pending
  fi
}

# As `state_of`; a scatter-gather job that is not done is running when a part of it is, else failed when a part is.
state_of_job() {
  local state part
  state_of "$1"
  state=$REPLY
  [[ $state == pending || $state == failed ]] && [[ -d $outputs/$1/scatter ]] || return
  for part in scatter "$outputs/$1"/branch-*/step-*; do
    state_of "$1/${part#"$outputs/$1/"}"
    [[ $REPLY != running ]] || return
    [[ $REPLY != failed ]] || state=failed
  done
  REPLY=$state
}

case $1 in
  status | folders)
    [[ -d $outputs ]] || exit 0
    [[ -r $outputs && -x $outputs ]] || die "$outputs: cannot be read"
    shopt -s nullglob
    while IFS= read -r job; do
      [[ -d $outputs/$job ]] || continue
      if [[ $1 == status ]]; then state_of_job "$job"; else state_of "$job"; fi
      printf '%s %s\n' "$REPLY" "$job"
    done
    ;;
  claims)
    while IFS= read -r job; do
      state_of "$job"
      [[ $REPLY == running ]] || continue
      path=$outputs/$job/repx/claim
      while token_in "$path" && [[ -e $outputs/$job/repx/claim.after-$REPLY ]]; do
        path=$outputs/$job/repx/claim.after-$REPLY
      done
      line=''
      { IFS= read -r line <"$path"; } 2>/dev/null || [[ -n $line ]] || continue
      printf '%s\n%s\n' "$job" "$line"
    done
    ;;
  contents)
    while IFS= read -r -d '' file; do
      [[ -f $outputs/$file ]] || continue
      # The size that is told counts: a file may grow meanwhile.
      size=$(stat -L -c %s -- "$outputs/$file") || exit 1
      printf '%s %s\0' "$size" "$file"
      head -c "$size" -- "$outputs/$file" || exit 1
    done
    ;;
  settled)
    shopt -s nullglob
    for folder in "$outputs"/*/; do
      folder=${folder%/}
      job=${folder##*/}
      state_of "$job"
      [[ $REPLY != succeeded && $REPLY != failed ]] || printf '%s %s\n' "$REPLY" "$job"
    done
    ;;
  attempts)
    while IFS= read -r job; do
      line=''
      { IFS= read -r line <"$outputs/$job/repx/attempt.json"; } 2>/dev/null || [[ -n $line ]] || continue
      printf '%s\n%s\n' "$job" "$line"
    done
    ;;
  log)
    [[ -e $outputs/completions.jsonl ]] || exit 0
    exec cat -- "$outputs/completions.jsonl"
    ;;
  append)
    readonly log=$outputs/completions.jsonl locks=${outputs%/*}/repx/temp
    mkdir -p -- "$outputs" "$locks" || exit 1
    records=$(cat) || exit 1
    exec 8>>"$locks/completions.lock" || exit 1
    if command -v flock >/dev/null; then flock 8; fi
    # A crash in the middle of a write leaves a line without its end; a record must not be glued to it.
    [[ -s $log && -n $(tail -c 1 -- "$log") ]] && records=$'\n'$records
    printf '%s\n' "$records" >>"$log" || exit 1
    ;;
  *) die "no command '$1'" ;;
esac
