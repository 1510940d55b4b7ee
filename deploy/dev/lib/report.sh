# shellcheck shell=bash
# What clients are told: status, and where everything is, for a shell, for a program, and for compose.

# "SERVER KEY VALUE", a line each: the one list that every form is made from.
client_settings() {
    local host=127.0.0.1
    cat <<LIST
tls ca_file $DIR/tls/ca.pem
tls truststore $DIR/tls/truststore.p12
tls truststore_password_file $(secret_file keystore)
kafka bootstrap $host:$HEADWATER_KAFKA_PORT
kafka port $HEADWATER_KAFKA_PORT
kafka tls_bootstrap $host:$HEADWATER_KAFKA_TLS_PORT
kafka tls_port $HEADWATER_KAFKA_TLS_PORT
kafka sasl_mechanism SCRAM-SHA-512
kafka user headwater
kafka password_file $(secret_file kafka)
kafka admin_user admin
kafka admin_password_file $(secret_file kafka-admin)
kafka libs $(cached kafka)
cassandra address $host:$HEADWATER_CASSANDRA_PORT
cassandra port $HEADWATER_CASSANDRA_PORT
cassandra datacenter datacenter1
cassandra keyspace headwater
cassandra user headwater
cassandra password_file $(secret_file cassandra)
cassandra admin_user admin
cassandra admin_password_file $(secret_file cassandra-admin)
registry url http://$host:$HEADWATER_REGISTRY_PORT/apis/ccompat/v7
registry port $HEADWATER_REGISTRY_PORT
registry tls_url https://$host:$HEADWATER_REGISTRY_TLS_PORT/apis/ccompat/v7
registry tls_port $HEADWATER_REGISTRY_TLS_PORT
postgres address $host:$HEADWATER_POSTGRES_PORT
postgres host $host
postgres port $HEADWATER_POSTGRES_PORT
postgres database headwater
postgres user headwater
postgres password_file $(secret_file postgres)
postgres admin_user postgres
postgres admin_password_file $(secret_file postgres-admin)
LIST
}

json_string() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}

env_json() {
    local server key value open=
    printf '{'
    while read -r server key value; do
        if [[ $server != "$open" ]]; then
            [[ -z $open ]] || printf '},'
            printf '%s:{' "$(json_string "$server")"
            open=$server
        else
            printf ','
        fi
        printf '%s:' "$(json_string "$key")"
        if [[ $value =~ ^[0-9]+$ ]]; then printf '%s' "$value"; else json_string "$value"; fi
    done < <(client_settings)
    printf '}}\n'
}

env_shell() {
    local server key value
    while read -r server key value; do
        printf 'export HEADWATER_%s_%s=%q\n' "${server^^}" "${key^^}" "$value"
    done < <(client_settings)
}

# Sets STATE, PID and RSS_MIB of a server.
observe() {
    PID=""
    RSS_MIB=""
    if PID=$(pid_of "$1"); then
        RSS_MIB=$(($(rss_kib "$PID") / 1024))
        if frozen "$1"; then STATE=frozen; elif "answers_$1"; then STATE=running; else STATE=silent; fi
    elif [[ -f $(pid_file "$1") ]]; then
        STATE=dead
    else
        STATE=stopped
    fi
}

status() {
    local name port up=0
    printf '%-10s %-8s %-16s %-8s %-8s %s\n' SERVER STATE ADDRESS PID MEMORY LOG
    for name in "$@"; do
        observe "$name"
        [[ $STATE != running ]] || up=$((up + 1))
        port=$(ports_of "$name")
        port=${port%% *}
        printf '%-10s %-8s %-16s %-8s %-8s %s\n' "$name" "$STATE" "127.0.0.1:${!port}" "${PID:--}" \
            "${RSS_MIB:+$RSS_MIB MiB}" "$(log_file "$name")"
    done
    ((up == $#))
}

status_json() {
    local name port comma="" up=0
    printf '['
    for name in "$@"; do
        observe "$name"
        [[ $STATE != running ]] || up=$((up + 1))
        port=$(ports_of "$name")
        port=${port%% *}
        printf '%s{"server":"%s","state":"%s","port":%s,"pid":%s,"memory_mib":%s,"log":%s}' "$comma" "$name" "$STATE" \
            "${!port}" "${PID:-null}" "${RSS_MIB:-null}" "$(json_string "$(log_file "$name")")"
        comma=,
    done
    printf ']\n'
    ((up == $#))
}
