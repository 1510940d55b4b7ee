# shellcheck shell=bash
# Kafka: one KRaft node; PLAINTEXT for development, SASL_SSL with SCRAM-SHA-512 beside it.

kafka_variables() {
    KAFKA_BIND=127.0.0.1
    KAFKA_CONTROLLER_ADDRESS=127.0.0.1:$HEADWATER_KAFKA_CONTROLLER_PORT
    KAFKA_CONFIG=$DIR/kafka
    KAFKA_DATA=$DIR/kafka/data
    KAFKA_LIBS=$(cached kafka)
    TLS_PEM=$DIR/tls/server-with-key.pem
    TLS_CA=$DIR/tls/ca.pem
}

prepare_kafka() {
    kafka_variables
    mkdir -p "$KAFKA_CONFIG"
    cp "$DEV/kafka/log4j2.xml" "$KAFKA_CONFIG/log4j2.xml"
    render "$DEV/kafka/server.properties" "$KAFKA_CONFIG/server.properties"
    render "$DEV/kafka/java.args" "$KAFKA_CONFIG/java.args"
    [[ -f $KAFKA_CONFIG/formatted ]] || format_kafka
}

# The users are made here: the broker has them before it listens. In a file, for a command line can be seen by everyone.
format_kafka() {
    local id
    rm -rf "$KAFKA_DATA"
    id=$(openssl rand -base64 16 | tr '+/' '-_')
    (umask 077 && cat >"$KAFKA_CONFIG/format.args") <<ARGS
-Xmx128m
-XX:+UseSerialGC
-XX:TieredStopAtLevel=1
"-Dlog4j2.configurationFile=$KAFKA_CONFIG/log4j2.xml"
-Dheadwater.log.level=warn
-cp "$KAFKA_LIBS/*"
kafka.tools.StorageTool format --cluster-id A${id:1:21} --config "$KAFKA_CONFIG/server.properties"
--add-scram "SCRAM-SHA-512=[name=headwater,password=$(secret kafka)]"
--add-scram "SCRAM-SHA-512=[name=admin,password=$(secret kafka-admin)]"
ARGS
    "$JAVA" "@$KAFKA_CONFIG/format.args" >>"$(log_file kafka)" 2>&1 9>&- || { show_log kafka; return 1; }
    rm -f "$KAFKA_CONFIG/format.args"
    touch "$KAFKA_CONFIG/formatted"
}

launch_kafka() { launch kafka "$JAVA" "@$DIR/kafka/java.args"; }

# A Metadata request (key 3, version 1) for no topics: ready is a broker that knows of one broker, itself.
answers_kafka() {
    local answer
    answer=$(ask "$HEADWATER_KAFKA_PORT" \
        '\x00\x00\x00\x0e\x00\x03\x00\x01\x00\x00\x00\x07\xff\xff\x00\x00\x00\x00' 12) || return 1
    [[ ${answer:8} == 0000000700000001 ]]
}

after_kafka() { :; }
