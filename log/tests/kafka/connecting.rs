//! How a cluster is reached: TLS, SASL, and what is said where that fails.

use std::time::Duration;

use headwater_log::{KafkaOptions, KafkaSecurity, Log, LogError, Offset};
use secrecy::SecretString;

use super::cluster::{P0, at, options, servers, topic};

fn secured(password: &str) -> KafkaOptions {
    let kafka = &servers().kafka;
    let mut options = KafkaOptions::new(&kafka.tls_bootstrap);
    options.security = KafkaSecurity::SaslSsl {
        mechanism: kafka.sasl_mechanism.clone(),
        user: kafka.user.clone(),
        password: SecretString::from(password),
        ca_file: Some(servers().tls.ca_file.clone()),
    };
    options
}

fn password() -> String {
    headwater_dev_servers::password(&servers().kafka.password_file)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_with_a_password_over_tls() {
    let log = Log::connect_kafka(secured(&password())).await.unwrap();
    let name = topic(&log, 1).await.name;
    assert_eq!(log.append(&name, at(0, "x")).await.unwrap().offset, Offset(0));
    assert_eq!(log.read(&name, P0, Offset(0), 9, 99).await.unwrap().len(), 1);
    let shown = format!("{log:?} {:?}", secured(&password()));
    assert!(!shown.contains(&password()), "{shown}");
    log.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_denied_and_not_shown() {
    let error = Log::connect_kafka(secured("not-the-password")).await.unwrap_err();
    let LogError::Denied { cause } = &error else { panic!("{error}") };
    assert!(cause.to_lowercase().contains("authentication"), "{cause}");
    assert!(!error.to_string().contains("not-the-password"), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_nobody_here_signed_is_denied() {
    let mut options = secured(&password());
    let KafkaSecurity::SaslSsl { ca_file, .. } = &mut options.security else { panic!() };
    *ca_file = None;
    let error = Log::connect_kafka(options).await.unwrap_err();
    let LogError::Denied { cause } = &error else { panic!("{error}") };
    assert!(cause.contains("certificate verify failed"), "{cause}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_certificate_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "nonsense").unwrap();
    let mut options = secured(&password());
    let KafkaSecurity::SaslSsl { ca_file, .. } = &mut options.security else { panic!() };
    *ca_file = Some(file.path().to_owned());
    let error = Log::connect_kafka(options).await.unwrap_err();
    let LogError::Misconfigured { cause } = &error else { panic!("{error}") };
    assert!(cause.contains("ssl.ca.location"), "{cause}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_listens_the_log_is_unavailable() {
    // Bound and never listened on: nobody else can have the port.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut options = KafkaOptions::new(socket.local_addr().unwrap().to_string());
    options.request_timeout = Duration::from_millis(500);
    let error = Log::connect_kafka(options).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("refused"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_promises_rest_on_is_not_for_extra_settings() {
    let mut wrong = options();
    wrong.extra.insert("acks".into(), "0".into());
    assert!(matches!(Log::connect_kafka(wrong).await, Err(LogError::Misconfigured { .. })));
    let mut unknown = options();
    unknown.extra.insert("no.such.setting".into(), "0".into());
    let error = Log::connect_kafka(unknown).await.unwrap_err();
    assert!(error.to_string().contains("no.such.setting"), "{error}");
    let mut harmless = options();
    harmless.extra.insert("fetch.wait.max.ms".into(), "50".into());
    Log::connect_kafka(harmless).await.unwrap().close().await;
}
