# shellcheck shell=bash
# What docker-compose.yaml needs: the same configuration from the same templates, with a container's paths, and ../.env.

# Containers run as users of their own, so what they mount must be readable by all; the folder above it is closed to others.
env_compose() {
    local out=$DIR/compose/config env=$PROJECT/deploy/.env
    lock
    JDK=$(find_java) || JDK=""
    make_secrets
    make_tls
    (umask 077 && mkdir -p "$DIR/compose")
    mkdir -p "$out"
    (render_for_compose "$out")
    (umask 077 && compose_env "$out" >"$env.new")
    mv "$env.new" "$env"
    say "wrote $env and $out; now: docker compose --file deploy/docker-compose.yaml up --detach"
}

# In a process of its own: the variables are a container's.
render_for_compose() {
    local out=$1 name
    TLS_PEM=/config/server-with-key.pem
    TLS_CA=/config/ca.pem
    TLS_PKCS12=/config/server.p12
    TLS_PKCS12_PASSWORD=$(secret keystore)
    KAFKA_BIND=0.0.0.0
    KAFKA_CONTROLLER_ADDRESS=127.0.0.1:$HEADWATER_KAFKA_CONTROLLER_PORT
    KAFKA_DATA=/var/lib/kafka/data/log
    CASSANDRA_BIND=0.0.0.0
    CASSANDRA_LISTEN=127.0.0.1
    CASSANDRA_DATA=/var/lib/cassandra
    POSTGRES_BIND='*'
    POSTGRES_CLIENTS=all
    POSTGRES_CONFIG=/config
    POSTGRES_TLS=/var/lib/postgresql/tls
    render "$DEV/kafka/server.properties" "$out/server.properties"
    render "$DEV/cassandra/cassandra.yaml" "$out/cassandra.yaml"
    render "$DEV/postgres/postgresql.conf" "$out/postgresql.conf"
    render "$DEV/postgres/pg_hba.conf" "$out/pg_hba.conf"
    cat >"$out/postgres-roles.sql" <<SQL
CREATE ROLE headwater LOGIN PASSWORD '$(secret postgres)';
CREATE DATABASE headwater OWNER headwater;
SQL
    cassandra_setup >"$out/cassandra-roles.cql"
    for name in ca.pem server.pem server.key server-with-key.pem server.p12; do cp "$DIR/tls/$name" "$out/$name"; done
    chmod 644 "$out"/*
}

compose_env() {
    local name
    echo "# Written by \`deploy/dev/servers env --compose\`; holds passwords."
    grep -E '^[A-Z]' "$DEV/versions.env"
    while read -r name; do echo "$name=${!name}"; done < <(sed -n 's/^\(HEADWATER_[A-Z_]*\)=.*/\1/p' "$DEV/defaults.env")
    echo "HEADWATER_COMPOSE_CONFIG='$1'"
    echo "HEADWATER_KAFKA_PASSWORD=$(secret kafka)"
    echo "HEADWATER_KAFKA_ADMIN_PASSWORD=$(secret kafka-admin)"
    echo "HEADWATER_CASSANDRA_ADMIN_PASSWORD=$(secret cassandra-admin)"
    echo "HEADWATER_POSTGRES_ADMIN_PASSWORD=$(secret postgres-admin)"
}
