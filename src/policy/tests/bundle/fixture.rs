//! A small bundle that is right, and keys that sign it.

use std::collections::BTreeMap;

use ssh_key::{PrivateKey, private::Ed25519Keypair};
use strongroom_policy::bundle::{self, Bundle, Diagnostic, MANIFEST, Manifest, SIGNATURES};

pub type Files = BTreeMap<String, Vec<u8>>;

/// Line numbers in tests are those of this text.
pub const POLICY: &str = r#"[[chain]]
chain = "eip155:1"
max_ahead = 8

[[chain]]
chain = "litecoin:regtest"

[[asset]]
name = "eth"
asset = "eip155:1/native"
decimals = 18

[[asset]]
name = "ltc"
asset = "litecoin:regtest/native"
decimals = 8

[[account]]
name = "eth-hot"
class = "hot"
chains = ["eip155:1"]
keys = ["eth-hot-1"]

[[account]]
name = "ltc-hot"
class = "hot"
chains = ["litecoin:regtest"]
keys = ["ltc-hot-1"]

[[sequence]]
key = "eth-hot-1"
chain = "eip155:1"
next = 0
finalized = 0

[[client]]
name = "walletd"
uri = "urn:strongroom:client:walletd"
verbs = ["sign"]
accounts = ["eth-hot", "ltc-hot"]

[[source]]
name = "payouts"
clients = ["walletd"]

[[book]]
name = "customers"
chain = "eip155:1"
file = "books/customers.txt"

[[allow]]
name = "pay"
effect = "payment"
account = "eth-hot"
asset = "eth"
to = "book:customers"

[[allow]]
name = "fees"
effect = "fee"
asset = "eth"
fee_rate_max = "50 gwei"

[[limit]]
name = "eth-day"
effect = "payment"
asset = "eth"
measure = "amount"
window = "24h"
cap = "10 eth"

[[limit]]
name = "fees-day"
effect = "fee"
asset = "eth"
measure = "amount"
window = "24h"
cap = "1 eth"
"#;

pub const CUSTOMERS: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8 # ann\n";

pub const ROOT: &str = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";

/// The key of the person with this number.
pub fn key(number: u8) -> PrivateKey {
    Ed25519Keypair::from_seed(&[number; 32]).into()
}

/// Its public line.
pub fn line(number: u8) -> String {
    key(number).public_key().to_openssh().unwrap()
}

/// Governance of two of three.
pub fn people() -> String {
    let mut text =
        "[governance]\nthreshold = 2\nofficers = [\"ann\", \"ben\", \"cem\"]\n".to_owned();
    text.push_str("delay = \"0s\"");
    for (number, name) in (1..).zip(["ann", "ben", "cem", "dan"]) {
        text.push_str(&person(name, &[&line(number)]));
    }
    text
}

pub fn person(name: &str, keys: &[&str]) -> String {
    format!("\n[[person]]\nname = {name:?}\nkeys = {keys:?}\n")
}

/// The bundle, with this as its `policy.toml`.
pub fn files(policy: &str) -> Files {
    [
        ("policy.toml", policy),
        ("people.toml", &people()),
        ("books/customers.txt", CUSTOMERS),
        ("roots/clients.pem", ROOT),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .collect()
}

/// The text with one part of it replaced, which must be there exactly once.
pub fn replaced(text: &str, part: &str, by: &str) -> String {
    assert_eq!(text.matches(part).count(), 1, "{part:?}");
    text.replace(part, by)
}

pub fn parse(policy: &str) -> Result<Bundle, Vec<Diagnostic>> {
    bundle::parse(&files(policy))
}

/// All that is said about a `policy.toml` that is wrong.
pub fn errors(policy: &str) -> Vec<String> {
    let found = parse(policy).expect_err("the bundle is wrong");
    found.iter().map(ToString::to_string).collect()
}

/// The files with a manifest, signed by these people.
pub fn signed(mut files: Files, manifest: &Manifest, signers: &[&PrivateKey]) -> Files {
    let signatures = signers
        .iter()
        .map(|key| bundle::sign(manifest, key).unwrap());
    files.insert(SIGNATURES.into(), signatures.collect::<String>().into());
    files.insert(MANIFEST.into(), manifest.to_string().into());
    files
}

pub fn manifest(files: &Files, fleet: &str, sequence: u64, answers: u64) -> Manifest {
    Manifest::of(files, fleet.parse().unwrap(), sequence, answers)
}
