# shellcheck shell=bash
# The schema registry: Apicurio, for its Confluent API, over HTTP and HTTPS.

REGISTRY_CONFIG_PATH=/apis/ccompat/v7/config

registry_variables() {
    REGISTRY_DATA=$DIR/registry/data
    REGISTRY_LIBS=$(cached registry)
    TLS_CERT=$DIR/tls/server.pem
    TLS_KEY=$DIR/tls/server.key
}

prepare_registry() {
    registry_variables
    mkdir -p "$REGISTRY_DATA"
    render "$DEV/registry/java.args" "$DIR/registry/java.args"
}

launch_registry() { launch registry "$JAVA" "@$DIR/registry/java.args"; }

registry_config() {
    curl -fsS --noproxy '*' --max-time 2 "$@" "http://127.0.0.1:$HEADWATER_REGISTRY_PORT$REGISTRY_CONFIG_PATH" 2>/dev/null
}

answers_registry() { registry_config -o /dev/null; }

# The default is NONE: every schema would do.
after_registry() {
    registry_config -o /dev/null --max-time 10 -X PUT -H 'Content-Type: application/json' \
        -d '{"compatibility":"BACKWARD_TRANSITIVE"}' && [[ $(registry_config) == *BACKWARD_TRANSITIVE* ]] ||
        { say "error: the registry did not take the rule BACKWARD_TRANSITIVE"; show_log registry; return 1; }
}
