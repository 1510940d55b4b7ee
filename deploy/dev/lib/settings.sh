# shellcheck shell=bash
# Folders, versions, ports, secrets and templates: what every server here is made from.

PROJECT=$(cd "$DEV/../.." && pwd)
DIR=${HEADWATER_SERVERS_DIR:-$PROJECT/data/servers}
[[ $DIR == /* ]] || DIR=$PWD/$DIR
CACHE=${HEADWATER_SERVERS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/headwater/servers}
SERVERS=(kafka cassandra registry postgres)

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# Reads NAME=VALUE lines into variables that are not set yet.
read_settings() {
    local line
    while IFS= read -r line; do
        [[ $line =~ ^([A-Z][A-Z0-9_]*)=(.*)$ ]] || continue
        [[ -n ${!BASH_REMATCH[1]:-} ]] || printf -v "${BASH_REMATCH[1]}" '%s' "${BASH_REMATCH[2]}"
    done <"$1"
}

# The names of a server's ports, the one that most clients use first.
ports_of() {
    case $1 in
        kafka) echo HEADWATER_KAFKA_PORT HEADWATER_KAFKA_TLS_PORT HEADWATER_KAFKA_CONTROLLER_PORT ;;
        cassandra) echo HEADWATER_CASSANDRA_PORT HEADWATER_CASSANDRA_STORAGE_PORT ;;
        registry) echo HEADWATER_REGISTRY_PORT HEADWATER_REGISTRY_TLS_PORT ;;
        postgres) echo HEADWATER_POSTGRES_PORT ;;
    esac
}

# Ports: those a running server was started with, else the environment's, else those of the last start, else the defaults.
load_settings() {
    local name port
    for name in "${SERVERS[@]}"; do
        [[ -f $DIR/$name.ports ]] || continue
        if running "$name"; then
            for port in $(ports_of "$name"); do
                [[ -z ${!port:-} ]] || WANTED[$port]=${!port}
                unset "$port"
            done
        fi
        read_settings "$DIR/$name.ports"
    done
    # Not from the environment: images set a JAVA_VERSION of their own.
    # shellcheck source=../versions.env
    source "$DEV/versions.env"
    read_settings "$DEV/defaults.env"
    for port in $(for name in "${SERVERS[@]}"; do ports_of "$name"; done); do
        [[ ${!port} =~ ^[0-9]{1,5}$ ]] && ((10#${!port} > 0 && 10#${!port} < 65536)) ||
            die "$port is ${!port@Q}: a port is a number from 1 to 65535"
    done
}
declare -A WANTED=()

record_ports() {
    local port
    for port in $(ports_of "$1"); do echo "$port=${!port}"; done >"$DIR/$1.ports"
}

# A running server keeps its ports: to ask for others is a mistake to name, not to pass over.
check_wanted_ports() {
    local port
    for port in $(ports_of "$1"); do
        [[ -z ${WANTED[$port]:-} || ${WANTED[$port]} == "${!port}" ]] ||
            die "$1 runs with $port=${!port}, and the environment asks for ${WANTED[$port]}: \`$SELF down $1\` first, or unset it"
    done
}

# Puts the variables that a template names as @NAME@ in their places.
render() {
    local template=$1 rest variable text=
    rest=$(<"$template")
    while [[ $rest =~ @([A-Z][A-Z0-9_]*)@ ]]; do
        variable=${BASH_REMATCH[1]}
        [[ -n ${!variable:-} ]] || die "$template names @$variable@, which nothing sets"
        text+=${rest%%"@$variable@"*}${!variable}
        rest=${rest#*"@$variable@"}
    done
    printf '%s\n' "$text$rest" >"$2"
}

# No secret has a default: each is made on the first start, and lies in a file that its owner alone reads.
secret_file() { echo "$DIR/secrets/$1.password"; }
secret() { cat "$(secret_file "$1")"; }

make_secrets() {
    local name file
    (umask 077 && mkdir -p "$DIR/secrets")
    for name in kafka kafka-admin cassandra cassandra-admin postgres postgres-admin keystore; do
        file=$(secret_file "$name")
        [[ -s $file ]] || (umask 077 && openssl rand -hex 24 >"$file.new" && mv "$file.new" "$file")
    done
}
