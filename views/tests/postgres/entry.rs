//! Who may enter, over TLS and without, and that nobody is told a password.

use headwater_dev_servers::password;
use headwater_views::{PostgresOptions, Store, StoreError};

use crate::server::{Schema, servers, url};
use crate::{by_hand, deployment, execute, flush, open, options, totals};

/// A password that no other text looks like.
const SECRET: &str = "hunter2hunter2";

async fn refused(options: PostgresOptions) -> StoreError {
    let shown = format!("{options:?}");
    assert!(!shown.contains(SECRET), "{shown}");
    let error = Store::open_postgres(options).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains(SECRET) && !shown.contains("hunter2"), "{shown}");
    error
}

#[tokio::test]
async fn a_password_is_in_no_error() {
    let schema = Schema::fresh();
    let postgres = &servers().postgres;
    let right = url(&postgres.user, SECRET);
    let wrong = [
        (right.clone(), "authentication"),
        (right.replace(&format!("/{}?", postgres.database), "/nowhere?"), "authentication"),
        (format!("{right}&sslpassword={SECRET}"), "parameter other than"),
        (format!("{right}&target_session_attrs=any"), "parameter other than"),
        (right.replace("sslmode=disable", &format!("sslmode={SECRET}")), "it is not postgres://"),
        (right.replace("sslmode=disable", &format!("port={SECRET}")), "it is not postgres://"),
        (format!("postgres://u:hunter2?hunter2@{}/d", postgres.host), "parameter other than"),
        (format!("mysql://u:{SECRET}@{}/d", postgres.host), "it is not postgres://"),
        (SECRET.to_owned(), "it is not postgres://"),
        (String::new(), "it is not postgres://"),
    ];
    for (url, reason) in wrong {
        let error = refused(PostgresOptions { url: url.into(), ..options(&schema) }).await;
        assert!(matches!(&error, StoreError::Setup { .. }), "{reason}: {error:?}");
        assert!(error.to_string().contains(reason), "{reason}: {error}");
        assert!(!error.is_transient());
    }
    let nobody = right.replace(&format!(":{}/", postgres.port), ":1/");
    assert!(refused(PostgresOptions { url: nobody.into(), ..options(&schema) }).await.is_transient());
    let store = open(&schema).await;
    let shown = format!("{store:?} {:?}", store.snapshot().await.unwrap());
    assert!(!shown.contains(&password(&postgres.password_file)), "{shown}");
}

#[tokio::test]
async fn tls_is_as_strict_as_the_url_says() {
    let schema = Schema::fresh();
    let folder = tempfile::tempdir().unwrap();
    let other_ca = folder.path().join("other.pem");
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=Another CA", "-keyout", "/dev/null", "-out"])
        .arg(&other_ca)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let (ca, other_ca) = (servers().tls.ca_file.display(), other_ca.display());
    let with =
        |tls: String| PostgresOptions { url: schema.url.replace("sslmode=disable", &tls).into(), ..options(&schema) };
    for taken in [
        format!("sslmode=verify-full&sslrootcert={ca}"),
        format!("sslmode=verify-ca&sslrootcert={ca}"),
        format!("sslmode=require&sslrootcert={ca}"),
        "sslmode=require".to_owned(),
        "sslmode=prefer".to_owned(),
    ] {
        let store = Store::open_postgres(with(taken.clone())).await.unwrap();
        let mut connection = by_hand(&schema).await;
        let encrypted: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND usename = current_user",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        assert!(encrypted > 0, "{taken}");
        store.close().await;
    }
    for untrusted in [
        format!("sslmode=verify-full&sslrootcert={other_ca}"),
        format!("sslmode=verify-ca&sslrootcert={other_ca}"),
        // As libpq has it: an authority that is named is asked.
        format!("sslmode=require&sslrootcert={other_ca}"),
        "sslmode=verify-full".to_owned(),
    ] {
        let error = Store::open_postgres(with(untrusted.clone())).await.unwrap_err();
        assert!(matches!(error, StoreError::Setup { .. }), "{untrusted}: {error:?}");
    }
}

#[tokio::test]
async fn a_role_without_privileges_is_told_so() {
    let schema = Schema::with_own_role(false);
    let error = Store::open_postgres(options(&schema)).await.unwrap_err();
    let StoreError::Setup { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("permission denied for database"), "{reason}");

    let schema = Schema::with_own_role(true);
    let store = open(&schema).await;
    let table = totals(false);
    store.create(&deployment(std::slice::from_ref(&table))).await.unwrap();
    let mut connection = by_hand(&schema).await;
    execute(&mut connection, &format!("REVOKE ALL ON totals_g1 FROM {}", schema.role())).await;
    let error = flush(&store, &table, None, vec![crate::total("a", 1)]).await.unwrap_err();
    let StoreError::Setup { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("permission denied for table"), "{reason}");
    execute(&mut connection, &format!("GRANT ALL ON totals_g1 TO {}", schema.role())).await;
    flush(&store, &table, None, vec![crate::total("a", 1)]).await.unwrap();
}

#[tokio::test]
async fn schemas_of_others_are_left_alone() {
    let schema = Schema::fresh();
    let long = "a".repeat(64);
    for name in ["", "Upper", "1st", "a-b", "a\"b", "a;b", "é", "a b", "pg_views", "information_schema", &long] {
        let named = PostgresOptions { schema: name.to_owned(), ..options(&schema) };
        let error = Store::open_postgres(named).await.unwrap_err();
        assert!(matches!(error, StoreError::Setup { .. }), "{name:?}: {error:?}");
    }
    let mut connection = by_hand(&schema).await;
    execute(&mut connection, &format!("CREATE SCHEMA {}; CREATE TABLE mine ()", schema.name)).await;
    let error = Store::open_postgres(options(&schema)).await.unwrap_err();
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error:?}");
    execute(&mut connection, "DROP TABLE mine").await;
    open(&schema).await.close().await;
    execute(&mut connection, "UPDATE _format SET version = 99").await;
    let error = Store::open_postgres(options(&schema)).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error:?}");
}
