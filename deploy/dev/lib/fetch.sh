# shellcheck shell=bash
# Brings what the servers run from: Debian's packages where they are missing, and artifacts from Maven, once, into a cache that
# outlives `clean`. Maven checks checksums; an artifact appears in the cache whole or not at all.

# Installs Debian packages, as the Makefile's `tools` does.
install_packages() {
    local as_root=()
    command -v apt-get >/dev/null || die "the servers need $*: install them with your system's packages"
    if [[ $(id -u) != 0 ]]; then
        command -v sudo >/dev/null || die "the servers need $*. Install them as root: apt-get install $*"
        as_root=(sudo)
    fi
    say "Installing $*, which the servers need"
    "${as_root[@]}" apt-get update -qq >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# Prints the folder of a JDK of the version that Cassandra runs on, whatever `java` is. Not a JRE: Cql.java is compiled.
find_java() {
    local home version
    for home in "${HEADWATER_JAVA_HOME:-}" "${JAVA_HOME:-}" /usr/lib/jvm/*"$JAVA_VERSION"*; do
        [[ -n $home && -x $home/bin/javac ]] || continue
        version=$("$home/bin/java" -version 2>&1) || continue
        [[ $version == *"version \"$JAVA_VERSION"[.\"]* ]] || continue
        echo "$home"
        return
    done
    return 1
}

# Prints the folder of Postgres's programs: the pinned version, else the newest.
find_postgres() {
    local folder
    # shellcheck disable=SC2012 # the names are numbers
    for folder in "/usr/lib/postgresql/$POSTGRES_VERSION/bin" $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV); do
        [[ -x $folder/postgres ]] && { echo "$folder"; return; }
    done
    return 1
}

cached() {
    case $1 in
        kafka) echo "$CACHE/kafka_$KAFKA_SCALA_VERSION-$KAFKA_VERSION-log4j-$KAFKA_LOG4J_VERSION" ;;
        cassandra) echo "$CACHE/cassandra-$CASSANDRA_VERSION" ;;
        registry) echo "$CACHE/apicurio-registry-$REGISTRY_VERSION" ;;
    esac
}

# Everything that the named servers need, installed and fetched. Sets JAVA, JDK and POSTGRES_BIN.
provide() {
    local name packages=() fetch=()
    for name in "$@"; do
        if [[ $name == postgres ]]; then
            find_postgres >/dev/null || packages+=(postgresql)
            continue
        fi
        [[ -d $(cached "$name") ]] || fetch+=("$name")
        find_java >/dev/null || [[ " ${packages[*]} " == *" openjdk-"* ]] || packages+=("openjdk-$JAVA_VERSION-jdk-headless")
    done
    ((${#fetch[@]} == 0)) || command -v mvn >/dev/null || packages+=(maven)
    command -v openssl >/dev/null || packages+=(openssl)
    command -v curl >/dev/null || packages+=(curl ca-certificates)
    ((${#packages[@]} == 0)) || install_packages "${packages[@]}" || die "these packages did not install: ${packages[*]}"
    # Which of the two are needed was seen above.
    JDK=$(find_java) || JDK=""
    JAVA=$JDK/bin/java
    POSTGRES_BIN=$(find_postgres) || POSTGRES_BIN=""
    if [[ "$*" != postgres && -z $JDK ]]; then die "no JDK $JAVA_VERSION was found under /usr/lib/jvm: HEADWATER_JAVA_HOME names one"; fi
    for name in "${fetch[@]}"; do fetch_from_maven "$name"; done
}

fetch_from_maven() {
    local name=$1 to new began=$SECONDS
    to=$(cached "$name")
    mkdir -p "$CACHE"
    # Another clone may be fetching the same.
    exec 8>"$CACHE/lock"
    flock 8
    if [[ ! -d $to ]]; then
        say "Fetching $name into $to"
        new=$(mktemp -d "$CACHE/new.XXXXXX")
        if ! "fetch_$name" "$new" >"$CACHE/$name.log" 2>&1; then
            rm -rf "$new"
            tail -n 20 "$CACHE/$name.log" | sed 's/^/    /' >&2
            die "$name could not be fetched, and nothing of it was kept: see above, and $CACHE/$name.log"
        fi
        chmod 755 "$new"
        mv "$new" "$to"
        say "Fetched $name in $((SECONDS - began)) s"
    fi
    exec 8>&-
}

maven() { JAVA_HOME=$JDK mvn -q -B --strict-checksums "$@" </dev/null 9>&-; }

fetch_kafka() {
    maven -f "$DEV/kafka/pom.xml" "-Dkafka.version=$KAFKA_VERSION" "-Dscala.version=$KAFKA_SCALA_VERSION" \
        "-Dlog4j.version=$KAFKA_LOG4J_VERSION" dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$1"
}

fetch_cassandra() {
    maven -f "$DEV/cassandra/pom.xml" "-Dcassandra.version=$CASSANDRA_VERSION" \
        dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$1"
}

# The plugin's default version cannot copy an artifact by name.
fetch_registry() {
    (cd "$1" && maven org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy -DoutputDirectory=. \
        "-Dartifact=io.apicurio:apicurio-registry-app:$REGISTRY_VERSION:tar.gz:all") &&
        tar -xzf "$1"/*.tar.gz -C "$1" && rm "$1"/*.tar.gz
}
