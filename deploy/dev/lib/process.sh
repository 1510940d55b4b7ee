# shellcheck shell=bash
# Starting, watching and ending server processes. A pid file holds "PID STARTED": the start time tells a server from a later
# process that was given its id.

pid_file() { echo "$DIR/$1.pid"; }
log_file() { echo "$DIR/logs/$1.log"; }

# Prints a process's state (R, S, T, Z...) and its start time in ticks since boot.
process_stat() {
    local text fields
    { text=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    read -ra fields <<<"${text##*) }"
    echo "${fields[0]} ${fields[19]}"
}

# Prints the pid of a server that runs, or fails.
pid_of() {
    local pid started state now
    [[ -f $(pid_file "$1") ]] || return 1
    read -r pid started <"$(pid_file "$1")" || return 1
    read -r state now < <(process_stat "$pid") || return 1
    [[ $now == "$started" && $state != [ZX] ]] || return 1
    echo "$pid"
}

running() { pid_of "$1" >/dev/null; }

frozen() {
    local pid state _
    pid=$(pid_of "$1") || return 1
    read -r state _ < <(process_stat "$pid")
    [[ $state == T ]]
}

# A process and all that it started: Postgres has many.
tree_of() {
    local child
    echo "$1"
    for child in $(cat "/proc/$1/task/"*/children 2>/dev/null); do tree_of "$child"; done
}

rss_kib() {
    local pid kib sum=0
    for pid in $(tree_of "$1"); do
        # Pss counts a page that Postgres's processes share once.
        kib=$(awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup" 2>/dev/null)
        sum=$((sum + ${kib:-0}))
    done
    echo "$sum"
}

rotate_log() {
    local log n
    log=$(log_file "$1")
    mkdir -p "$DIR/logs"
    [[ -s $log ]] || return 0
    for n in 4 3 2 1; do [[ ! -f $log.$n ]] || mv "$log.$n" "$log.$((n + 1))"; done
    mv "$log" "$log.1"
}

# Starts a command in the background as server NAME, in a session of its own: the terminal's Ctrl-C is not for it.
# The lock (file 9) is not for it either.
launch() {
    local name=$1 pid state started
    shift
    setsid "$@" >>"$(log_file "$name")" 2>&1 </dev/null 9>&- &
    pid=$!
    read -r state started < <(process_stat "$pid") || started=gone
    echo "$pid $started" >"$(pid_file "$name")"
}

show_log() {
    say "the last lines of $(log_file "$1"):"
    tail -n 15 "$(log_file "$1")" 2>/dev/null | sed 's/^/    /' >&2
}

# Waits until a server answers. A server that ends is noticed at once.
wait_until_ready() {
    local name=$1 end=$((SECONDS + ${HEADWATER_SERVERS_WAIT_S:-120}))
    until "answers_$name"; do
        running "$name" || { say "error: $name ended while it started"; show_log "$name"; return 1; }
        ((SECONDS < end)) || { say "error: $name does not answer"; show_log "$name"; return 1; }
        sleep 0.1
    done
}

# Sends a signal to a server and all its processes, and waits until they are gone.
kill_now() {
    local pids pid
    pids=$(tree_of "$1")
    # The first one first: it would start others anew.
    for pid in $pids; do kill -KILL "$pid" 2>/dev/null || true; done
    for pid in $pids; do wait_until_gone "$pid" 10 || say "error: process $pid does not go away"; done
}

wait_until_gone() {
    local end=$((SECONDS + $2)) state _
    while read -r state _ < <(process_stat "$1") && [[ $state != [ZX] ]]; do
        ((SECONDS < end)) || return 1
        sleep 0.05
    done
}

# Asks a server to stop, and makes it stop when it does not within the bound.
stop_server() {
    local name=$1 pid bound_s=${HEADWATER_SERVERS_STOP_S:-20} signal=TERM
    if ! pid=$(pid_of "$name"); then
        rm -f "$(pid_file "$name")"
        say "$name is not running"
        return 0
    fi
    # To Postgres, TERM means: wait for every client to leave. INT does not wait.
    [[ $name != postgres ]] || signal=INT
    signal_tree "$pid" CONT
    kill "-$signal" "$pid" 2>/dev/null || true
    if ! wait_until_gone "$pid" "$bound_s"; then
        say "$name did not stop within $bound_s s: killing it"
        kill_now "$pid"
    fi
    rm -f "$(pid_file "$name")"
    say "$name stopped"
}

signal_tree() {
    local pid
    for pid in $(tree_of "$1"); do kill "-$2" "$pid" 2>/dev/null || true; done
}

port_taken() { timeout 2 bash -c ": 3<>/dev/tcp/127.0.0.1/$1" 2>/dev/null; }

check_ports_are_free() {
    local name=$1 port holder held=0
    for port in $(ports_of "$name"); do
        port_taken "${!port}" || continue
        holder=$(ss -ltnpH "sport = :${!port}" 2>/dev/null | sed -n 's/.*users:((\(.*\))).*/\1/p;q' || true)
        held=1
        say "error: $name needs port ${!port}, which is held by another process${holder:+ ($holder)}. Stop that, or choose another:
    $port=$((${!port} + 10000 < 32768 ? ${!port} + 10000 : ${!port} - 1000)) $SELF up $name"
    done
    ((held == 0))
}

# Sends bytes to a port and prints, in hexadecimal, the first COUNT bytes of the answer.
ask() {
    # shellcheck disable=SC2016 # the inner shell expands
    timeout 2 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "$2" >&3 && head -c "$3" <&3 | od -An -v -tx1 | tr -d " \n"' \
        ask "$@" 2>/dev/null
}
