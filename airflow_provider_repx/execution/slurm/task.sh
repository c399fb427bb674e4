#!/usr/bin/env bash
# Runs one element of a job array on its node, by the job runner. Needs bash 4.4 and coreutils.
#
#   task ARRAY_FOLDER RUNNER GRACE UMASK
#
# It runs nothing, and touches nothing of the job, when the job's claim does not count any more (exit status 75), or
# when this element was started before: whatever is submitted twice is run once.
set -u

exec >>"$1/said" 2>&1 || exit 70
readonly fenced=75

say() { printf 'Slurm job %s, element %s: %s\n' "${SLURM_JOB_ID:-?}" "${SLURM_ARRAY_TASK_ID:-?}" "$*"; }

[[ -z $4 ]] || umask "$4"
mapfile -d '' -s $(( SLURM_ARRAY_TASK_ID * 8 )) -n 8 fields <"$1/index"
if (( ${#fields[@]} != 8 )); then
  say "the array's index $1/index has no such element"
  exit 70
fi

# The start is marked before the claim is looked at; whoever takes a claim over looks for the mark after. So one of the
# two always sees the other. Only a restart by Slurm itself of the very same job may find its own mark.
mark="$SLURM_JOB_ID ${SLURM_RESTART_COUNT:-0} ${SLURMD_NODENAME:-$HOSTNAME}"
set -C
if ! { printf '%s\n' "$mark" >"$1/started/$SLURM_ARRAY_TASK_ID"; } 2>/dev/null; then
  { read -r former restarts _ <"$1/started/$SLURM_ARRAY_TASK_ID"; } 2>/dev/null || former='' restarts=0
  if [[ $former != "$SLURM_JOB_ID" ]] || (( ${SLURM_RESTART_COUNT:-0} <= restarts )); then
    say "not run: it was started before, as Slurm job ${former:-unknown}"
    exit "$fenced"
  fi
  printf '%s\n' "$mark" >|"$1/started/$SLURM_ARRAY_TASK_ID"
fi
set +C
if [[ -e ${fields[1]}/repx/claim.after-${fields[0]} || -e ${fields[1]}/repx/claim.over-${fields[0]} ]]; then
  say "not run: its claim ${fields[0]} does not count any more"
  # Tells those who find the mark, and cannot see this job in Slurm, that nothing runs under it.
  printf 'not run\n' >>"$1/started/$SLURM_ARRAY_TASK_ID"
  exit "$fenced"
fi

cd -- "${fields[1]}" || { say "cannot enter ${fields[1]}"; exit 70; }
export REPX_JOB_TOKEN=${fields[0]} PATH=${fields[7]:+${fields[7]}:}$PATH
# shellcheck disable=SC2034 # read by the runner
slurm_id=${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID} node=${SLURMD_NODENAME:-}
runner=$2
set -- "${fields[1]}/out" "${fields[1]}/repx" "${fields[2]}" "${fields[3]}" "${fields[4]}" \
  "${fields[0]}" "${fields[5]}" "$3" "${fields[6]}"
# shellcheck source=/dev/null
source "$runner"
