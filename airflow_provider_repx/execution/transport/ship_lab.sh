# Runs on a target, as `bash -c <this> ship_lab <step> <argument>...`; bash 4.4, coreutils and GNU tar. See lab_shipping.py.
set -euo pipefail

# look LABS PATH MANIFEST SHA256 FOLDER; standard input: names of contents, one a line.
# Says `shared` (the lab is at PATH here, too), `there` (it was shipped before), or `missing` and the names of the
# contents that are not there.
look() {
    local labs=$1 path=$2 manifest=$3 sha256=$4 folder=$5 name sum
    sum=$(sha256sum 2>/dev/null <"$path/$manifest" || true)
    if [[ ${sum%% *} == "$sha256" ]]; then
        echo shared
        return
    fi
    if [[ -d $labs/$folder ]]; then
        echo there
        return
    fi
    echo missing
    while IFS= read -r name; do
        [[ -e $labs/contents/$name ]] || printf '%s\n' "$name"
    done
}

# receive LABS FOLDER UMASK; standard input: a tar archive with `contents/` (files by name), `lab/` (the lab, whose files
# are links to contents) and `checksums`. Exit codes: 3, files differ from their checksums, each named in a line
# `<file>: FAILED`; 4, the file system does not link as needed; others, tar's own. What has arrived whole is kept for the
# next time.
receive() {
    local labs=$1 folder=$2 code=0 said
    [[ -z $3 ]] || umask "$3"
    mkdir -p "$labs/contents" "$labs/incoming"
    # Left by a shipping that was killed.
    find "$labs/incoming" -mindepth 1 -maxdepth 1 -mmin +1440 -exec rm -rf {} + 2>/dev/null || true
    work=$(mktemp -d "$labs/incoming/XXXXXXXXXX")
    trap 'rm -rf "$work"' EXIT
    said=$(tar -x -P -f - -C "$work" --no-same-owner --no-same-permissions 2>&1) || code=$?
    if ((code)); then
        printf '%s\n' "$said" >&2
        keep_whole "$labs"
        [[ $said != *'Cannot hard link'* ]] || code=4
        exit "$code"
    fi
    (cd "$work/lab" && sha256sum --check --quiet --strict ../checksums 2>/dev/null) || exit 3
    [[ ! -d $work/contents ]] || keep "$labs"
    # Whoever comes first wins; what is there already is the same.
    mv -T "$work/lab" "$labs/$folder" 2>/dev/null || [[ -d $labs/$folder ]] || mv -T "$work/lab" "$labs/$folder"
}

# Replaces what another one has stored meanwhile, which is the same: not every version of cp can leave it alone silently.
# Folders are made first, because cp fails where another one makes the same folder between its look and its own attempt.
keep() {
    (cd "$work/contents" && find . -type d -print0) | (cd "$1/contents" && xargs -0 mkdir -p --)
    cp -r --link --force "$work/contents/." "$1/contents/"
}

keep_whole() {
    local name failed
    [[ -d $work/contents ]] || return 0
    cd "$work/contents"
    for name in */*; do
        [[ ! -f $name ]] || printf '%s  %s\n' "${name:3:64}" "$name"
    done >"$work/arrived"
    failed=$(sha256sum --check --quiet --strict "$work/arrived" 2>/dev/null) || true
    while IFS= read -r name; do
        [[ -z $name ]] || rm -f -- "${name%: FAILED*}"
    done <<<"$failed"
    keep "$1" || true
}

# discard LABS; standard input: names of contents that turned out to be damaged.
discard() {
    local name
    while IFS= read -r name; do rm -f -- "$1/contents/$name"; done
}

# check; standard input: paths and names of programs, each ended by a NUL. Says which are not there, in the same way.
check() {
    local name
    while IFS= read -r -d '' name; do
        if [[ $name == /* ]]; then [[ -e $name ]]; else type -P -- "$name" >/dev/null; fi || printf '%s\0' "$name"
    done
}

"$@"
