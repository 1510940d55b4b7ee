# shellcheck shell=bash
# A certificate authority for development, made on the first start and kept with the data, never in git; one certificate of
# its for every server here.

CERTIFICATE_DAYS=800
RENEW_BEFORE_S=$((30 * 86400))

make_tls() {
    local tls=$DIR/tls
    [[ -f $tls/ca.pem ]] || make_authority "$tls"
    openssl x509 -in "$tls/server.pem" -noout -checkend "$RENEW_BEFORE_S" >/dev/null 2>&1 || make_certificate "$tls"
    [[ -z $JDK || -f $tls/truststore.p12 ]] || make_truststore "$tls"
}

make_authority() {
    local new=$1.new
    rm -rf "$new"
    mkdir -p "$new"
    (umask 077 && openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$new/ca.key")
    openssl req -x509 -new -key "$new/ca.key" -days 3650 -subj '/CN=Headwater development CA' -out "$new/ca.pem" \
        -addext 'basicConstraints=critical,CA:TRUE' -addext 'keyUsage=critical,keyCertSign,cRLSign'
    rm -rf "$1"
    mv "$new" "$1"
}

make_certificate() {
    local tls=$1 extensions
    extensions='subjectAltName=DNS:localhost,IP:127.0.0.1,DNS:kafka,DNS:cassandra,DNS:registry,DNS:postgres
basicConstraints=CA:FALSE
keyUsage=digitalSignature
extendedKeyUsage=serverAuth'
    (
        umask 077
        openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$tls/server.key"
        openssl req -new -key "$tls/server.key" -subj /CN=localhost |
            openssl x509 -req -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial -days "$CERTIFICATE_DAYS" \
                -extfile <(echo "$extensions") -out "$tls/server.new" 2>/dev/null
        cat "$tls/server.key" "$tls/server.new" "$tls/ca.pem" >"$tls/server-with-key.pem"
        openssl pkcs12 -export -in "$tls/server.new" -inkey "$tls/server.key" -certfile "$tls/ca.pem" -name server \
            -passout "file:$(secret_file keystore)" -out "$tls/server.p12"
    )
    chmod 644 "$tls/server.new"
    mv "$tls/server.new" "$tls/server.pem"
}

# For Java clients; others read ca.pem.
make_truststore() {
    local tls=$1
    rm -f "$tls/truststore.new"
    "$JDK/bin/keytool" -importcert -noprompt -alias headwater -file "$tls/ca.pem" -storetype PKCS12 \
        -keystore "$tls/truststore.new" -storepass:file "$(secret_file keystore)" 2>/dev/null
    mv "$tls/truststore.new" "$tls/truststore.p12"
}
