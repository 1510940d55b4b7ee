# shellcheck shell=bash
# Postgres. It refuses to run as root: started by root, it runs as the user `postgres`, who must reach its folder.

postgres_home() {
    local parent=$DIR
    # Before the first start there is no folder yet: what counts is the nearest that is there.
    while [[ ! -d $parent ]]; do parent=$(dirname "$parent"); done
    if [[ $(id -u) == 0 ]] && id postgres >/dev/null 2>&1 && ! as_postgres test -x "$parent"; then
        echo "/var/lib/postgresql/headwater-$(cksum <<<"$DIR" | cut -d ' ' -f 1)"
    else
        echo "$DIR/postgres"
    fi
}

# Runs a command as who Postgres runs as. It replaces its process, so that a pid is Postgres's own.
as_postgres() {
    if [[ $(id -u) == 0 ]]; then
        setpriv --reuid postgres --regid postgres --init-groups -- "$@"
    else
        "$@"
    fi
}

postgres_variables() {
    POSTGRES_HOME=$(postgres_home)
    POSTGRES_BIND=127.0.0.1
    POSTGRES_CLIENTS=127.0.0.1/32
    POSTGRES_CONFIG=$POSTGRES_HOME
    POSTGRES_TLS=$POSTGRES_HOME
}

prepare_postgres() {
    postgres_variables
    mkdir -p "$POSTGRES_HOME"
    render "$DEV/postgres/postgresql.conf" "$POSTGRES_HOME/postgresql.conf"
    render "$DEV/postgres/pg_hba.conf" "$POSTGRES_HOME/pg_hba.conf"
    cp "$DIR/tls/server.pem" "$POSTGRES_HOME/server.pem"
    (umask 077 && cp "$DIR/tls/server.key" "$POSTGRES_HOME/server.key")
    chmod 600 "$POSTGRES_HOME/server.key"
    [[ $(id -u) != 0 ]] || chown -R postgres:postgres "$POSTGRES_HOME"
    [[ -d $POSTGRES_HOME/data ]] || init_postgres
    check_postgres_version
    forget_killed_postgres
}

# Postgres takes its lock file for held while a process of that id is there, even one that nobody has reaped. Who works in the
# folder says more; the children of a killed Postgres do for a moment.
forget_killed_postgres() {
    local end=$((SECONDS + 10))
    while postgres_in_folder; do
        ((SECONDS < end)) || { say "error: another Postgres works in $POSTGRES_HOME/data"; return 1; }
        sleep 0.1
    done
    rm -f "$POSTGRES_HOME/data/postmaster.pid"
}

postgres_in_folder() {
    local cwd data
    data=$(realpath "$POSTGRES_HOME/data")
    for cwd in /proc/[0-9]*/cwd; do
        [[ $(readlink "$cwd" 2>/dev/null) != "$data" ]] || return 0
    done
    return 1
}

init_postgres() {
    local password=$POSTGRES_HOME/password
    rm -rf "$POSTGRES_HOME/data.new"
    (umask 077 && secret postgres-admin >"$password")
    [[ $(id -u) != 0 ]] || chown postgres:postgres "$password"
    (cd "$POSTGRES_HOME" && as_postgres "$POSTGRES_BIN/initdb" --pgdata data.new --username postgres --pwfile "$password" \
        --auth scram-sha-256 --encoding UTF8 --locale C.UTF-8 --data-checksums) >>"$(log_file postgres)" 2>&1 9>&- ||
        { say "error: initdb failed"; show_log postgres; return 1; }
    rm -f "$password"
    mv "$POSTGRES_HOME/data.new" "$POSTGRES_HOME/data"
}

check_postgres_version() {
    local made with
    made=$(<"$POSTGRES_HOME/data/PG_VERSION")
    with=$("$POSTGRES_BIN/postgres" --version | sed -E 's/.* ([0-9]+)[.a-z].*/\1/')
    [[ $made == "$with" ]] ||
        { say "error: the data was made by Postgres $made, and $with is installed: \`$SELF clean postgres\` wipes it"; return 1; }
}

launch_postgres() {
    local as=()
    [[ $(id -u) != 0 ]] || as=(setpriv --reuid postgres --regid postgres --init-groups --)
    launch postgres "${as[@]}" "$POSTGRES_BIN/postgres" -D "$POSTGRES_HOME/data" -c "config_file=$POSTGRES_HOME/postgresql.conf"
}

answers_postgres() { "$(find_postgres)/pg_isready" -q -h 127.0.0.1 -p "$HEADWATER_POSTGRES_PORT" -t 2; }

psql_as_admin() {
    PGPASSWORD=$(secret postgres-admin) "$POSTGRES_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 \
        -h 127.0.0.1 -p "$HEADWATER_POSTGRES_PORT" -U postgres -d postgres
}

# Statements come on standard input: a password is not for a command line.
after_postgres() {
    [[ ! -f $POSTGRES_HOME/role-made ]] || return 0
    psql_as_admin >>"$(log_file postgres)" 2>&1 <<SQL || { say "error: the role headwater could not be made"; show_log postgres; return 1; }
SELECT 'CREATE ROLE headwater LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'headwater') \gexec
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
ALTER ROLE headwater PASSWORD '$(secret postgres)';
SELECT 'CREATE DATABASE headwater OWNER headwater' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'headwater') \gexec
SQL
    touch "$POSTGRES_HOME/role-made"
}
