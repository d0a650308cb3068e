//! Attesters say what assets are worth, on the real daemon.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command, time::Duration};

use api::{
    problem::ProblemKind,
    signing::{Statement, StatementAnswer},
};
use policy::{
    Entry,
    statement::{self, Attestation, Seen},
};
use serde_json::Value;
use ssh_key::{LineEnding, PrivateKey, private::Ed25519Keypair};
use strongroom_softhsm_tests::{
    bundle::{Bundle, FLEET},
    evm::{Draft, ETHER},
    program::{binary, until_within},
    records,
    world::{Client, World, problem},
};
use tx::Time;

use crate::support::{CUSTOMER, eth, sender, transfer};

fn key(number: u8) -> PrivateKey {
    Ed25519Keypair::from_seed(&[20 + number; 32]).into()
}

/// Two of the attesters w1, w2 and w3; no more than 10,000 usd of ether in an hour.
pub fn edit(bundle: &mut Bundle, max_age: &str) {
    let mut text = String::new();
    for number in 1..=3 {
        let line = key(number).public_key().to_openssh().unwrap();
        text.push_str(&format!(
            "[[attester]]\nname = \"w{number}\"\nkeys = {line:?}\nsays = \"price\"\n"
        ));
    }
    text.push_str(&format!(
        "[attested]\ncurrency = \"usd\"\n[[price]]\nasset = \"eth\"\nfloor = \"1000 usd\"\n\
         haircut = \"10%\"\nmax_age = \"{max_age}\"\n[[limit]]\nname = \"eth-value\"\n\
         effect = \"payment\"\nasset = \"eth\"\nmeasure = \"reference\"\nwindow = \"1h\"\n\
         cap = \"10000 usd\"\n"
    ));
    bundle.set("prices.toml", &text);
}

fn now() -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Time::from_millis(u64::try_from(since.unwrap().as_millis()).unwrap())
}

fn attestation(who: u8, at: Time, price: &str) -> Attestation {
    Attestation {
        fleet: FLEET.parse().unwrap(),
        number: at.millis(),
        attester: format!("w{who}").parse().unwrap(),
        at,
        seen: Seen::Price {
            asset: eth(),
            currency: "usd".parse().unwrap(),
            price: price.parse().unwrap(),
        },
    }
}

fn signed(attestation: &Attestation, number: u8) -> Statement {
    let namespace = attestation.header().namespace();
    let text = attestation.to_string();
    Statement {
        signatures: vec![statement::sign(&text, &namespace, &key(number)).unwrap()],
        statement: text,
    }
}

/// The status, and what the signer says against it.
fn bring(client: &mut Client, statement: &Statement) -> (u16, String) {
    let body = serde_json::to_vec(statement).unwrap();
    let answer = client.post("/v1/statements", &body);
    if answer.status == 200 {
        let taken: StatementAnswer = answer.json();
        if let Some(receipt) = taken.receipt {
            receipt.verify_statement(statement).unwrap();
        }
        return (200, String::new());
    }
    let problem = problem(&answer);
    assert_eq!(problem.kind, ProblemKind::StatementRefused);
    (answer.status, problem.detail)
}

pub fn say(client: &mut Client, who: u8, price: &str) {
    let said = bring(client, &signed(&attestation(who, now(), price), who));
    assert_eq!(said, (200, String::new()));
}

/// The codes and details of what speaks against a payment; nothing where it is signed.
fn against(client: &mut Client, id: &str, from: &str, nonce: u64, ether: u128) -> Vec<String> {
    let draft = Draft::transfer(nonce, CUSTOMER, ether * ETHER);
    let answer = client.send(&transfer(id, from, &draft));
    if answer.status == 200 {
        return Vec::new();
    }
    let reasons = problem(&answer).reasons;
    let told = reasons
        .iter()
        .map(|one| format!("{}: {}", one.code, one.detail));
    told.collect()
}

fn used(client: &mut Client) -> String {
    let limits = client.keys().limits;
    let room = limits.iter().find(|room| room.limit == "eth-value");
    room.map_or("0".into(), |room| room.used.to_string())
}

#[test]
fn a_limit_on_values_bites_by_what_attesters_say_and_a_restart_keeps_it() {
    let world = World::with(|bundle| edit(bundle, "1h"));
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let told = against(&mut client, "none", &from, 0, 1);
    assert!(
        told.len() == 1 && told[0].starts_with("price: limit eth-value"),
        "{told:?}"
    );
    // Any client brings it; who only sees keys does, too.
    world.pki.client("auditor");
    let mut auditor = world.client("auditor");
    say(&mut auditor, 1, "2000");
    let told = against(&mut client, "one", &from, 0, 1);
    assert!(told[0].contains("prices of 1 of the 2"), "{told:?}");
    say(&mut client, 2, "2500.5");
    // 2500.5 usd and a tenth.
    assert_eq!(against(&mut client, "two", &from, 0, 2), [""; 0]);
    assert_eq!(used(&mut client), "550110000000");
    let told = against(&mut client, "three", &from, 1, 2);
    let expected = "has a cap of 10000 usd, 5501.1 usd used, 5501.1 usd asked";
    assert!(
        told.len() == 1 && told[0].starts_with("limit: "),
        "{told:?}"
    );
    assert!(told[0].contains(expected), "{told:?}");
    daemon.stop();

    let daemon = world.start();
    let mut client = world.walletd();
    assert_eq!(used(&mut client), "550110000000");
    // What was said still is; what was charged does not become less by it.
    say(&mut client, 1, "1");
    say(&mut client, 3, "1");
    assert_eq!(used(&mut client), "550110000000");
    // The middle one is 1 now: the floor counts.
    assert_eq!(against(&mut client, "four", &from, 1, 4), [""; 0]);
    assert_eq!(used(&mut client), "950110000000");
    daemon.stop();
    let entries = records::read(&world.data());
    let said = entries
        .iter()
        .filter(|record| matches!(record.entry, Entry::Attested(_)));
    assert_eq!(said.count(), 4);
}

#[test]
fn what_is_not_an_attesters_newest_statement_counts_for_nothing_and_is_not_journalled() {
    let world = World::with(|bundle| edit(bundle, "1h"));
    let daemon = world.start();
    let mut client = world.walletd();
    let at = now();
    let first = signed(&attestation(1, at, "2000"), 1);
    let body = serde_json::to_vec(&first).unwrap();
    let mut brought = || -> StatementAnswer { client.post("/v1/statements", &body).json() };
    brought().receipt.unwrap().verify_statement(&first).unwrap();
    // The very same again changes nothing.
    assert_eq!(brought().receipt, None);
    let mut refused = |statement: &Statement, why: &str| {
        let (status, detail) = bring(&mut client, statement);
        assert_eq!(status, 422, "{why}");
        assert!(detail.contains(why), "{why}: {detail}");
    };
    let other = signed(&attestation(1, at, "2001"), 1);
    refused(&other, "is not above");
    refused(
        &signed(&attestation(1, at.before_millis(1), "2000"), 1),
        "is not above",
    );
    refused(
        &signed(&attestation(2, at, "2000"), 3),
        "no key of attester w2",
    );
    refused(
        &signed(&attestation(4, at, "2000"), 1),
        "names no attester w4",
    );
    let old = at.before_millis(2 * 3_600_000);
    refused(&signed(&attestation(2, old, "2000"), 2), "expired");
    let future = at.after_millis(3_600_000);
    refused(&signed(&attestation(2, future, "2000"), 2), "has not come");
    let mut changed = signed(&attestation(2, at, "2000"), 2);
    changed.statement = changed.statement.replace("price 2000", "price 3000");
    refused(&changed, "no key of attester w2");
    let mut spelt = signed(&attestation(2, at, "2000"), 2);
    spelt.statement = spelt.statement.replace("price 2000", "price 2000.0");
    refused(&spelt, "line 8");
    daemon.stop();
    let entries = records::read(&world.data());
    let said = entries
        .iter()
        .filter(|record| matches!(record.entry, Entry::Attested(_)));
    assert_eq!(said.count(), 1);
}

#[test]
fn a_price_that_is_too_old_refuses_until_there_is_another() {
    let world = World::with(|bundle| edit(bundle, "1m"));
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    // Seen most of a minute ago: it holds for a few seconds more.
    let at = now().before_millis(45_000);
    for who in [1, 2] {
        let said = bring(&mut client, &signed(&attestation(who, at, "1500"), who));
        assert_eq!(said.0, 200, "{}", said.1);
    }
    assert_eq!(against(&mut client, "fresh", &from, 0, 1), [""; 0]);
    let (age, patience) = (60_000, Duration::from_secs(60));
    until_within(patience, "the price is too old", || {
        (now() > at.after_millis(age)).then_some(())
    });
    let told = against(&mut client, "stale", &from, 1, 1);
    assert!(
        told.len() == 1 && told[0].starts_with("price: "),
        "{told:?}"
    );
    assert!(told[0].contains("prices of 0 of the 2"), "{told:?}");
    say(&mut client, 1, "1500");
    say(&mut client, 3, "1500");
    assert_eq!(against(&mut client, "again", &from, 1, 1), [""; 0]);
    daemon.stop();
}

#[test]
fn an_attester_says_it_on_the_command_line_and_the_audit_shows_it() {
    let world = World::with(|bundle| edit(bundle, "1h"));
    let daemon = world.start();
    let file = world.folder().join("attester");
    let text = key(1).to_openssh(LineEnding::LF).unwrap();
    fs::write(&file, text.as_bytes()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let attest = |asset: &str, price: &str, attester: &str, more: &[&str]| {
        let mut command = Command::new(binary("strongroom"));
        command.args([
            "--json",
            "attest",
            "price",
            asset,
            price,
            "--attester",
            attester,
        ]);
        command.arg("--policy").arg(world.policy());
        command.arg("--connect").arg(world.api().to_string());
        let (certificate, secret) = world.pki.files("walletd");
        command
            .arg("--certificate")
            .arg(certificate)
            .arg("--key")
            .arg(secret);
        command.arg("--ca").arg(world.pki.authority()).args(more);
        command.output().unwrap()
    };
    let key_file = file.to_str().unwrap();
    let printed = attest("eth", "2000 usd", "w1", &[]);
    let printed: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(printed["namespace"], "strongroom-price-v1");
    let said = attest("eth", "2000 usd", "w1", &["--signing-key", key_file]);
    assert!(said.status.success(), "{said:?}");
    for (asset, price, attester) in [
        ("eth", "2000 usd", "w2"),
        ("eth", "2000 eur", "w1"),
        ("ltc", "2000 usd", "w1"),
        ("eth", "2000 usd", "w9"),
    ] {
        let said = attest(asset, price, attester, &["--signing-key", key_file]);
        assert!(!said.status.success(), "{said:?}");
    }
    daemon.stop();
    let entries = records::read(&world.data());
    let said: Vec<_> = entries
        .iter()
        .filter_map(|record| match &record.entry {
            Entry::Attested(said) => Some(Attestation::parse(&said.statement).unwrap()),
            _ => None,
        })
        .collect();
    assert_eq!(said.len(), 1);
    let Seen::Price { asset, price, .. } = &said[0].seen else {
        panic!("{said:?}")
    };
    assert_eq!((asset, price.to_string().as_str()), (&eth(), "2000"));
}
