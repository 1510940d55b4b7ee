# shellcheck shell=bash
# Cassandra: one node, passwords and rights, TLS for whoever asks for it.

cassandra_variables() {
    local jamm=("$(cached cassandra)"/jamm-*.jar)
    CASSANDRA_BIND=127.0.0.1
    CASSANDRA_LISTEN=127.0.0.1
    CASSANDRA_CONFIG=$DIR/cassandra
    CASSANDRA_DATA=$DIR/cassandra/data
    CASSANDRA_LIBS=$(cached cassandra)
    CASSANDRA_JAMM=${jamm[0]}
    TLS_PKCS12=$DIR/tls/server.p12
    TLS_PKCS12_PASSWORD=$(secret keystore)
}

prepare_cassandra() {
    cassandra_variables
    mkdir -p "$CASSANDRA_DATA"
    cp "$DEV/cassandra/logback.xml" "$CASSANDRA_CONFIG/logback.xml"
    # The yaml holds the keystore's password.
    (umask 077 && render "$DEV/cassandra/cassandra.yaml" "$CASSANDRA_CONFIG/cassandra.yaml")
    render "$DEV/cassandra/java.args" "$CASSANDRA_CONFIG/java.args"
}

launch_cassandra() { launch cassandra "$JAVA" "@$DIR/cassandra/java.args"; }

# An OPTIONS frame of the native protocol, version 4; the answer is SUPPORTED (06).
answers_cassandra() {
    [[ $(ask "$HEADWATER_CASSANDRA_PORT" '\x04\x00\x00\x00\x05\x00\x00\x00\x00' 5) == 8400000006 ]]
}

# Runs statements, one a line, as a user.
cql() {
    { echo "$2"; cat; } | "$JAVA" -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -cp "$CASSANDRA_LIBS/*" "$DEV/cassandra/Cql.java" "$HEADWATER_CASSANDRA_PORT" "$1" \
        >>"$(log_file cassandra)" 2>&1 9>&-
}

# Cassandra comes with a superuser whose password everyone knows: it makes ours, and ours drops it.
after_cassandra() {
    local end=$((SECONDS + 30))
    [[ ! -f $CASSANDRA_CONFIG/roles-and-keyspace-made ]] || return 0
    # The first superuser appears a moment after the port opens; a second attempt finds ours already there.
    until cql cassandra cassandra <<<"CREATE ROLE IF NOT EXISTS admin WITH PASSWORD = '$(secret cassandra-admin)' AND LOGIN = true AND SUPERUSER = true" ||
        cql admin "$(secret cassandra-admin)" </dev/null; do
        ((SECONDS < end)) || { say "error: Cassandra takes neither its first password nor ours"; show_log cassandra; return 1; }
        sleep 0.2
    done
    cassandra_setup | cql admin "$(secret cassandra-admin)" ||
        { say "error: Cassandra's roles and keyspace could not be made"; show_log cassandra; return 1; }
    touch "$CASSANDRA_CONFIG/roles-and-keyspace-made"
}

cassandra_setup() {
    cat <<CQL
CREATE ROLE IF NOT EXISTS headwater WITH PASSWORD = '$(secret cassandra)' AND LOGIN = true;
GRANT ALL PERMISSIONS ON ALL KEYSPACES TO headwater;
DROP ROLE IF EXISTS cassandra;
CREATE KEYSPACE IF NOT EXISTS headwater WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 1};
CQL
}
