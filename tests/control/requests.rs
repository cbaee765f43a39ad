//! What comes over the control socket from somebody who does not speak its language.

use super::{tasks, two_tenants, wait_for_documents};
use crate::support::Bench;
use crate::support::running::{ingest_lines, put, socket};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// What is answered to these bytes, if anything; the other end is closed for writing after them.
fn send(bench: &Bench, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket(bench)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    // A server may have seen enough before it has seen all.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(line: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{line} HTTP/1.1\r\nhost: stockade\r\ncontent-length: {length}\r\n\r\n{body}").into()
}

/// A receipt that has all of its fields, of an agent that there never was.
fn receipt(tenant: &str, plugin: &str) -> String {
    let meters = [
        "fuel",
        "guest_cpu_ms",
        "host_wait_ms",
        "wall_ms",
        "memory_peak_bytes",
        "host_calls",
        "embed_tokens",
        "searches",
        "vectors_scanned",
        "read_bytes",
        "boundary_bytes",
        "output_bytes",
        "log_bytes",
    ];
    let usage: serde_json::Map<_, _> = meters
        .map(|name| (name.to_owned(), 0.into()))
        .into_iter()
        .collect();
    serde_json::json!({
        "task": "t1", "tenant": tenant, "agent": "none", "plugin": plugin, "policy": "", "model": "",
        "index_generation": 0, "question": "x", "k": 1, "filter": null, "options": {}, "options_given": {},
        "hops": [], "degraded": [], "usage": usage, "answer": { "digest": "", "passages": [] }
    })
    .to_string()
}

/// Requests with the beginning of the status that each must get.
fn wrong() -> Vec<(Vec<u8>, &'static str)> {
    let query = "POST /v1/tenants/acme/query";
    let deep = format!("{{\"question\":{}", "[".repeat(100_000));
    let long = format!("{{\"question\":\"{}\"}}", "a".repeat(2 << 20));
    let wordy = format!("{{\"question\":\"{}\"}}", "a".repeat(100_000));
    let asked = |field: &str| format!("{{\"question\":\"x\",{field}}}");
    vec![
        (request("GET /", ""), "404"),
        (request("GET /v1/nothing", ""), "404"),
        (request("DELETE /v1/tasks", ""), "405"),
        (request("GET /v1/tenants/acme/query", ""), "405"),
        (request("GET /v1/tenants/No%20body", ""), "400"),
        (request("GET /v1/tenants/%ff", ""), "400"),
        (request("GET /v1/tenants/nobody", ""), "404"),
        (request("GET /v1/tenants/../../etc", ""), "404"),
        (request("DELETE /v1/tasks/t99999", ""), "404"),
        (
            request("DELETE /v1/tasks/99999999999999999999999", ""),
            "400",
        ),
        (request("PUT /v1/tenants/acme/policy", "{}"), "400"),
        (
            request(
                "PUT /v1/tenants/acme/policy",
                r#"{"name":"x","files":[{"name":"x","text":"["}]}"#,
            ),
            "400",
        ),
        (
            request(
                "PUT /v1/tenants/acme/policy",
                r#"{"name":"/etc/passwd","files":[]}"#,
            ),
            "400",
        ),
        (request(query, ""), "400"),
        (request(query, "null"), "400"),
        (request(query, "\u{0}"), "400"),
        (request(query, &deep), "400"),
        (request(query, &long), "413"),
        (request(query, &wordy), "400"),
        (request(query, r#"{"question":" "}"#), "400"),
        (request(query, &asked(r#""k":-1"#)), "400"),
        (request(query, &asked(r#""k":18446744073709551615"#)), "400"),
        (request(query, &asked(r#""filter":"[""#)), "400"),
        (request(query, &asked(r#""agent":"../x""#)), "400"),
        (request(query, &asked(r#""agent":"cuts""#)), "400"),
        (request(query, &asked(r#""options":[["none","1"]]"#)), "400"),
        (request(query, &asked(r#""tenant":"globex""#)), "400"),
        (b"\x00\xff\x16\x03\x01 nonsense\r\n\r\n".to_vec(), "400"),
        (b"GET /v1/tasks HTTP/9.9\r\n\r\n".to_vec(), "400"),
        (
            [b"GET /".as_slice(), &[b'a'; 200_000], b" HTTP/1.1\r\n\r\n"].concat(),
            "4",
        ),
        (
            ["GET / HTTP/1.1\r\n", &"a: b\r\n".repeat(5_000), "\r\n"]
                .concat()
                .into(),
            "431",
        ),
    ]
}

/// The same, for a receipt that is asked again.
fn wrong_replays() -> Vec<(Vec<u8>, &'static str)> {
    let (replay, digest) = ("POST /v1/tenants/acme/replay", "0".repeat(64));
    let deep = format!("{{\"question\":{}", "[".repeat(100_000));
    let long = format!("{{\"question\":\"{}\"}}", "a".repeat(2 << 20));
    vec![
        (request("GET /v1/tenants/acme/replay", ""), "405"),
        (request(replay, ""), "400"),
        (request(replay, "{}"), "400"),
        (request(replay, &deep), "400"),
        (request(replay, &long), "413"),
        (request(replay, &receipt("globex", &digest)), "400"),
        (request(replay, &receipt("acme", "no digest")), "400"),
        (request(replay, &receipt("acme", &digest)), "400"),
    ]
}

#[test]
fn wrong_requests_are_answered_and_harm_nobody() {
    let bench = two_tenants();
    let (running, mut input) = ingest_lines(&bench);
    for (bytes, status) in wrong().into_iter().chain(wrong_replays()) {
        let answer = send(&bench, &bytes);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
        let begins = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&begins), "{shown}\n-> {answer}");
    }
    // Half a request, and connections that say nothing: nobody waits for them.
    let silent: Vec<_> = (0..40)
        .map(|_| UnixStream::connect(socket(&bench)).unwrap())
        .collect();
    let mut half = UnixStream::connect(socket(&bench)).unwrap();
    half.write_all(b"GET /v1/tasks HTTP/1.1\r\nhost:").unwrap();
    assert!(tasks(&bench).is_empty());
    let mut nothing = Vec::new();
    half.read_to_end(&mut nothing).unwrap();
    drop(silent);
    put(&mut input, "one", "The first.");
    wait_for_documents(&bench, 1);
    drop(input);
    running.end().ok();
}
