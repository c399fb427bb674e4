#!/usr/bin/env bash
# Which claims the jobs in Slurm's queue run under. Needs bash 4.4 and coreutils.
#
#   claims BASE
#
# For each element in this user's queue whose array lies below BASE: its unit's folder and its claim, each ended by a
# NUL byte. An array's index has eight fields per element: the second is the folder, the seventh the claim's file.
set -u

readonly arrays=$1/repx/slurm
queue=$(squeue -h -a -r -u "$(id -un)" -o '%j %K') || exit 1
while read -r name index; do
  [[ $name == repx-* && $index =~ ^[0-9]+$ && -r $arrays/$name/index ]] || continue
  mapfile -d '' -s $(( index * 8 )) -n 8 fields <"$arrays/$name/index"
  (( ${#fields[@]} == 8 )) || continue
  claim=''
  { IFS= read -r -d '' claim <"${fields[6]}"; } 2>/dev/null
  [[ -n $claim ]] && printf '%s\0%s\0' "${fields[1]}" "$claim"
done <<<"$queue"
exit 0
