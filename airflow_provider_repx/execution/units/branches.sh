#!/usr/bin/env bash
# Brings the branches of a scatter-gather job in line with its work items, and says which of them are not done.
# Needs bash 4.4, coreutils, and nothing else.
#
#   branches ROOT [STEP DEPENDENCIES]...
#
#   ROOT          folder of the job
#   STEP          name of a step; each after those that it depends on
#   DEPENDENCIES  their positions among the steps, from 0, separated by blanks
#
# Standard input has one work item per line: compact JSON, which holds no line break. Where a branch has another item
# so far, the markers of all its steps are removed before the new one is written.
#
# Standard output has one line per branch that is not done: its number, the position of its first step that is not,
# and "failed" or "pending". A step is not done either when its inputs were written before its work item was, or
# before a step that it depends on had succeeded: then it was made from something that is not there any more.
set -u
shopt -s nullglob
# Items are compared byte by byte.
LC_ALL=C

readonly root=$1 at_once=500
shift
names=() dependencies=()
while (( $# )); do
  names+=("$1") dependencies+=("$2")
  shift 2
done

mapfile -t items || exit 1
readonly count=${#items[@]}

# Whether the branch has the item that it should have.
has_item() {
  local content=''
  [[ -f $root/branch-$1/repx/work_item.json ]] || return 1
  IFS= read -r -d '' content <"$root/branch-$1/repx/work_item.json"
  [[ ${content%$'\n'} == "${items[$1]}" ]]
}

changed=() folders=()
for (( number = 0; number < count; number++ )); do
  has_item "$number" && continue
  changed+=("$number")
  [[ -d $root/branch-$number/repx ]] || folders+=("$root/branch-$number/repx")
done

for (( first = 0; first < ${#folders[@]}; first += at_once )); do
  mkdir -p -- "${folders[@]:first:at_once}" || exit 1
done

for number in ${changed[@]+"${changed[@]}"}; do
  # Somebody else may have done it meanwhile, and started steps already.
  has_item "$number" && continue
  markers=("$root/branch-$number"/step-*/repx/SUCCESS "$root/branch-$number"/step-*/repx/FAIL)
  if (( ${#markers[@]} )); then
    rm -f -- "${markers[@]}" || exit 1
  fi
  # In place: thousands of renames would take a process each, and what is left of half a write is not the item.
  printf '%s' "${items[number]}" >"$root/branch-$number/repx/work_item.json" || exit 1
done

for (( number = 0; number < count; number++ )); do
  branch=$root/branch-$number
  for (( step = 0; step < ${#names[@]}; step++ )); do
    repx=$branch/step-${names[step]}/repx
    if [[ ! -e $repx/SUCCESS ]]; then
      state=pending
      [[ -e $repx/FAIL ]] && state=failed
      printf '%d %d %s\n' "$number" "$step" "$state"
      break
    fi
    [[ -e $repx/inputs.json ]] || continue
    older=
    [[ $branch/repx/work_item.json -nt $repx/inputs.json ]] && older=yes
    for dependency in ${dependencies[step]}; do
      [[ $branch/step-${names[dependency]}/repx/SUCCESS -nt $repx/inputs.json ]] && older=yes
    done
    if [[ -n $older ]]; then
      printf '%d %d pending\n' "$number" "$step"
      break
    fi
  done
done
