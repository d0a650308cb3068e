//! `withdraw`, `withdrawals`, `credit` and `status` against a coordinator that answers what a test wants.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::signer::{JSON, Reply, Signer, founded};

const DESTINATION: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const LANE: &str = "eip155:31337:0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F";

/// A withdrawal in a stage.
fn withdrawal(stage: &str) -> Value {
    json!({
        "source": "payouts", "id": "w-1", "client": "operator", "account": "ann",
        "asset": "eip155:31337/native", "amount": "500000000000000000",
        "destination": DESTINATION, "max_fee": "1000000000000000",
        "expires": "2026-11-21T12:00:00Z", "stage": stage,
        "requested_at": "2026-11-20T12:00:00Z", "changed_at": "2026-11-20T12:00:01Z",
    })
}

/// One that the signer refuses.
fn refused() -> Value {
    let mut refused = withdrawal("approved");
    refused["waiting"] = json!({
        "reason": "signer-refused", "detail": "The signer refuses.\u{1b}[2J",
        "reasons": [{ "code": "uncovered", "detail": "no statement allows it",
                      "remedy": "a statement that does" }],
        "since": "2026-11-20T12:00:00Z", "until": "2026-11-20T12:00:05Z",
    });
    refused
}

fn explanation(withdrawal: Value, attempts: Value) -> Value {
    json!({
        "withdrawal": withdrawal, "attempts": attempts,
        "events": [{ "event": 1, "at": "2026-11-20T12:00:00Z", "topic": "withdrawal.held",
                     "body": { "asset": "eip155:31337/native" } }],
    })
}

fn attempt(stage: &str, confirmations: Option<u64>) -> Value {
    let anchor = format!("nonce {LANE}:0");
    let mut attempt = json!({
        "lane": LANE, "number": 0, "set": 0, "purpose": "payout", "stage": stage,
        "anchor": anchor, "keys": [anchor], "pays": [{ "source": "payouts", "id": "w-1" }],
        "request_id": format!("{LANE}:0"), "lane_epoch": 1, "max_fee": "1000000000000000",
        "created_at": "2026-11-20T12:00:00Z", "txid": "0xaa",
        "decision": {
            "entry": 17, "account": "eth-hot", "allowed_by": ["small-eth"], "policy": "07".repeat(32),
            "time": { "lo": "2026-11-20T12:00:00Z", "hi": "2026-11-20T12:00:01Z" },
            "effects": [{
                "kind": "payment", "account": "eth-hot", "asset": "eip155:31337/native",
                "amount": "500000000000000000",
                "to": { "address": format!("eip155:31337:{DESTINATION}") },
            }],
        },
    });
    if let Some(deep) = confirmations {
        attempt["place"] = json!({
            "height": 7, "hash": "0xbb", "txid": "0xaa", "fee": "21000", "confirmations": deep,
        });
    }
    attempt
}

fn order(signer: &Signer, more: &str) -> String {
    format!(
        "withdraw {} --id w-1 --account ann --asset eip155:31337/native --to {DESTINATION} {more}",
        signer.options()
    )
}

const GOOD: &str = "--amount 0.5ether --max-fee 0.001ether --expires 2026-11-21T12:00:00Z";

fn created(body: &Value) -> Reply {
    Reply::Answer(201, JSON, body.to_string())
}

#[test]
fn asks_for_what_was_written() {
    let place = founded();
    let signer = Signer::start(&place, |_| created(&withdrawal("approved")));
    let answer = place.answer(&order(&signer, GOOD));
    assert_eq!(
        answer,
        json!({ "new": true, "withdrawal": withdrawal("approved") })
    );
    let seen = signer.seen();
    assert_eq!(
        (seen[0].method.as_str(), seen[0].path.as_str()),
        ("POST", "/v1/withdrawals")
    );
    assert_eq!(
        seen[0].body,
        json!({
            "id": "w-1", "account": "ann", "asset": "eip155:31337/native",
            "amount": "500000000000000000", "destination": DESTINATION,
            "max_fee": "1000000000000000", "expires": "2026-11-21T12:00:00Z",
        })
    );
    let text = String::from_utf8(place.run(&order(&signer, GOOD)).stdout).unwrap();
    for part in [
        "withdrawal payouts/w-1\n",
        "stage       approved",
        DESTINATION,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn what_is_no_order_is_not_sent() {
    let place = founded();
    let signer = Signer::answering(&place, withdrawal("approved"));
    for (more, kind) in [
        ("--amount 0.5 --max-fee 1", "amount"),
        ("--amount 0.0000000000000000001ether --max-fee 1", "amount"),
        ("--amount 1ltc --max-fee 1", "amount"),
        ("--amount 1 --max-fee 1e9", "amount"),
        ("--amount 1 --max-fee 1 --expires tomorrow", "expires"),
        ("--amount 1 --max-fee 1 --expires 0h", "expires"),
    ] {
        place.fails(&order(&signer, more), 2, kind);
    }
    place.fails(
        &order(&signer, "--amount 1 --wait-secs 5 --max-fee 1"),
        2,
        "usage",
    );
    assert!(signer.seen().is_empty());
}

#[test]
fn a_fee_that_is_not_given_is_quoted() {
    let place = founded();
    let signer = Signer::start(&place, |request| match request.path.as_str() {
        "/v1/quote" => Reply::ok(&json!({
            "fee": "21000", "max_fee": "42000", "available": "1", "unattended": "yes",
            "policy": { "verdict": "allowed" },
        })),
        _ => created(&withdrawal("approved")),
    });
    place.answer(&order(&signer, "--amount 1"));
    let seen = signer.seen();
    assert_eq!(seen[0].path, "/v1/quote");
    assert_eq!(seen[1].body["max_fee"], "42000");
    drop(signer);
    let silent = Signer::answering(
        &place,
        json!({
            "detail": "no node answers", "available": "1", "unattended": "yes",
            "policy": { "verdict": "unknown", "detail": "the fee is not known" },
        }),
    );
    let error = place.fails(&order(&silent, "--amount 1"), 1, "no-fee");
    assert_eq!(error["why"], json!(["no node answers"]));
}

/// The stored withdrawal, in the problem that its id is used.
fn reused() -> Reply {
    let body = json!({
        "type": "urn:strongroom:problem:withdrawal-reused", "title": "A title", "status": 409,
        "detail": "The stored one stands.", "field": "id", "withdrawal": withdrawal("final"),
    });
    Reply::Answer(409, "application/problem+json", body.to_string())
}

#[test]
fn asked_again_it_is_the_stored_one_and_nothing_else_is() {
    let place = founded();
    let signer = Signer::start(&place, |request| match request.path.as_str() {
        "/v1/quote" => Reply::ok(&json!({
            "fee": "1", "max_fee": "2", "available": "1", "unattended": "yes",
            "policy": { "verdict": "allowed" },
        })),
        _ => reused(),
    });
    // The expiry and the fee, which the command fills in, are others at each run.
    let known = json!({ "new": false, "withdrawal": withdrawal("final") });
    for more in [
        "--amount 0.5ether",
        "--amount 0.5ether --expires 24h",
        "--amount 0.5ether --max-fee 0.001ether",
    ] {
        assert_eq!(place.answer(&order(&signer, more)), known, "{more}");
    }
    for more in [
        "--amount 0.6ether",
        "--amount 0.5ether --max-fee 0.002ether",
        "--amount 0.5ether --expires 2026-11-21T12:00:01Z",
    ] {
        let error = place.fails(&order(&signer, more), 1, "withdrawal-reused");
        assert_eq!(error["details"]["withdrawal"]["stage"], "final", "{more}");
    }
}

#[test]
fn follows_to_the_end_and_shows_each_step() {
    let place = founded();
    let asked = AtomicUsize::new(0);
    let signer = Signer::start(&place, move |request| {
        if request.method == "POST" {
            return created(&withdrawal("approved"));
        }
        let answer = match asked.fetch_add(1, Ordering::SeqCst) {
            0 => explanation(withdrawal("approved"), json!([])),
            // What passes is asked again.
            1 => return Reply::problem("database-unavailable", 503),
            2 => explanation(withdrawal("signed"), json!([attempt("signed", None)])),
            3 => explanation(
                withdrawal("included"),
                json!([attempt("included", Some(1))]),
            ),
            4 => explanation(
                withdrawal("included"),
                json!([attempt("included", Some(2))]),
            ),
            _ => explanation(withdrawal("final"), json!([attempt("final", Some(3))])),
        };
        Reply::ok(&answer)
    });
    let output = place.run(&order(&signer, &format!("{GOOD} --wait")));
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut rest = text.as_str();
    for part in [
        "approved\n",
        "no answer",
        "signed\n",
        "transaction 0xaa\n",
        "understood  payment 500000000000000000 eip155:31337/native from eth-hot to",
        "allowed by  small-eth (entry 17)\n",
        "included\n",
        "in block 7, 1 confirmation, fee 21000\n",
        "in block 7, 2 confirmations, fee 21000\n",
        "final\n",
        "in block 7, 3 confirmations, fee 21000\n",
        "withdrawal payouts/w-1\n",
    ] {
        let (_, after) = rest
            .split_once(part)
            .unwrap_or_else(|| panic!("{part:?}: {text}"));
        rest = after;
    }
    let answer = place.answer(&order(&signer, &format!("{GOOD} --wait")));
    assert_eq!(answer["withdrawal"]["stage"], "final");
    assert_eq!(answer["attempts"][0]["place"]["confirmations"], 3);
}

#[test]
fn ends_where_a_person_must_act() {
    let place = founded();
    let signer = Signer::start(&place, |request| match request.method.as_str() {
        "POST" => created(&withdrawal("approved")),
        _ => Reply::ok(&explanation(refused(), json!([]))),
    });
    let output = place.run(&order(&signer, &format!("{GOOD} --wait")));
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("waits: signer-refused: The signer refuses."),
        "{text}"
    );
    assert!(text.contains("uncovered: no statement allows it"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn gives_up_following_and_says_that_it_goes_on() {
    let place = founded();
    let signer = Signer::start(&place, |request| match request.method.as_str() {
        "POST" => created(&withdrawal("approved")),
        _ => Reply::ok(&explanation(withdrawal("broadcast"), json!([]))),
    });
    let line = order(&signer, &format!("{GOOD} --wait --wait-secs 0"));
    let error = place.fails(&line, 4, "still-open");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("w-1 is broadcast"), "{message}");
}

#[test]
fn doubt_is_told_from_a_no() {
    let place = founded();
    for (kind, status, code) in [
        ("database-unavailable", 503, 4),
        ("internal", 500, 4),
        ("insufficient-funds", 422, 1),
        ("not-granted", 403, 1),
        ("busy", 503, 1),
    ] {
        let signer = Signer::start(&place, move |_| Reply::problem(kind, status));
        place.fails(&order(&signer, GOOD), code, kind);
    }
    let gone = Signer::start(&place, |_| Reply::Hangup);
    place.fails(&order(&gone, GOOD), 4, "no-answer");
    let line = order(&gone, GOOD);
    drop(gone);
    place.fails(&line, 3, "unreachable");
}

#[test]
fn lists_pages() {
    let place = founded();
    let page = json!({ "withdrawals": [withdrawal("final"), refused()], "next": "17" });
    let signer = Signer::answering(&place, page.clone());
    let line = format!(
        "withdrawals list {} --stage final --account ann --source payouts --limit 2 --after 9",
        signer.options()
    );
    assert_eq!(place.answer(&line), page);
    assert_eq!(
        signer.seen()[0].path,
        "/v1/withdrawals?source=payouts&stage=final&account=ann&after=9&limit=2"
    );
    let text = String::from_utf8(place.run(&line).stdout).unwrap();
    assert!(
        text.contains("payouts/w-1 final 500000000000000000 of"),
        "{text}"
    );
    assert!(text.contains("(waits: signer-refused)"), "{text}");
    assert!(text.contains("more with --after 17"), "{text}");
    let wrong = format!("withdrawals list {} --stage paid", signer.options());
    place.fails(&wrong, 2, "usage");
}

#[test]
fn shows_and_explains() {
    let place = founded();
    let signer = Signer::start(&place, |request| match request.path.as_str() {
        "/v1/withdrawals/w-1" => Reply::ok(&withdrawal("final")),
        "/v1/withdrawals/w-1/explain?source=payouts" => {
            let mut first = explanation(withdrawal("final"), json!([attempt("final", Some(3))]));
            first["next"] = json!(1);
            Reply::ok(&first)
        }
        "/v1/withdrawals/w-1/explain?source=payouts&after=1" => {
            let mut second = explanation(withdrawal("final"), json!([]));
            second["events"][0]["event"] = json!(2);
            Reply::ok(&second)
        }
        _ => Reply::problem("not-found", 404),
    });
    let options = signer.options();
    let shown = place.answer(&format!("withdrawals show w-1 {options}"));
    assert_eq!(shown, withdrawal("final"));
    let line = format!("withdrawals explain w-1 --source payouts {options}");
    let explained = place.answer(&line);
    assert_eq!(explained["withdrawal"]["stage"], "final");
    let events: Vec<_> = explained["events"].as_array().unwrap().iter().collect();
    assert_eq!((events.len(), &events[1]["event"]), (2, &json!(2)));
    assert!(explained.get("next").is_none());
    let text = String::from_utf8(place.run(&line).stdout).unwrap();
    for part in [
        "payout 0 of eip155",
        "withdrawal.held",
        "allowed by  small-eth",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    place.fails(&format!("withdrawals show w-2 {options}"), 1, "not-found");
    place.fails(&format!("withdrawals show a/b {options}"), 2, "usage");
}

#[test]
fn decides() {
    let place = founded();
    let signer = Signer::start(&place, |request| {
        let verb = request.path.split('/').next_back().unwrap();
        match verb.split('?').next().unwrap() {
            "cancel" => Reply::ok(&withdrawal("released")),
            "approve" => Reply::ok(&withdrawal("approved")),
            _ => {
                let body = json!({
                    "type": "urn:strongroom:problem:not-now", "title": "A title", "status": 409,
                    "detail": "It is final.", "withdrawal": withdrawal("final"),
                });
                Reply::Answer(409, "application/problem+json", body.to_string())
            }
        }
    });
    let options = signer.options();
    let cancelled = place.answer(&format!("withdrawals cancel w-1 {options}"));
    assert_eq!(cancelled["stage"], "released");
    place.answer(&format!(
        "withdrawals approve w-1 --source payouts {options}"
    ));
    let error = place.fails(&format!("withdrawals reject w-1 {options}"), 1, "not-now");
    assert_eq!(error["why"], json!(["It is final."]));
    let paths: Vec<_> = signer
        .seen()
        .into_iter()
        .map(|seen| (seen.method, seen.path))
        .collect();
    let post = |path: &str| ("POST".to_owned(), format!("/v1/withdrawals/w-1/{path}"));
    assert_eq!(
        paths,
        [
            post("cancel"),
            post("approve?source=payouts"),
            post("reject")
        ]
    );
}

#[test]
fn says_what_came_of_what_a_token_did_not_log() {
    let place = founded();
    let signer = Signer::start(&place, |_| Reply::ok(&withdrawal("approved")));
    let line = format!(
        "withdrawals settle w-1 --source payouts --transaction 0xab --outcome pay-anew --why ticket-7 {}",
        signer.options()
    );
    assert_eq!(place.answer(&line)["stage"], "approved");
    let seen = &signer.seen()[0];
    assert_eq!(seen.path, "/v1/withdrawals/w-1/settle?source=payouts");
    let asked = json!({ "txid": "0xab", "outcome": "pay-anew", "why": "ticket-7" });
    assert_eq!(seen.body, asked);
    let other = place.run(&line.replace("pay-anew", "lost"));
    assert_eq!(other.status.code(), Some(2));
}

#[test]
fn books_deposits() {
    let place = founded();
    let booked = json!({
        "id": "c-1", "account": "ann", "asset": "litecoin:regtest/native", "amount": "10000000",
    });
    let body = booked.to_string();
    let signer = Signer::start(&place, move |_| Reply::Answer(201, JSON, body.clone()));
    let line = format!(
        "credit {} --id c-1 --account ann --asset litecoin:regtest/native --amount 0.1ltc --memo by-hand",
        signer.options()
    );
    let answer = place.answer(&line);
    assert_eq!(
        (&answer["new"], &answer["amount"]),
        (&json!(true), &json!("10000000"))
    );
    let mut asked = booked;
    asked["memo"] = json!("by-hand");
    assert_eq!(signer.seen()[0].body, asked);
    let text = String::from_utf8(place.run(&line).stdout).unwrap();
    assert_eq!(
        text,
        "booked c-1: 10000000 of litecoin:regtest/native to ann\n"
    );
    place.fails(&line.replace("0.1ltc", "0.1ether"), 2, "amount");
}

fn status(gate: &str, reachable: bool) -> Value {
    json!({
        "version": "0.1.0", "time": "2026-11-20T12:00:00Z",
        "lanes": [{ "lane": LANE, "account": "eth-hot", "epoch": 1, "lease": 2, "gate": gate,
                    "next_nonce": 7, "next_attempt": 4, "compared_to": 17 }],
        "stages": [{ "stage": "failed-on-chain", "count": 2 }],
        "signer": { "reachable": reachable },
        "chains": [{ "chain": "eip155:31337", "height": 100, "finalized": 90 }],
    })
}

#[test]
fn status_shows_a_coordinator() {
    let place = founded();
    let answering = |status: Value| {
        Signer::start(&place, move |request| match request.path.as_str() {
            "/v1/status" => Reply::ok(&status),
            _ => Reply::problem("not-found", 404),
        })
    };
    let well = answering(status("open", true));
    let line = format!("status {}", well.options());
    assert_eq!(place.answer(&line), status("open", true));
    let text = String::from_utf8(place.run(&line).stdout).unwrap();
    for part in [
        "walletd 0.1.0\n",
        "signer  reachable\n",
        "chain eip155:31337 height 100 finalized 90\n",
        "of eth-hot is open\n",
        "epoch 1, lease 2, next nonce 7, next attempt 4, compared to entry 17\n",
        "stage failed-on-chain 2\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for sick in [status("halted", true), status("open", false)] {
        let sick = answering(sick);
        let output = place.run(&format!("status {}", sick.options()));
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn a_profile_of_its_own_is_found() {
    let place = founded();
    let signer = Signer::answering(&place, withdrawal("final"));
    place.write(
        ".config/strongroom/wallet.toml",
        &format!(
            "connect = \"{}\"\nca = \"../../pki/ca.pem\"\ncertificate = \"../../client/operator.pem\"\n\
             key = \"../../client/operator.key\"\n",
            signer.address
        ),
    );
    assert_eq!(place.answer("withdrawals show w-1"), withdrawal("final"));
    place.fails("status", 2, "client-settings");
}

/// A lane, as its coordinator reports it.
fn lane(gate: &str, detail: Option<&str>) -> Value {
    let mut lane = json!({
        "lane": LANE, "account": "eth-hot", "epoch": 1, "lease": 3, "gate": gate,
        "next_nonce": 7, "next_attempt": 4, "compared_to": 17,
    });
    if let Some(detail) = detail {
        lane["detail"] = json!(detail);
    }
    lane
}

#[test]
fn a_halted_lane_is_seen_and_opened() {
    let place = founded();
    let mut status = status("halted", true);
    status["lanes"][0]["detail"] = json!("nonce 7 was used by another");
    let opened = lane("closed", Some("it was not compared since"));
    let (told, answer) = (status.clone(), opened.clone());
    let signer = Signer::start(&place, move |request| {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/v1/status") => Reply::ok(&told),
            ("POST", path) => {
                assert_eq!(path, format!("/v1/lanes/{}/open", LANE.replace(':', "%3A")));
                assert_eq!(request.body, Value::Null);
                Reply::ok(&answer)
            }
            _ => Reply::problem("not-found", 404),
        }
    });
    let list = format!("lanes list {}", signer.options());
    assert_eq!(place.answer(&list), json!({ "lanes": status["lanes"] }));
    let text = String::from_utf8(place.run(&list).stdout).unwrap();
    assert!(
        text.contains("of eth-hot is HALTED: nonce 7 was used by another\n"),
        "{text}"
    );
    let open = format!("lanes open {LANE} {}", signer.options());
    assert_eq!(place.answer(&open), opened);
    let text = String::from_utf8(place.run(&open).stdout).unwrap();
    assert!(
        text.contains("is closed: it was not compared since\n"),
        "{text}"
    );
    let again = Signer::answering(&place, lane("halted", Some("nonce 7")));
    let output = place.run(&format!("lanes open {LANE} {}", again.options()));
    assert_eq!(output.status.code(), Some(1));
}
