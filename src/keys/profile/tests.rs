//! The profiles of the repository, and what is none.

use super::*;
use crate::device::{IdentityFault, TokenIdentity};

const SOFTHSM: &str = include_str!("../../../firmware-profiles/softhsm-2.6.toml");
const YUBIHSM: &str = include_str!("../../../firmware-profiles/yubihsm-2.toml");
const UTIMACO: &str = include_str!("../../../firmware-profiles/utimaco.toml");

/// The profiles whose devices the tests run.
const RUN: [&str; 4] = [
    "keystore",
    "kryoptic-1.5",
    "opencryptoki-3.23",
    "softhsm-2.6",
];

fn profiles() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware-profiles");
    let found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    assert!(found.len() >= 9, "{found:?}");
    found
}

#[test]
fn every_profile_reads_and_has_the_name_of_its_file() {
    for path in profiles() {
        let profile = Profile::read(&path).unwrap();
        assert_eq!(path.file_stem().unwrap(), profile.name.as_str());
    }
}

/// Every table with evidence, with the names that lead to it.
fn facts(name: &str, value: &toml::Value, into: &mut Vec<(String, toml::Table)>) {
    match value {
        toml::Value::Table(table) if table.contains_key("verified") => {
            into.push((name.to_owned(), table.clone()));
        }
        toml::Value::Table(table) => {
            for (key, value) in table {
                facts(&format!("{name}.{key}"), value, into);
            }
        }
        toml::Value::Array(values) => {
            for value in values {
                facts(name, value, into);
            }
        }
        _ => {}
    }
}

#[test]
fn every_fact_has_a_source_and_only_what_the_tests_run_was_seen() {
    for path in profiles() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let mut found = Vec::new();
        let text = fs::read_to_string(&path).unwrap();
        facts(name, &toml::from_str(&text).unwrap(), &mut found);
        assert!(found.len() >= 12, "{name}");
        for (fact, table) in found {
            let text = |key: &str| table.get(key).and_then(toml::Value::as_str);
            let verified = text("verified").unwrap();
            assert!(!text("source").unwrap().trim().is_empty(), "{fact}");
            assert!(verified != "run" || RUN.contains(&name), "{fact}");
            let is_unknown = text("value") == Some("unknown");
            assert!(!is_unknown || verified == "unknown", "{fact}");
            if let Some(value) = table.get("value").filter(|_| verified == "unknown") {
                let says_nothing = ["unknown", "not-claimed"].map(toml::Value::from);
                assert!(says_nothing.contains(value), "{fact} is {value}");
            }
        }
    }
}

#[test]
fn softhsm_is_what_its_profile_says() {
    let profile = Profile::parse(SOFTHSM).unwrap();
    assert!(profile.knows_safe_firmware());
    let essentials = profile.essentials().unwrap();
    assert_eq!(essentials.manufacturer.as_str(), "SoftHSM project");
    assert!(essentials.algorithms.contains(KeyAlgorithm::Secp256k1));
    assert!(essentials.algorithms.contains(KeyAlgorithm::Ed25519));
    assert!(essentials.quirks.contains(Quirks::SYNC_SOFTHSM_FILES));
    assert_eq!(essentials.wrapping, Wrapping::NotClaimed);
}

/// What is said of a `YubiHSM` whose module reports this version.
fn yubihsm(firmware: &str) -> Result<(), IdentityFault> {
    let essentials = Profile::parse(YUBIHSM).unwrap().essentials().unwrap();
    essentials.admits(&TokenIdentity {
        label: Text::cut("YubiHSM"),
        manufacturer: Text::cut("Yubico (www.yubico.com)"),
        model: Text::cut("YubiHSM"),
        serial: Text::cut("07550001"),
        firmware: firmware.parse().unwrap(),
    })
}

#[test]
fn a_yubihsm_that_falls_to_eucleak_is_refused_by_name() {
    // 2.0.0, 2.1.2, 2.2.0, 2.3.2 and 2.3.9, as the module reports them.
    for firmware in ["2.0", "2.12", "2.20", "2.32", "2.39"] {
        let fault = yubihsm(firmware).unwrap_err();
        assert!(matches!(fault, IdentityFault::Vulnerable { .. }), "{fault}");
    }
    assert_eq!(yubihsm("2.40"), Ok(()));
    assert_eq!(yubihsm("2.41"), Ok(()));
}

#[test]
fn no_module_makes_vulnerable_firmware_of_a_yubihsm_look_safe() {
    // Older modules have a hundred for each minor version, and one byte to say it in.
    for (minor, patch) in (0..4_u16).flat_map(|minor| (0..10).map(move |patch| (minor, patch))) {
        let reported = (minor * 100 + patch) % 256;
        assert!(
            yubihsm(&format!("2.{reported}")).is_err(),
            "2.{minor}.{patch}"
        );
    }
}

#[test]
fn what_nobody_vouches_for_is_not_used() {
    let profile = Profile::parse(UTIMACO).unwrap();
    assert!(!profile.knows_safe_firmware());
    assert_eq!(profile.minimum_safe_firmware.value.to_string(), "unknown");
    let essentials = profile.essentials().unwrap();
    assert_eq!(essentials.algorithms, Algorithms::default());
    assert!(essentials.quirks.contains(Quirks::NO_COPYABLE));
}

#[test]
fn facts_that_came_later_need_not_be_stated() {
    let mut table: toml::Table = toml::from_str(SOFTHSM).unwrap();
    for key in ["bip340", "least_credential"] {
        assert!(table.remove(key).is_some(), "{key}");
    }
    let profile = Profile::parse(&table.to_string()).unwrap();
    assert_eq!(profile.bip340.value, Presence::Unknown);
    assert_eq!(profile.least_credential.value, Credential::default());
    assert_eq!(profile.least_credential.verified, Verified::Unknown);
}

#[test]
fn refuses_what_it_does_not_know_and_what_cannot_be() {
    let changed = |from: &str, to: &str| {
        assert!(SOFTHSM.contains(from), "{from:?} is in the profile");
        Profile::parse(&SOFTHSM.replacen(from, to, 1)).unwrap_err()
    };
    let shape = |e| matches!(e, ProfileError::Shape(_));
    assert!(shape(changed("schema = 1", "schema = 1\nlow_ss = 1")));
    assert!(shape(changed("sync-softhsm-files", "sync-softhsm-file")));
    assert!(shape(changed("verified = \"run\"", "verified = \"yes\"")));
    assert!(matches!(
        changed("schema = 1", "schema = 2"),
        ProfileError::Schema { found: 2 }
    ));
    assert!(matches!(
        changed("firmware_max = \"2.6\"", "firmware_max = \"2.5\""),
        ProfileError::Match
    ));
    for (from, to) in [
        ("sign = \"CKM_ECDSA\"", "sign = \"CKM_EDDSA\""),
        ("parameters = \"optional\"", "parameters = \"required\""),
    ] {
        assert!(matches!(changed(from, to), ProfileError::Mechanism { .. }));
    }
}
