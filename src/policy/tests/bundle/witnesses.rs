//! Witnesses that a bundle names.

use strongroom_policy::{Verb, bundle::Manifest};
use tlog::{cosignature::WitnessKey, note::VerifierKey};

use super::fixture::{POLICY, errors, files, key, manifest, parse};

/// A witness of this name, with the key of this number.
fn witness(name: &str, number: u8) -> String {
    WitnessKey::new(name.parse().unwrap(), &public(number))
        .unwrap()
        .to_string()
}

fn public(number: u8) -> [u8; 32] {
    key(number).public_key().key_data().ed25519().unwrap().0
}

fn table(keys: &[String], needed: &str) -> String {
    format!("{POLICY}\n[witnesses]\nkeys = {keys:?}\n{needed}\n")
}

fn named(count: u8) -> Vec<String> {
    (1..=count)
        .map(|number| witness(&format!("w{number}.example"), number))
        .collect()
}

#[test]
fn more_than_half_are_needed_unless_more_are_said() {
    for (count, said, needed) in [
        (1, "", 1),
        (2, "", 2),
        (3, "", 2),
        (4, "", 3),
        (5, "", 3),
        (3, "needed = 2", 2),
        (3, "needed = 3", 3),
        (5, "needed = 4", 4),
    ] {
        let text = table(&named(count), said);
        let bundle = parse(&text).unwrap();
        let manifest: Manifest = manifest(&files(&text), "main", 5, 4);
        let quorum = bundle.under(&manifest).witnesses.unwrap();
        assert_eq!(quorum.needed(), needed, "{count} {said}");
        let keys: Vec<_> = quorum.witnesses().iter().map(ToString::to_string).collect();
        assert_eq!(keys, named(count));
    }
}

#[test]
fn a_bundle_need_not_name_any() {
    let manifest = manifest(&files(POLICY), "main", 5, 4);
    assert_eq!(parse(POLICY).unwrap().under(&manifest).witnesses, None);
}

#[test]
fn what_means_nothing_or_could_split_is_refused() {
    let (good, w) = (named(3), |number| witness("w.example", number));
    let twice_named = vec![w(1), w(2)];
    let twice_keyed = vec![witness("a.example", 1), witness("b.example", 1)];
    let of_a_log = VerifierKey::new("log.example".parse().unwrap(), &public(1)).unwrap();
    let mistyped = good[0].replace("w1", "w2");
    for (keys, needed, says) in [
        (good.clone(), "needed = 1", "is no majority"),
        (named(4), "needed = 2", "2 of 4 is no majority"),
        (good.clone(), "needed = 0", "is no majority"),
        (good.clone(), "needed = 4", "can never be met"),
        (
            good.clone(),
            "needed = \"2\"",
            "must be a plain whole number",
        ),
        (good.clone(), "more = 2", "unknown key \"more\""),
        (named(17), "", "16 at the most"),
        (Vec::new(), "", "an empty list"),
        (vec![w(1), w(1)], "", "twice"),
        (twice_named, "", "has the name or the key of another"),
        (twice_keyed, "", "has the name or the key of another"),
        (vec!["w".to_owned()], "", "<name>+<id>+<base64>"),
        (vec![of_a_log.to_string()], "", "of type 0x01"),
        (vec![mistyped], "", "the key's id is"),
    ] {
        let found = errors(&table(&keys, needed)).join("\n");
        assert!(
            found.contains("witnesses") && found.contains(says),
            "{keys:?} {needed}: {found}"
        );
    }
    let no_keys = errors(&format!("{POLICY}\n[witnesses]\nneeded = 2\n")).join("\n");
    assert!(no_keys.contains("keys is missing"), "{no_keys}");
    let two = errors(&format!("{POLICY}\n[[witnesses]]\nkeys = []\n")).join("\n");
    assert!(two.contains("write [witnesses] once"), "{two}");
}

#[test]
fn a_client_that_asks_about_the_log_alone_needs_no_account() {
    let client = |verbs: &str| {
        let uri = "uri = \"urn:strongroom:client:relay\"";
        format!("{POLICY}\n[[client]]\nname = \"relay\"\n{uri}\nverbs = {verbs}\n")
    };
    let text = client("[\"journal\", \"witness\"]");
    let policy = parse(&text)
        .unwrap()
        .under(&manifest(&files(&text), "main", 5, 4));
    let relay = &policy.clients[&"relay".parse().unwrap()];
    assert_eq!(relay.verbs, [Verb::Journal, Verb::Witness].into());
    assert!(relay.accounts.is_empty());
    let found = errors(&client("[\"journal\", \"keys\"]")).join("\n");
    assert!(found.contains("accounts is missing"), "{found}");
}

/// The recipients of an age identity each.
const AUDITORS: [&str; 2] = [
    "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
    "age1qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurs95jt69",
];

#[test]
fn auditors_are_named_beside_the_witnesses_or_not_at_all() {
    let auditors = |line: &str| {
        let text = table(&named(3), line);
        let bundle = parse(&text).unwrap();
        let policy = bundle.under(&manifest(&files(&text), "main", 5, 4));
        assert_eq!(policy.witnesses.unwrap().needed(), 2);
        let keys = policy.auditors.iter().map(ToString::to_string);
        keys.collect::<Vec<_>>()
    };
    assert_eq!(auditors(""), Vec::<String>::new());
    assert_eq!(auditors(&format!("auditors = {AUDITORS:?}")), AUDITORS);
    assert_eq!(
        auditors(&format!("auditors = {:?}", AUDITORS[1])),
        AUDITORS[1..]
    );
}

#[test]
fn who_is_no_auditor_is_refused() {
    let seventeen: Vec<String> = (0..17).map(recipient).collect();
    for (line, says) in [
        ("auditors = []".to_owned(), "an empty list"),
        (
            format!("auditors = [{0:?}, {0:?}]", AUDITORS[0]),
            "auditors: stands in the list twice",
        ),
        (
            format!("auditors = [{:?}]", AUDITORS[0].to_uppercase()),
            "auditors: is no age recipient",
        ),
        (
            "auditors = [\"AGE-SECRET-KEY-1QQQQ\"]".to_owned(),
            "auditors: is a private key",
        ),
        (
            format!("auditors = {seventeen:?}"),
            "auditors: there can be 16 at the most",
        ),
        ("auditors = 7".to_owned(), "must be a text in quotes"),
        (
            format!("auditor = [{:?}]", AUDITORS[0]),
            "did you mean \"auditors\"?",
        ),
    ] {
        let found = errors(&table(&named(3), &line)).join("\n");
        assert!(found.contains(says), "{line}: {found}");
    }
    let alone = errors(&format!("{POLICY}\n[witnesses]\nauditors = {AUDITORS:?}\n")).join("\n");
    assert!(alone.contains("keys is missing"), "{alone}");
}

/// The recipient of these bytes.
fn recipient(byte: u8) -> String {
    let hrp = bech32::Hrp::parse("age").unwrap();
    bech32::encode::<bech32::Bech32>(hrp, &[byte; 32]).unwrap()
}
