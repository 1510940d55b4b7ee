//! A worker that is frozen past its session, and wakes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use headwater_log::{Delivery, Log, Offset};

use super::cluster::{DEADLINE, connected, options, topic, within};

const TOPIC: &str = "HEADWATER_LOG_TEST_TOPIC";

/// Does nothing unless the test below runs it: reads on and on, and says what it is told.
#[test]
fn child() {
    let Ok(topic) = std::env::var(TOPIC) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut short = options();
        short.session_timeout = Duration::from_secs(2);
        let log = Log::connect_kafka(short).await.unwrap();
        let mut member = log.consumer(&format!("{topic}.g"), std::slice::from_ref(&topic)).await.unwrap();
        loop {
            let said = match member.next().await {
                Ok(Delivery::Assigned(partitions)) => {
                    for (topic, partition) in &partitions {
                        member.start(topic, *partition, Offset(0)).await.unwrap();
                    }
                    "assigned".to_owned()
                }
                Ok(Delivery::Revoked(_)) => "revoked".to_owned(),
                Ok(Delivery::Records { .. }) => "records".to_owned(),
                Err(error) => format!("error {error}"),
            };
            // Fails when the parent has gone.
            if writeln!(std::io::stdout(), "{said}").is_err() {
                return;
            }
        }
    });
}

/// Ends the child with the test, also where that fails.
struct Reader(Child);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Reader {
    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap().success());
    }
}

fn hear(lines: &Receiver<String>, wanted: &str) {
    while lines.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("it never said {wanted:?}")) != wanted {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_member_is_replaced_and_told_when_it_wakes() {
    let log = connected().await;
    let name = topic(&log, 1).await.name;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kafka::frozen::child", "--nocapture"])
        .env(TOPIC, &name)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (said, lines) = channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
    let frozen = Reader(child);
    hear(&lines, "assigned");
    frozen.signal("-STOP");
    let mut member = log.consumer(&format!("{name}.g"), std::slice::from_ref(&name)).await.unwrap();
    assert!(matches!(within(member.next()).await, Ok(Delivery::Assigned(_))));
    frozen.signal("-CONT");
    hear(&lines, "revoked");
    drop((frozen, member));
    log.close().await;
}
