//! `status`: what the signer says, in words and units.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use serde_json::{Value, json};

use crate::policy::quickstart;
use crate::signer::{Reply, Signer, founded};

/// A health listener that says the same to everyone.
pub fn health(status: &'static str, text: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap() == 0 {
                    break;
                }
                head.push(byte[0]);
            }
            let length = text.len();
            // Who asked may be gone.
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{text}"
            );
        }
    });
    address
}

fn keys() -> Value {
    json!({
        "keys": [{
            "name": "eth-hot-1", "account": "eth-hot", "class": "hot",
            "public_key": "02".repeat(33), "assurance": "software",
            "addresses": [{ "chain": "eip155:31337",
                            "address": "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F",
                            "lane_epoch": 3, "next_sequence": 17 }],
        }],
        "limits": [
            { "limit": "eth-day", "cap": "20000000000000000000", "used": "500000000000000000",
              "left": "19500000000000000000", "window_secs": 86400 },
            { "limit": "payments-hour", "group": ["account=eth-hot"], "cap": "2000", "used": "1",
              "left": "1999", "window_secs": 3600 },
        ],
        "epoch": 3,
        "policy": "07".repeat(32),
        "time": { "lo": "2026-01-01T00:00:00Z", "hi": "2026-01-01T00:00:01Z" },
    })
}

#[test]
fn shows_keys_room_and_readiness() {
    let place = founded();
    let signer = Signer::answering(&place, keys());
    let health = health("200 OK", "ready\n");
    let line = format!("status {} --health {health}", signer.options());
    let mut expected = keys();
    expected["readiness"] = json!({ "ready": true, "text": "ready" });
    assert_eq!(place.answer(&line), expected);

    let text = String::from_utf8(place.run(&line).stdout).unwrap();
    assert!(text.starts_with("ready\npolicy 0707"), "{text}");
    for part in [
        "key eth-hot-1 of eth-hot (hot, software)",
        "eip155:31337 0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F",
        "lane epoch 3, next sequence 17",
        "limit payments-hour for account=eth-hot",
        "1999 of 2000 in 1 h",
        "19500000000000000000 of 20000000000000000000 in 24 h",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_bundle_gives_the_units() {
    let (place, bundle) = (founded(), quickstart());
    let signer = Signer::answering(&place, keys());
    let folder = bundle.path("bundle");
    let line = format!("status {} --policy {}", signer.options(), folder.display());
    let text = String::from_utf8(place.run(&line).stdout).unwrap();
    assert!(text.contains("19.5 eth of 20 eth in 24 h"), "{text}");
    assert!(text.contains("1999 of 2000 in 1 h"), "{text}");
    place.fails(
        &format!("status {} --policy pki", signer.options()),
        2,
        "status-policy",
    );
}

#[test]
fn not_ready_is_a_no() {
    let place = founded();
    let signer = Signer::answering(&place, keys());
    let health = health("503 Service Unavailable", "no device: it does not answer\n");
    let output = place.run(&format!("status {} --health {health}", signer.options()));
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("NOT READY: no device: it does not answer\n"),
        "{text}"
    );
}

#[test]
fn a_sealed_signer_still_says_why() {
    let place = founded();
    let signer = Signer::start(&place, |_| Reply::problem("sealed", 503));
    let said = "sealed: forked-from-anchor: the log is forked\n";
    let health = health("503 Service Unavailable", said);
    let line = format!("status {} --health {health}", signer.options());
    let error = place.fails(&line, 1, "sealed");
    let why = format!("readyz: {}", said.trim_end());
    assert_eq!(error["why"][1], *why);
    assert_eq!(error["details"]["sealed"], "forked-from-anchor");
    drop(signer);
    place.fails(&line, 3, "unreachable");
}
