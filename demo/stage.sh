# shellcheck shell=bash
# What the audience sees: headings, a line of story, the command and its output, and the checks.
# Knows nothing of replicas or hosts, but for `run_on PLACE COMMAND…`, which whoever sources this
# defines. A check that fails ends the show, for what follows would mean nothing.

passed=0
failed=0
step=no     # wait for Enter after each line of story
output=''   # of the last `show`
exit_code=0 # of the last `show`

# Colours only on a terminal, or where they are asked for.
if [[ -n ${FORCE_COLOR:-} || -t 1 && -z ${NO_COLOR:-} ]]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' cyan=$'\e[36m' plain=$'\e[0m'
else
    bold='' dim='' red='' green='' cyan='' plain=''
fi

heading() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }

say() {
    printf '\n%s\n' "$*"
    [[ $step == no ]] || read -r -s || true
}

skipped() { printf '%sskipped: %s%s\n' "$dim" "$*" "$plain"; }

# A command as it would be typed.
spell() {
    local word line=''
    for word in "$@"; do
        [[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]] || word="'${word//\'/\'\\\'\'}'"
        line+="$word "
    done
    printf '%s' "${line% }"
}

# prompt PLACE TEXT: the line before a command's output.
prompt() { printf '%s%s$%s %s%s%s\n' "$dim" "$1" "$plain" "$cyan" "$2" "$plain"; }

# show PLACE COMMAND…: types the command, runs it there, keeps `output` and `exit_code`.
show() {
    local place=$1
    shift
    prompt "$place" "$(spell "$@")"
    exit_code=0
    output=$(run_on "$place" "$@" 2>&1) || exit_code=$?
    [[ -z $output ]] || printf '%s\n' "$output"
    [[ $exit_code -eq 0 ]] || printf '%s(exit code %s)%s\n' "$dim" "$exit_code" "$plain"
}

pass() {
    passed=$((passed + 1))
    printf '  %sok%s    %s\n' "$green" "$plain" "$*"
}

fail() {
    failed=$((failed + 1))
    printf '  %sFAILED%s %s\n' "$red" "$plain" "$*"
    exit 1
}

# check EXPECTATION COMMAND…: the command must succeed, now.
check() {
    local expectation=$1
    shift
    if "$@"; then pass "$expectation"; else fail "$expectation"; fi
}

# await SECONDS EXPECTATION COMMAND…: the command must succeed before the deadline.
await() {
    local seconds=$1 expectation=$2 begun=${EPOCHREALTIME/[.,]/} spent
    shift 2
    until "$@"; do
        spent=$((${EPOCHREALTIME/[.,]/} - begun))
        [[ $spent -lt $((seconds * 1000000)) ]] || fail "$expectation: not within $seconds s"
        sleep 0.05 # between two looks at the condition
    done
    spent=$((${EPOCHREALTIME/[.,]/} - begun))
    pass "$expectation (after $(in_seconds "$spent"))"
}

# in_seconds MICROSECONDS
in_seconds() { printf '%d.%02d s' $(($1 / 1000000)) $(($1 / 10000 % 100)); }

# The conditions on the last `show`.
shown() { grep -qE -- "$1" <<<"$output"; }
not_shown() { ! shown "$1"; }
succeeded() { [[ $exit_code -eq 0 ]]; }
refused() { [[ $exit_code -eq 1 ]]; }

summary() { printf '\n%s%s checks passed, %s failed%s\n' "$bold" "$passed" "$failed" "$plain"; }
