#!/usr/bin/env bash
# Runs one unit of a RepX job and records how it ended. Needs bash 4.4, coreutils, and nothing else.
#
#   job-runner OUT REPX INPUTS PARAMETERS EXECUTABLE TOKEN EXECUTION_TYPE GRACE CLAIM
#
#   OUT             folder of the results
#   REPX            folder of logs, markers and records
#   INPUTS          JSON file with the paths of the inputs
#   PARAMETERS      JSON file with the parameters
#   EXECUTABLE      the script to run
#   TOKEN           the token of the claim that the unit is run under
#   EXECUTION_TYPE  native
#   GRACE           seconds between TERM and KILL when the unit is to stop
#   CLAIM           the claim's file, copied into the record
#
# TERM, INT and HUP cancel the unit; ALRM says that its time limit is reached. Its own exit status is that of the
# script, 143 when cancelled, 142 at the time limit, and 70 when there is an outcome that it could not record.
#
# Order of writing: the old markers go first, the record REPX/attempt.json comes before the new marker, and SUCCESS is
# written only for a script that exited with 0. So whatever is killed whenever, SUCCESS never stands for anything else.
set -u

readonly cannot_record=70

die() {
  printf 'job-runner: %s\n' "$*" >&2
  exit "$cannot_record"
}

(( $# == 9 )) || die "needs 9 arguments, got $#"
readonly out=$1 repx=$2 inputs=$3 parameters=$4 executable=$5 token=$6 execution_type=$7 grace=$8 claim=$9

# Seconds since 1970. Some languages write a comma for the decimal point.
now() {
  local moment=${EPOCHREALTIME:-}
  [[ -n $moment ]] || printf -v moment '%(%s)T' -1
  REPLY=${moment/,/.}
}

# The processor time of all processes that have ended, in milliseconds, from a file with the output of `times`.
processor_time() {
  local -a amounts
  local total=0 amount seconds fraction
  read -r -d '' -a amounts <"$1"
  for amount in "${amounts[@]}"; do
    seconds=${amount#*m}
    fraction=${seconds#*[.,]}
    fraction=${fraction%s}000
    total=$(( total + 60000 * ${amount%m*} + 1000 * ${seconds%[.,]*} + 10#${fraction:0:3} ))
  done
  REPLY=$total
}

ending='' interrupted=''

# Ends whatever is left of the script's process group. `$!` is empty while there is none yet.
end_group() {
  local deadline=$(( SECONDS + grace + 1 ))
  [[ -n ${!:-} ]] || return 0
  kill -TERM -- "-$!" 2>/dev/null || return 0
  kill -CONT -- "-$!" 2>/dev/null
  while kill -0 -- "-$!" 2>/dev/null; do
    if (( SECONDS >= deadline )); then
      kill -KILL -- "-$!" 2>/dev/null
      return 0
    fi
    sleep 0.05
  done
}

# Acts within the signal's handler: a flag alone could be set just before `wait` begins, and wait for the whole script.
# shellcheck disable=SC2317 # called by the traps below
stop() {
  interrupted=yes
  [[ -n $ending ]] && return
  ending=$1
  end_group
}
trap 'stop cancelled' TERM INT HUP
trap 'stop timeout' ALRM

# Commands are started only where something has to be done: a thousand short jobs pay for each.
[[ -d $out && -d $repx ]] || mkdir -p -- "$out" "$repx" || die "cannot create $out and $repx"
if [[ -e $repx/SUCCESS || -e $repx/FAIL ]]; then
  rm -f -- "$repx/SUCCESS" "$repx/FAIL" || die "cannot remove the old markers in $repx"
fi
{ : >>"$repx/stdout.log" && : >>"$repx/stderr.log"; } || die "cannot write the logs in $repx"
stderr_offset=0
[[ ! -s $repx/stderr.log ]] || stderr_offset=$(stat -c %s -- "$repx/stderr.log") || stderr_offset=0
# `read` fails where no NUL byte ends the text, so that tells nothing.
{ IFS= read -r -d '' claim_text <"$claim"; } 2>/dev/null
[[ -n ${claim_text:-} ]] || claim_text=null
now; readonly started=$REPLY

# Another execution type wraps the command here.
case $execution_type in
  native) command=("$executable" "$out" "$inputs" "$parameters") ;;
  *) die "execution type '$execution_type' is not one that this runner knows (native)" ;;
esac

# Job control puts the script into a process group of its own, which can be signalled without hitting this shell. It
# is off again while waiting, so that a stopped script does not count as one that has ended.
set -m
"${command[@]}" </dev/null >>"$repx/stdout.log" 2>>"$repx/stderr.log" &
readonly job=$!
set +m

# The signal may have come before there was a group to end.
[[ -n $ending ]] && end_group

# A signal interrupts `wait` with a status above 128 of its own; the script's is asked for again then.
while :; do
  interrupted=''
  wait "$job"
  status=$?
  [[ -n $interrupted ]] || break
done
trap '' TERM INT HUP ALRM
end_group
now; readonly ended=$REPLY

case $ending in
  cancelled) outcome=cancelled cause='' ;;
  timeout) outcome=failed cause=TIMEOUT ;;
  *)
    cause=''
    if (( status == 0 )); then outcome=succeeded; else outcome=failed; fi
    ;;
esac

readonly record="$repx/.attempt-$token.json"
cpu_seconds=null
if times >"$record" && processor_time "$record"; then
  printf -v cpu_seconds '%d.%03d' $(( REPLY / 1000 )) $(( REPLY % 1000 ))
fi
{
  printf '{"token":"%s","outcome":"%s","cause":"%s","exit_code":%d,"started":%s,"ended":%s,"cpu_seconds":%s,' \
    "$token" "$outcome" "$cause" "$status" "$started" "$ended" "$cpu_seconds" &&
  printf '"host":"%s","execution_type":"%s","stderr_offset":%d,"slurm_id":"%s","node":"%s","claim":%s}\n' \
    "$HOSTNAME" "$execution_type" "$stderr_offset" "${slurm_id:-}" "${node:-}" "${claim_text:-null}"
} >"$record" || { rm -f -- "$record"; die "cannot write the record in $repx"; }
mv -fT -- "$record" "$repx/attempt.json" || die "cannot write $repx/attempt.json"

case $outcome in
  succeeded)
    : >"$repx/SUCCESS" || die "cannot write $repx/SUCCESS"
    exit 0
    ;;
  failed)
    : >"$repx/FAIL" || die "cannot write $repx/FAIL"
    [[ $cause == TIMEOUT ]] && exit 142
    (( status )) && exit "$status"
    exit 1
    ;;
  *) exit 143 ;;
esac
