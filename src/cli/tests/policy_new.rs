//! `strongroom policy new`: every template on every kind of chain is a bundle that is right as it is written,
//! decides as its cases say, and can be signed.

use std::fs;
use std::process::Command;

use crate::program::Place;

const EVM: &str = "eip155:1";
const EVM_OWN: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const COIN: &str = "litecoin:regtest";
const COIN_OWN: &str = "rltc1qqqqsyqcyq5rqwzqfpg9scrgwpugpzysnrwhxws";
const BTC: &str = "bitcoin:mainnet";
const BTC_OWN: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";

/// A place with the keys of three officers.
fn place() -> Place {
    let place = Place::new();
    for name in ["ann", "ben", "cem"] {
        let mut command = Command::new("ssh-keygen");
        let command = command.current_dir(place.folder());
        command.args(["-q", "-t", "ed25519", "-N", "", "-f", name]);
        assert!(command.output().unwrap().status.success());
    }
    let root = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    place.write("root.pem", root);
    place
}

const OFFICERS: &str =
    "--root root.pem --officer ann=ann.pub --officer ben=ben.pub --officer cem=cem.pub";

/// Each template with the flags that it needs beside chain and officers.
fn templates(own: &str) -> [(&'static str, String); 4] {
    [
        ("exchange-hot-wallet", format!("--cold {own}")),
        ("payouts-only", format!("--payee {own}")),
        ("sweep-only", format!("--cold {own}")),
        ("cold", String::new()),
    ]
}

#[test]
fn every_template_is_right_and_decides_as_its_cases_say() {
    for (chain, own) in [(EVM, EVM_OWN), (COIN, COIN_OWN), (BTC, BTC_OWN)] {
        let place = place();
        for (template, flags) in templates(own) {
            let new = format!(
                "policy new {template} --template {template} --chain {chain} {OFFICERS} {flags}"
            );
            let written = place.answer(&new);
            assert_eq!(written["cases"], format!("{template}.test.toml"));
            let text = fs::read_to_string(place.path(&format!("{template}/statements.toml")));
            assert!(!text.unwrap().contains("{{"));

            let checked = place.answer(&format!("policy check {template}"));
            assert_eq!(checked["warnings"], 0, "{template}: {checked:#}");

            let cases = place.answer(&format!("policy test {template} {template}.test.toml"));
            assert_eq!(cases["failed"], 0, "{template}: {cases:#}");
            assert!(cases["cases"].as_array().unwrap().len() >= 4);

            let sign = format!("policy sign {template} --fleet main --sequence 1 --key ann");
            assert_eq!(place.answer(&sign)["threshold"], 2);
            let signed = place.answer(&format!("policy sign {template} --key ben"));
            assert_eq!(signed["signed_by"].as_array().unwrap().len(), 2);

            // Nothing is written over.
            assert_eq!(place.run(&new).status.code(), Some(2));
        }
    }
}

#[test]
fn the_statements_of_a_template_are_held_by_its_cases_but_for_its_fees_and_reissues() {
    let place = place();
    for (template, flags) in templates(EVM_OWN) {
        place.answer(&format!(
            "policy new {template} --template {template} --chain {EVM} {OFFICERS} {flags}"
        ));
        let cases = place.answer(&format!("policy test {template} {template}.test.toml"));
        for unnoticed in cases["unnoticed"].as_array().unwrap() {
            let name = unnoticed["name"].as_str().unwrap();
            let other = ["fees-day", "fees-week", "reissue", "reissue-people"];
            assert!(other.contains(&name), "{template}: {unnoticed}");
        }
    }
}

/// ES256, by a fixed point.
const PASSKEY: &str = "es256 Avnr5GQUfMEC2SMk0JnZJ8GlDkLVegihFv_sCimBnYxl ann's phone";

#[test]
fn passkeys_approve_up_to_a_tier_and_keys_alone_above_it() {
    let place = place();
    place.write("ann.passkey", PASSKEY);
    let page = "--approval-page https://approve.example.org:8443 --passkey ann=ann.passkey";
    for (template, flags) in &templates(EVM_OWN)[..2] {
        let new = format!(
            "policy new {template} --template {template} --chain {EVM} {OFFICERS} {flags} {page}"
        );
        place.answer(&new);
        let checked = place.answer(&format!("policy check {template}"));
        assert_eq!(checked["warnings"], 0, "{template}: {checked:#}");
        let cases = place.answer(&format!("policy test {template} {template}.test.toml"));
        assert_eq!(cases["failed"], 0, "{template}: {cases:#}");
        let unnoticed = cases["unnoticed"].to_string();
        assert!(!unnoticed.contains("large"), "{unnoticed}");
        let text = fs::read_to_string(place.path(&format!("{template}/statements.toml"))).unwrap();
        assert_eq!(text.matches("passkeys = \"count\"").count(), 1, "{text}");
        let people = fs::read_to_string(place.path(&format!("{template}/people.toml"))).unwrap();
        assert_eq!(people.matches("passkeys = [").count(), 1, "{people}");
        assert!(people.contains("origin = \"https://approve.example.org:8443\""));
    }
    let new = format!("policy new new --chain {EVM} {OFFICERS}");
    let payee = format!("--template payouts-only --payee {EVM_OWN}");
    for flags in [
        format!("--template cold {page}"),
        format!("{payee} {}", page.replace("ann=", "dan=")),
    ] {
        place.fails(&format!("{new} {flags}"), 2, "policy-template");
    }
    let no_origin = page.replace("https", "http");
    place.fails(&format!("{new} {payee} {no_origin}"), 1, "policy-wrong");
    place.fails(
        &format!("{new} {payee} --passkey ann=ann.passkey"),
        2,
        "usage",
    );
}

#[test]
fn what_a_template_needs_is_said() {
    let place = place();
    let new = format!("policy new new --chain {EVM} {OFFICERS}");
    for flags in [
        "--template exchange-hot-wallet",
        "--template sweep-only",
        "--template payouts-only",
        "--template cold --cold 0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "--template cold --payee 0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "--template sweep-only --cold rltc1qqqqsyqcyq5rqwzqfpg9scrgwpugpzysnrwhxws",
    ] {
        place.fails(&format!("{new} {flags}"), 2, "policy-template");
    }
    place.fails(
        &format!("{new} --template cold --threshold 4"),
        1,
        "policy-wrong",
    );
    place.fails(
        &format!("policy new new --chain {EVM} --template cold --root root.pem --officer ann=ann"),
        1,
        "policy-wrong",
    );
    assert!(!place.path("new").exists());
    place.fails(
        &format!("{} --template cold", new.replace("root.pem", "ann.pub")),
        1,
        "policy-wrong",
    );
}
