# Processes that outlive the shell that starts them, and are stopped by number only while the number
# is still theirs. Sourced; needs $run, say, fail, pause.
# shellcheck shell=bash disable=SC2034,SC2154

# When a process was started, which with its number and the machine's start names it for ever;
# nothing if there is none, or only its remains.
born() {
    local stat fields
    { stat=$(< "/proc/$1/stat"); } 2> /dev/null || return 0
    # The second field may hold anything, between parentheses.
    read -ra fields <<< "${stat##*) }"
    [ "${fields[0]}" = Z ] || echo "$(< /proc/sys/kernel/random/boot_id) ${fields[19]}"
}

# The number of a process that was started here and still runs.
number_of() {
    local number birth
    [ -e "$run/processes/$1" ] || return 1
    read -r number birth < "$run/processes/$1"
    [ -n "$birth" ] && [ "$(born "$number")" = "$birth" ] && echo "$number"
}

running() { number_of "$1" > /dev/null; }

# start NAME COMMAND…: in a session of its own, saying into logs/NAME.log. It is on record before it
# runs, so that whoever kills this script leaves nothing that --stop does not know.
start() {
    local name=$1
    shift
    if running "$name"; then return 0; fi
    mkdir -p "$run/processes" "$run/logs"
    rm -f "$run/processes/$name"
    (
        # Whoever holds the lock, or the end of a pipe, is this script and nobody that it starts.
        exec 8>&- 9>&- {never}<&- < /dev/null >> "$run/logs/$name.log" 2>&1
        export RECORD=$run/processes/$name
        # shellcheck disable=SC2016 # It is expanded there.
        exec setsid bash -c "$(declare -f born)"'
            echo "$$ $(born $$)" > "$RECORD.new" && mv "$RECORD.new" "$RECORD" || exit 1
            unset RECORD
            exec "$@"' "$name" "$@"
    ) &
    disown
    until [ -e "$run/processes/$name" ]; do pause 0.02; done
}

# stop NAME: asks it to end, and ends it when it does not.
stop() {
    local number tries=0
    number=$(number_of "$1") || { rm -f "$run/processes/$1"; return 0; }
    say "stopping $1 (process $number)"
    kill -TERM "$number" 2> /dev/null || true
    while running "$1"; do
        tries=$((tries + 1))
        if [ $((tries % 50)) -eq 0 ]; then tell "   … still stopping $1, $((tries / 10)) s"; fi
        if [ $tries -eq 300 ]; then
            say "$1 does not end by itself: killing it"
            kill -KILL "$number" 2> /dev/null || true
        fi
        [ $tries -lt 400 ] || fail 1 "process $number ($1) cannot be stopped"
        pause 0.1
    done
    rm -f "$run/processes/$1"
}

# await NAME WHAT COMMAND…: until the command succeeds, as long as the process runs.
await() {
    local name=$1 what=$2 began=$SECONDS
    shift 2
    log=$run/logs/$name.log
    until "$@" > /dev/null 2>&1; do
        running "$name" || fail 1 "$name ended"
        [ $((SECONDS - began)) -lt 120 ] || fail 1 "$what: not within two minutes"
        pause 0.1
    done
    log=
}
