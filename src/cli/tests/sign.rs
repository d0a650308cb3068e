//! `sign`: what goes out, what comes back, and what an exit code means.

use std::collections::{BTreeMap, BTreeSet};

use api::signing::SignRequest;
use policy::{
    Attempt, Blob, BundleHash, Classes, Digest, Entry, Fact, KeyAlgorithm, NumberedDigest, Record,
    RequestHash, SignedBy,
};
use serde_json::{Value, json};
use tx::{
    AccountClass, Asset, Destination, Effect, EffectKind, FeeTerms, Interval, Time, ValidUntil,
};

use crate::program::Place;
use crate::signer::{JSON, PROBLEM, Reply, Seen, Signer, founded};

/// The example of EIP-155.
const UNSIGNED: &str =
    "0xec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080";
const SIGNED: &str = "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";
const SENDER: &str = "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F";
const TXID: &str = "0x33469b22e9f636356c4160a87eb19df52b7412e8eac32a4a55ffe88ea8350788";
/// What every request here has.
const REQUEST: &str = "--transaction tx.json --request-id payout-7 --lane-epoch 2";
const INTENT: &str = "--source payouts --id p-7 --expires 2030-01-01T00:00:00Z";

fn place() -> Place {
    let place = founded();
    let transaction =
        json!({ "format": "eip2718", "chain": "eip155:1", "from": SENDER, "payload": UNSIGNED });
    place.write(
        "tx.json",
        &json!({ "transaction": transaction }).to_string(),
    );
    place
}

/// The answer of a signer that signs the example, to the request that came.
fn signed(seen: &Seen) -> Value {
    signed_as(seen, SIGNED, TXID)
}

/// The answer of a signer with this signed transaction.
pub fn signed_as(seen: &Seen, raw: &str, txid: &str) -> Value {
    let request: SignRequest = serde_json::from_value(seen.body.clone()).unwrap();
    let now = Time::from_millis(1_790_000_000_000);
    let attempt = Entry::Attempt(Box::new(attempt(&request)));
    let record = Record {
        v: 1,
        time: Interval { lo: now, hi: now },
        entry: attempt,
    };
    json!({
        "request_id": request.request_id,
        "attempt": 41,
        "transaction": { "raw": raw, "txid": txid },
        "receipt": {
            "version": 1, "log": "ab".repeat(32), "entry": 41, "salt": "5a".repeat(32),
            "body": serde_json::to_string(&record).unwrap(),
        },
    })
}

fn attempt(request: &SignRequest) -> Attempt {
    let chain = request.transaction.chain();
    // The same facts for every transaction: nobody compares them.
    let evm = "eip155:1".parse().unwrap();
    let to = tx::Address::parse(evm, "0x3535353535353535353535353535353535353535").unwrap();
    let effect = Effect {
        kind: EffectKind::Payment,
        account: "eth-hot".parse().unwrap(),
        asset: Asset::native(evm),
        amount: "1000000000000000000".parse().unwrap(),
        to: Some(Destination {
            address: to,
            own: None,
        }),
        tag: None,
        call: None,
    };
    let classes = Classes {
        account: AccountClass::Hot,
        books: BTreeSet::new(),
        books_cooling: BTreeSet::new(),
        arguments: BTreeMap::new(),
        first_paid: None,
        hours: BTreeSet::new(),
        hours_surely: BTreeSet::new(),
    };
    Attempt {
        client: "operator".parse().unwrap(),
        request: request.request_id.parse().unwrap(),
        request_hash: RequestHash(request.fingerprint().unwrap()),
        lane: SENDER.into(),
        lane_epoch: request.lane_epoch,
        transaction: Blob::of(&serde_json::to_string(&request.transaction).unwrap()),
        chain,
        account: "eth-hot".parse().unwrap(),
        keys: BTreeSet::new(),
        set: None,
        resumes: None,
        intents: Vec::new(),
        replaces: Vec::new(),
        proofs: Vec::new(),
        facts: vec![Fact {
            effect,
            client: "operator".parse().unwrap(),
            source: None,
            intent: None,
            signed_by: SignedBy::default(),
            classes,
            reference: None,
            dead: BTreeSet::new(),
        }],
        fee_terms: FeeTerms::Utxo { fee: 0, vsize: 0 },
        valid_until: ValidUntil::Unbounded,
        allowed_by: BTreeSet::from(["eth-pay-customers".parse().unwrap()]),
        met: BTreeMap::new(),
        carried: BTreeSet::new(),
        policy: BundleHash([7; 32]),
        calls: vec![NumberedDigest {
            call: 1,
            key: "eth-hot-1".parse().unwrap(),
            algorithm: KeyAlgorithm::Secp256k1,
            digest: Digest([9; 32]),
        }],
    }
}

/// Keys that name no other address, and signatures for all requests.
fn honest(place: &Place) -> Signer {
    Signer::start(place, |seen| {
        Reply::ok(&if seen.method == "GET" {
            keys()
        } else {
            signed(seen)
        })
    })
}

pub fn keys() -> Value {
    json!({
        "keys": [], "limits": [], "epoch": 3, "policy": "07".repeat(32),
        "time": { "lo": "2026-01-01T00:00:00Z", "hi": "2026-01-01T00:00:00Z" },
    })
}

#[test]
fn a_signature_comes_with_its_receipt_and_can_be_broadcast() {
    let place = place();
    let signer = honest(&place);
    let line = format!(
        "sign {} {REQUEST} {INTENT} --replaces 12 --out signed.json",
        signer.options()
    );
    let answer = place.answer(&line);
    assert_eq!(answer["transaction"]["txid"], TXID);
    assert_eq!(answer["attempt"], 41);
    assert_eq!(
        answer["decision"]["allowed_by"],
        json!(["eth-pay-customers"])
    );
    assert_eq!(answer["decision"]["leaf"].as_str().unwrap().len(), 66);
    // What was sent: the payment's intent, with this transaction's fee as the highest.
    let seen = signer.seen();
    let sent = &seen
        .iter()
        .find(|seen| seen.path == "/v1/sign")
        .unwrap()
        .body;
    assert_eq!(sent["lane_epoch"], 2);
    assert_eq!(sent["replaces"], json!([12]));
    let intent = json!({
        "source": "payouts", "id": "p-7", "epoch": 3, "asset": "eip155:1/native", "amount": "1000000000000000000",
        "destination": "0x3535353535353535353535353535353535353535", "max_fee": "420000000000000",
        "expires": "2030-01-01T00:00:00Z",
    });
    assert_eq!(sent["intents"], json!([{ "intent": intent }]));
    // What was written is a transaction for `tx`.
    assert_eq!(place.answer("tx show signed.json")["txid"], TXID);

    // Asking again into the same file is refused before anything is sent.
    let before = signer.seen().len();
    place.fails(&line, 2, "file-exists");
    assert_eq!(signer.seen().len(), before);
}

#[test]
fn the_text_says_what_was_decided() {
    let place = place();
    let signer = honest(&place);
    let output = place.run(&format!("sign {} {REQUEST}", signer.options()));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with(&format!("signed {TXID}\n")), "{text}");
    for part in [
        "attempt     41",
        "allowed by  eth-pay-customers",
        "payment 1000000000000000000",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.trim_end().ends_with(SIGNED), "{text}");
}

#[test]
fn intents_come_from_files_in_three_forms() {
    let place = place();
    let signer = honest(&place);
    let intent = |id: &str| {
        json!({
            "source": "payouts", "id": id, "epoch": 3, "asset": "eip155:1/native", "amount": "1",
            "destination": "0x3535353535353535353535353535353535353535", "max_fee": "1",
            "expires": "2030-01-01T00:00:00Z",
        })
    };
    place.write("a.json", &intent("a").to_string());
    place.write(
        "b.json",
        &json!({ "intent": intent("b"), "signatures": ["armour"] }).to_string(),
    );
    place.write(
        "c.json",
        &json!([intent("c"), { "intent": intent("d") }]).to_string(),
    );
    let files = "--intent a.json --intent b.json --intent c.json";
    place.answer(&format!("sign {} {REQUEST} {files}", signer.options()));
    let sent = &signer.seen()[0].body["intents"];
    let ids: Vec<_> = (0..4)
        .map(|i| sent[i]["intent"]["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["a", "b", "c", "d"]);
    assert_eq!(sent[1]["signatures"], json!(["armour"]));

    let mut wrong = intent("e");
    wrong["amount"] = json!(1);
    place.write("e.json", &wrong.to_string());
    let error = place.fails(
        &format!("sign {} {REQUEST} --intent e.json", signer.options()),
        2,
        "sign-intent",
    );
    assert!(
        error["why"][0].as_str().unwrap().contains("decimal number"),
        "{error}"
    );
}

#[test]
fn each_payment_needs_its_id() {
    let place = place();
    let signer = honest(&place);
    let line = format!("sign {} {REQUEST} {INTENT} --id p-8", signer.options());
    let error = place.fails(&line, 2, "sign-intent");
    assert!(
        error["why"][0]
            .as_str()
            .unwrap()
            .contains("1000000000000000000 eip155:1/native to")
    );
    assert!(signer.seen().iter().all(|seen| seen.method == "GET"));
    // A payment to an address of our own is none.
    let own = Signer::start(&place, |seen| {
        let mut keys = keys();
        keys["keys"] = json!([{
            "name": "eth-hot-2", "account": "eth-hot", "class": "hot", "public_key": "", "assurance": "",
            "addresses": [{
                "chain": "eip155:1", "address": "0x3535353535353535353535353535353535353535",
                "lane_epoch": 0,
            }],
        }]);
        Reply::ok(&if seen.method == "GET" {
            keys
        } else {
            signed(seen)
        })
    });
    place.fails(
        &format!("sign {} {REQUEST} {INTENT}", own.options()),
        2,
        "sign-intent",
    );
    // A client that may not ask for keys knows of none.
    let denied = Signer::start(&place, |seen| match seen.method.as_str() {
        "GET" => Reply::problem("not-granted", 403),
        _ => Reply::ok(&signed(seen)),
    });
    let line = format!("sign {} {REQUEST} {INTENT}", denied.options());
    place.fails(&line, 2, "sign-intent");
    assert!(denied.seen().iter().all(|seen| seen.method == "GET"));
    // It says itself which epoch it is.
    place.answer(&format!("{line} --epoch 4"));
    let seen = denied.seen();
    let sent = seen.iter().find(|seen| seen.path == "/v1/sign").unwrap();
    assert_eq!(sent.body["intents"][0]["intent"]["epoch"], 4);
}

#[test]
fn a_refusal_gives_every_reason_with_its_place_and_remedy() {
    let place = place();
    let problem = json!({
        "type": "urn:strongroom:problem:refused", "title": "The request is refused", "status": 422,
        "detail": "first",
        "reasons": [
            { "code": "limit", "statement": "eth-day", "at": "limits.toml:12", "detail": "no room",
              "remedy": "wait" },
            { "code": "uncovered", "detail": "no \u{1b}[2Jallow", "remedy": "add one" },
        ],
    });
    let body = problem.to_string();
    let signer = Signer::start(&place, move |_| Reply::Answer(422, PROBLEM, body.clone()));
    let line = format!("sign {} {REQUEST}", signer.options());
    let error = place.fails(&line, 1, "refused");
    assert_eq!(
        error["why"],
        json!([
            "limit: no room (eth-day, limits.toml:12); would be permitted by: wait",
            "uncovered: no \\u{1b}[2Jallow; would be permitted by: add one",
        ])
    );
    assert_eq!(error["details"], problem);
    let text = String::from_utf8(place.run(&line).stderr).unwrap();
    assert!(
        text.contains("because: limit: no room (eth-day, limits.toml:12)"),
        "{text}"
    );
}

#[test]
fn waiting_for_people_is_its_own_answer() {
    let place = place();
    let needs = json!([{ "statement": "large-eth", "at": "statements.toml:77", "threshold": 1,
                         "people": ["alice", "bob"] }]);
    let body = json!({ "request_id": "payout-7", "needs": needs }).to_string();
    let signer = Signer::start(&place, move |_| Reply::Answer(202, JSON, body.clone()));
    let error = place.fails(
        &format!("sign {} {REQUEST}", signer.options()),
        1,
        "pending",
    );
    assert_eq!(
        error["why"],
        json!(["1 of alice, bob must approve (large-eth, statements.toml:77)"])
    );
    assert_eq!(error["details"]["needs"], needs);
}

#[test]
fn exit_codes_tell_no_from_doubt() {
    let place = place();
    let fails = |reply: fn() -> Reply, code, kind| {
        let signer = Signer::start(&place, move |_| reply());
        let line = format!("sign {} {REQUEST} --timeout-secs 5", signer.options());
        place.fails(&line, code, kind)
    };
    fails(|| Reply::problem("no-device", 503), 1, "no-device");
    fails(
        || Reply::problem("request-reused", 409),
        1,
        "request-reused",
    );
    fails(|| Reply::problem("in-progress", 409), 4, "in-progress");
    fails(
        || Reply::problem("outcome-unknown", 503),
        4,
        "outcome-unknown",
    );
    fails(|| Reply::problem("internal", 500), 4, "internal");
    fails(|| Reply::Hangup, 4, "no-answer");
    fails(
        || Reply::Answer(502, "text/html", "<p>".into()),
        4,
        "malformed-answer",
    );
    let error = fails(|| Reply::Silence, 4, "no-answer");
    assert!(
        error["next"].as_str().unwrap().contains("same request id"),
        "{error}"
    );

    let signer = honest(&place);
    let gone = format!("sign {} {REQUEST}", signer.options());
    drop(signer);
    place.fails(&gone, 3, "unreachable");
}

#[test]
fn a_signer_that_lies_is_not_believed() {
    let place = place();
    let lies = |change: fn(&mut Value)| {
        let signer = Signer::start(&place, move |seen| {
            let mut answer = signed(seen);
            change(&mut answer);
            Reply::ok(&answer)
        });
        place.fails(
            &format!("sign {} {REQUEST} --out never", signer.options()),
            1,
            "sign-answer",
        )
    };
    lies(|answer| answer["transaction"]["txid"] = json!(TXID.replace("0x33", "0x34")));
    lies(|answer| answer["transaction"]["raw"] = json!(SIGNED.replace("0de0b6", "0de0b7")));
    lies(|answer| answer["transaction"]["raw"] = json!(UNSIGNED));
    // Another signature is of somebody else.
    lies(|answer| answer["transaction"]["raw"] = json!(SIGNED.replace("28ef61340b", "28ef61340c")));
    lies(|answer| answer["attempt"] = json!(42));
    lies(|answer| answer["receipt"]["version"] = json!(2));
    lies(|answer| {
        let body = answer["receipt"]["body"].as_str().unwrap();
        answer["receipt"]["body"] = json!(body.replace("payout-7", "payout-8"));
    });
    assert!(!place.path("never").exists());
}

#[test]
fn evaluating_asks_and_signs_nothing() {
    let place = place();
    let answer = json!({
        "effects": [{
            "effect": { "kind": "fee", "account": "eth-hot", "asset": "eip155:1/native", "amount": "5",
                        "to": null, "tag": null },
            "allowed_by": ["eth-fees (statements.toml:50)"],
        }],
        "limits": [{ "limit": "eth-fees-day", "cap": "9", "used": "5", "left": "4", "window_secs": 86400 }],
    });
    let signer = Signer::answering(&place, answer.clone());
    let line = format!("sign {} {REQUEST} --evaluate", signer.options());
    assert_eq!(place.answer(&line), answer);
    let text = String::from_utf8(place.run(&line).stdout).unwrap();
    assert!(
        text.contains("fee 5 eip155:1/native from eth-hot"),
        "{text}"
    );
    assert!(
        text.contains("allowed by  eth-fees (statements.toml:50)"),
        "{text}"
    );
    assert!(text.contains("4 of 9 in eth-fees-day"), "{text}");
    assert!(signer.seen().iter().all(|seen| seen.path == "/v1/evaluate"));
}

#[test]
fn a_profile_spares_the_options() {
    let place = place();
    let signer = honest(&place);
    let profile = format!(
        "connect = \"{}\"\nca = \"pki/ca.pem\"\ncertificate = \"client/operator.pem\"\n\
         key = \"client/operator.key\"\n",
        signer.address
    );
    place.write("profile.toml", &profile);
    place.answer(&format!("sign --profile profile.toml {REQUEST}"));
    place.fails(&format!("sign {REQUEST}"), 2, "client-settings");
    let usual = profile
        .replace("pki/", "../../pki/")
        .replace("client/", "../../client/");
    place.write(".config/strongroom/client.toml", &usual);
    place.answer(&format!("sign {REQUEST}"));
    place.write("profile.toml", "conect = \"x\"\n");
    let error = place.fails(
        &format!("sign --profile profile.toml {REQUEST}"),
        2,
        "client-profile",
    );
    assert!(
        error["why"][0].as_str().unwrap().contains("conect"),
        "{error}"
    );
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let place = place();
    let signer = honest(&place);
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(place.path("client/operator.key"), open).unwrap();
    place.fails(
        &format!("sign {} {REQUEST}", signer.options()),
        2,
        "file-exposed",
    );
    assert!(signer.seen().is_empty());
}
