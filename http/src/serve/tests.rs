//! Real connections: clients that are slow in every way, both protocols, and a drain that ends.

use super::*;
use crate::front::guard;
use crate::{Problem, body};
use axum::body::Body;
use axum::extract::Request;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use std::net::SocketAddr;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longer than any test takes.
const DEADLINE: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
}

async fn start(routes: Router, limits: Limits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let app = guard(routes, &limits);
    let ended = tokio::spawn(async move {
        let shutdown = async {
            let _ = stopped.await;
        };
        serve(listener, app, shutdown, &limits).await.unwrap()
    });
    Server { address, stop, ended }
}

fn routes(limits: &Limits) -> Router {
    let read_limits = limits.clone();
    Router::new().route("/", get(|| async { "hello" })).route(
        "/body",
        post(move |request: Request| async move {
            match body::read(request.into_body(), &read_limits).await {
                Ok(body) => body.len().to_string().into_response(),
                Err(error) => Problem::from(error).into_response(),
            }
        }),
    )
}

/// Sends `text`, then reads until the server closes.
async fn talk(address: SocketAddr, text: &str) -> (String, Duration) {
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset is as good an end as a close.
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("the server closes");
    (String::from_utf8_lossy(&answer).into_owned(), started.elapsed())
}

fn quick() -> Limits {
    Limits {
        header_time: Duration::from_millis(200),
        idle_time: Duration::from_millis(400),
        body_stall: Duration::from_millis(200),
        drain: Duration::from_millis(300),
        ..Limits::default()
    }
}

#[tokio::test]
async fn slow_clients_are_cut_off() {
    let limits = quick();
    let server = start(routes(&limits), limits).await;
    let cases = [
        // Nothing at all; the start of HTTP/2's preface; half a header; a body that never comes; nothing after an answer.
        ("", ""),
        ("PRI * HT", ""),
        ("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ", ""),
        ("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf", "HTTP/1.1 408 Request Timeout"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK"),
    ];
    for (text, expected) in cases {
        let (answer, took) = talk(server.address, text).await;
        assert!(answer.starts_with(expected), "{text:?}: {answer}");
        assert!(took < Duration::from_secs(10), "{text:?}: {took:?}");
    }
    let (answer, _) = talk(server.address, cases[3].0).await;
    assert!(answer.contains("urn:headwater:problem:request-timeout"), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let (ending, ended) = oneshot::channel::<()>();
    let ending = Arc::new(std::sync::Mutex::new(Some(ending)));
    let endless = get(move || async move {
        // Dropped with the answer.
        let held = ending.lock().unwrap().take();
        Body::from_stream(futures::stream::repeat_with(move || {
            let _ = &held;
            Ok::<_, io::Error>(vec![b'x'; 64 * 1024])
        }))
    });
    let server = start(Router::new().route("/endless", endless), quick()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    // It reads the head and no more: the buffers in between fill up, and then nothing moves.
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    tokio::time::timeout(DEADLINE, ended).await.expect("the answer is given up").unwrap_err();
}

#[tokio::test]
async fn a_trickled_body_is_cut_off() {
    let limits = Limits { idle_time: Duration::from_millis(500), ..Limits::default() };
    let server = start(routes(&limits), limits).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n").await.unwrap();
    let started = Instant::now();
    while stream.write_all(b"x").await.is_ok() {
        assert!(started.elapsed() < DEADLINE, "still taken after {:?}", started.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_request_under_way_is_finished_and_nobody_new_is_let_in() {
    let (entered, is_in) = oneshot::channel::<()>();
    let (leave, may_leave) = oneshot::channel::<()>();
    let channels = std::sync::Mutex::new(Some((entered, may_leave)));
    let channels = Arc::new(channels);
    let slow = get(move || async move {
        let taken = channels.lock().unwrap().take();
        if let Some((entered, may_leave)) = taken {
            entered.send(()).unwrap();
            may_leave.await.unwrap();
        }
        "done"
    });
    let server = start(Router::new().route("/slow", slow), Limits::default()).await;
    let address = server.address;
    let request = tokio::spawn(async move { talk(address, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await.0 });
    is_in.await.unwrap();
    server.stop.send(()).unwrap();
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, refused).await.expect("the listener closes");
    leave.send(()).unwrap();
    let answer = request.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    assert_eq!(server.ended.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_drain_ends_though_a_request_does_not() {
    let (entered, is_in) = oneshot::channel::<()>();
    let entered = Arc::new(std::sync::Mutex::new(Some(entered)));
    let stuck = get(move || async move {
        let entered = entered.lock().unwrap().take();
        entered.unwrap().send(()).unwrap();
        std::future::pending::<&str>().await
    });
    let limits = Limits { drain: Duration::from_millis(100), ..Limits::default() };
    let server = start(Router::new().route("/stuck", stuck), limits).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    is_in.await.unwrap();
    server.stop.send(()).unwrap();
    let drained = tokio::time::timeout(DEADLINE, server.ended).await.unwrap().unwrap();
    assert_eq!(drained, Drained { cut: 1 });
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn too_long_a_head_is_refused() {
    let server = start(routes(&Limits::default()), Limits::default()).await;
    let cookie = "x".repeat(40_000);
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
    let (answer, _) = talk(server.address, &text).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(answer.contains("urn:headwater:problem:headers-too-large"), "{answer}");
}

#[tokio::test]
async fn http_2_is_spoken_by_those_who_know() {
    let server = start(routes(&Limits::default()), Limits::default()).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The preface and an empty SETTINGS frame.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut frame = [0; 9];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut frame)).await.unwrap().unwrap();
    assert_eq!(frame[3], 4, "the server's own SETTINGS: {frame:?}");
}
