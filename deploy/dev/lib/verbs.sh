# shellcheck shell=bash
# What can be done to the servers.

# One at a time changes anything in a data folder: two test programs may well start the servers at once.
lock() {
    mkdir -p "$DIR"
    exec 9>"$DIR/lock"
    flock -n 9 && return
    say "Waiting for another \`servers\` on $DIR"
    flock -w 900 9 || die "another \`servers\` has held $DIR/lock for 900 s: see who with \`fuser $DIR/lock\`"
}

up() {
    local name waiting=() failed=() held=0
    for name in "$@"; do check_wanted_ports "$name"; done
    lock
    STARTING=()
    # What another did while this one waited.
    load_settings
    for name in "$@"; do
        if ! running "$name"; then
            check_ports_are_free "$name" || held=1
            STARTING+=("$name")
        elif frozen "$name"; then
            die "$name is frozen: \`$SELF thaw $name\` first"
        else
            waiting+=("$name")
        fi
    done
    ((held == 0)) || die "nothing was started"
    if ((${#STARTING[@]} > 0)); then
        provide "${STARTING[@]}"
        make_secrets
        make_tls
    fi
    # Ctrl-C goes to all processes of the terminal: this one alone answers it, and ends the others.
    trap '' INT HUP
    declare -A jobs=()
    for name in "${waiting[@]}"; do
        (wait_until_ready "$name" && say "$(printf '%-10s answers already at %s' "$name" "$(address "$name")")") &
        jobs[$name]=$!
    done
    for name in "${STARTING[@]}"; do
        start_one "$name" &
        jobs[$name]=$!
    done
    trap 'interrupted' INT TERM HUP
    for name in "$@"; do wait "${jobs[$name]}" || failed+=("$name"); done
    trap - INT TERM HUP
    ((${#failed[@]} == 0)) || die "not started: ${failed[*]}"
}

address() {
    local port
    port=$(ports_of "$1")
    port=${port%% *}
    echo "127.0.0.1:${!port}"
}

# In a process of its own, beside those of the other servers.
start_one() {
    local name=$1 began now
    began=$EPOCHREALTIME
    rotate_log "$name"
    "prepare_$name"
    record_ports "$name"
    "launch_$name"
    if ! { wait_until_ready "$name" && "after_$name"; }; then
        stop_server "$name" 2>/dev/null
        return 1
    fi
    now=$EPOCHREALTIME
    say "$(printf '%-10s answers at %s after %s s' "$name" "$(address "$name")" \
        "$(awk -v a="$began" -v b="$now" 'BEGIN { printf "%.1f", b - a }')")"
}

# Ctrl-C leaves nothing half started: what this program started ends with it, what ran before stays.
interrupted() {
    local pid name
    trap '' INT TERM HUP
    say "interrupted: ending what was being started"
    # The shell would tell of each process that it sees killed.
    exec 2>/dev/null
    for pid in $(tree_of $$); do ((pid == $$)) || kill -KILL "$pid" 2>/dev/null || true; done
    # What is left has another parent already.
    for name in "${STARTING[@]}"; do
        if pid=$(pid_of "$name"); then kill_now "$pid"; fi
        rm -f "$(pid_file "$name")"
    done
    exit 130
}

down() {
    local name
    [[ -d $DIR ]] || { say "nothing was ever started in $DIR"; return 0; }
    lock
    for name in "$@"; do stop_server "$name" & done
    wait
}

clean() {
    local name
    [[ -d $DIR ]] || { say "there is nothing in $DIR"; return 0; }
    down "$@"
    for name in "$@"; do
        rm -rf "${DIR:?}/$name"
        rm -f "$DIR/$name.ports" "$DIR/$name.pid"
    done
    if [[ " $* " == *" postgres "* ]]; then rm -rf "$(postgres_home)"; fi
    # With no server's data left, nothing knows these passwords and certificates.
    if (($# == ${#SERVERS[@]})); then
        rm -rf "$DIR/secrets" "$DIR/tls" "$DIR/tls.new" "$DIR/logs" "$DIR/compose"
        ! grep -qsF "'$DIR/compose/config'" "$PROJECT/deploy/.env" || rm -f "$PROJECT/deploy/.env"
        rm -f "$DIR/lock"
        rmdir "$DIR" 2>/dev/null || say "$DIR holds what is not the servers': left there"
    fi
    say "wiped: $*"
}

# The pid of a server, or an error.
must_run() { pid_of "$1" || die "$1 is not running"; }

kill_server() {
    local pid
    lock
    pid=$(must_run "$1")
    kill_now "$pid"
    say "$1 killed"
}

freeze() {
    local pid
    lock
    pid=$(must_run "$1")
    signal_tree "$pid" STOP
    say "$1 frozen"
}

thaw() {
    local pid
    lock
    pid=$(must_run "$1")
    signal_tree "$pid" CONT
    say "$1 goes on"
}

logs() {
    [[ -f $(log_file "$1") ]] || die "$1 has no log yet"
    case ${2:-} in
        '') cat "$(log_file "$1")" ;;
        -f) exec tail -n 50 -F "$(log_file "$1")" ;;
        *) die "logs takes a name, then -f to follow it" ;;
    esac
}
