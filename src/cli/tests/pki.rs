//! The authority's folder: what is made, recorded and refused.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::Value;
use x509_parser::prelude::*;

use crate::program::Place;

fn founded() -> Place {
    let place = Place::new();
    place.answer("pki init --name Test");
    place
}

fn der(place: &Place, relative: &str) -> Vec<u8> {
    let pem = place.read(relative);
    parse_x509_pem(&pem).unwrap().1.contents
}

fn mode(place: &Place, relative: &str) -> u32 {
    fs::metadata(place.path(relative)).unwrap().mode() & 0o7777
}

#[test]
fn init_makes_a_private_folder_with_a_narrow_authority() {
    let place = Place::new();
    let answer = place.answer("pki init --dir ca --name Test");
    assert_eq!(mode(&place, "ca"), 0o700);
    assert_eq!(mode(&place, "ca/ca.key"), 0o600);
    let der = der(&place, "ca/ca.pem");
    let certificate = X509Certificate::from_der(&der).unwrap().1;
    let constraints = certificate.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign());
    assert!(!usage.value.digital_signature());
    let validity = certificate.validity();
    let days = (validity.not_after.timestamp() - validity.not_before.timestamp()) / 86_400;
    assert_eq!(days, 3650);
    assert_eq!(answer["name"], "Test");
    assert_eq!(pin(&certificate), answer["spki_sha256"]);
}

fn pin(certificate: &X509Certificate<'_>) -> String {
    use sha2::{Digest, Sha256};
    format!(
        "sha256:{}",
        hex::encode(Sha256::digest(certificate.public_key().raw))
    )
}

#[test]
fn init_overwrites_nothing_and_leaves_nothing_behind() {
    let place = founded();
    let key = place.read("pki/ca.key");
    place.fails("pki init --name Other", 2, "file-exists");
    assert_eq!(place.read("pki/ca.key"), key);
    fs::write(place.path("file"), "").unwrap();
    place.fails("pki init --dir file --name Other", 2, "file-exists");
    let left = fs::read_dir(place.folder()).unwrap().count();
    assert_eq!(left, 2, "no half-made folder stays");
}

#[test]
fn init_takes_an_empty_folder() {
    let place = Place::new();
    fs::create_dir(place.path("ca")).unwrap();
    place.answer("pki init --dir ca --name Test");
    assert_eq!(mode(&place, "ca"), 0o700);
}

#[test]
fn a_client_certificate_says_who_and_nothing_more() {
    let place = founded();
    let answer = place.answer("pki issue client --name walletd --out out");
    assert_eq!(mode(&place, "out/walletd.key"), 0o600);
    let (leaf, root) = (der(&place, "out/walletd.pem"), der(&place, "pki/ca.pem"));
    let certificate = X509Certificate::from_der(&leaf).unwrap().1;
    let root = X509Certificate::from_der(&root).unwrap().1;
    certificate
        .verify_signature(Some(root.public_key()))
        .unwrap();
    let names = &certificate
        .subject_alternative_name()
        .unwrap()
        .unwrap()
        .value
        .general_names;
    assert_eq!(names.len(), 1);
    assert!(matches!(
        names[0],
        GeneralName::URI("urn:strongroom:client:walletd")
    ));
    let extended = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.client_auth && !extended.server_auth && !extended.any);
    assert!(!certificate.is_ca());
    assert_eq!(certificate.raw_serial().len(), 16);
    assert_eq!(hex::encode(certificate.raw_serial()), answer["serial"]);
    assert_eq!(pin(&certificate), answer["spki_sha256"]);
    assert_eq!(authority_key(&certificate), subject_key(&root));
    assert_ne!(subject_key(&certificate), subject_key(&root));
}

fn subject_key<'a>(certificate: &'a X509Certificate<'_>) -> &'a [u8] {
    let found =
        certificate
            .iter_extensions()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(key) => Some(key.0),
                _ => None,
            });
    found.unwrap()
}

fn authority_key<'a>(certificate: &'a X509Certificate<'_>) -> &'a [u8] {
    let found =
        certificate
            .iter_extensions()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(key) => key.key_identifier.as_ref(),
                _ => None,
            });
    found.unwrap().0
}

#[test]
fn a_server_certificate_names_its_addresses() {
    let place = founded();
    place.answer("pki issue server --name signerd --dns localhost --ip 127.0.0.1 --ip ::1");
    let der = der(&place, "signerd.pem");
    let certificate = X509Certificate::from_der(&der).unwrap().1;
    let names = &certificate
        .subject_alternative_name()
        .unwrap()
        .unwrap()
        .value
        .general_names;
    assert!(matches!(names[0], GeneralName::DNSName("localhost")));
    assert!(matches!(names[1], GeneralName::IPAddress([127, 0, 0, 1])));
    assert_eq!(names.len(), 3);
    let extended = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.server_auth && !extended.client_auth);
}

#[test]
fn the_folder_may_stand_before_or_after_the_verb() {
    let place = Place::new();
    place.answer("pki --dir ca init --name Test");
    place.answer("pki issue --dir ca client --name a");
    place.answer("pki issue client --dir ca --name b");
    assert_eq!(
        place.answer("pki list --dir ca")["certificates"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn bad_requests_issue_nothing() {
    let place = founded();
    place.fails("pki issue client --name ../evil", 2, "pki-name");
    place.fails("pki issue server --name signerd", 2, "pki-name");
    place.fails(
        "pki issue server --name signerd --dns 127.0.0.1",
        2,
        "pki-name",
    );
    place.fails("pki issue server --name signerd --ip localhost", 2, "usage");
    place.fails(
        "pki issue client --name a --days 4000",
        1,
        "pki-outlives-authority",
    );
    place.fails(
        "pki issue client --name a --days 9223372036854775807",
        2,
        "pki-span",
    );
    place.fails(
        "pki issue client --name a --days 3 --not-after 2030-01-01T00:00:00Z",
        2,
        "usage",
    );
    let backwards = "--not-before 2027-01-02T00:00:00Z --not-after 2027-01-01T00:00:00Z";
    place.fails(
        &format!("pki issue client --name a {backwards}"),
        2,
        "pki-span",
    );
    place.fails("pki renew --name nobody", 1, "pki-unknown");
    assert_eq!(
        place.answer("pki list")["certificates"],
        Value::Array(Vec::new())
    );
}

#[test]
fn a_name_means_one_thing() {
    let place = founded();
    place.answer("pki issue client --name a");
    place.fails("pki issue client --name a --out other", 1, "pki-name-taken");
    place.fails(
        "pki issue server --name a --dns a --out other",
        1,
        "pki-name-taken",
    );
    place.answer("pki revoke --name a");
    place.answer("pki issue client --name a --out other");
    place.fails(
        "pki issue server --name a --dns a --out third",
        1,
        "pki-name-taken",
    );
}

#[test]
fn files_in_the_way_are_kept_and_nothing_is_issued() {
    let place = founded();
    fs::write(place.path("a.pem"), "mine").unwrap();
    place.fails("pki issue client --name a", 2, "file-exists");
    assert_eq!(place.read("a.pem"), b"mine");
    assert!(!place.path("a.key").exists());
    assert_eq!(
        place.answer("pki list")["certificates"],
        Value::Array(Vec::new())
    );
}

#[test]
fn revoking_is_recorded_once_and_numbers_the_lists_upwards() {
    let place = founded();
    let serial = place.answer("pki issue client --name a")["serial"]
        .as_str()
        .unwrap()
        .to_owned();
    let first = place.answer(&format!(
        "pki revoke --serial {} --reason key-compromise",
        serial.to_uppercase()
    ));
    assert_eq!(first["revoked"], serde_json::json!([serial]));
    assert_eq!(
        first["list"]["number"], 2,
        "the first came with the authority"
    );
    place.fails(
        &format!("pki revoke --serial {serial}"),
        1,
        "pki-nothing-to-revoke",
    );
    place.fails("pki revoke --name a", 1, "pki-nothing-to-revoke");
    place.fails("pki revoke --serial 00", 1, "pki-unknown");
    place.fails("pki revoke --name b", 1, "pki-unknown");
    assert_eq!(place.answer("pki crl --days 7")["number"], 3);

    let der = der(&place, "pki/crl.pem");
    let list = CertificateRevocationList::from_der(&der).unwrap().1;
    assert_eq!(list.crl_number().unwrap().to_string(), "3");
    let revoked: Vec<_> = list.iter_revoked_certificates().collect();
    assert_eq!(revoked.len(), 1);
    assert_eq!(hex::encode(revoked[0].raw_serial()), serial);
    assert_eq!(
        revoked[0].reason_code().unwrap().1,
        ReasonCode::KeyCompromise
    );
    let row = place.answer("pki list")["certificates"][0].take();
    assert_eq!(
        (row["status"].as_str(), row["serial"].as_str()),
        (Some("revoked"), Some(serial.as_str()))
    );
}

#[test]
fn renewing_says_what_is_still_valid() {
    let place = founded();
    let old = place.answer("pki issue client --name a")["serial"].clone();
    let pin = place.answer("pki list")["certificates"][0]["spki_sha256"].clone();
    place.fails("pki renew --name a", 2, "file-exists");
    let renewed = place.answer("pki renew --name a --out new");
    assert_eq!(renewed["still_valid"][0]["serial"], old);
    assert_ne!(renewed["spki_sha256"], pin, "the key is new");
    assert_eq!(renewed["uri"], "urn:strongroom:client:a");
    let again = place.answer("pki renew --name a --out newer --revoke-old");
    assert_eq!(
        again["revoked"],
        serde_json::json!([old, renewed["serial"]])
    );
    let list = place.answer("pki list");
    let states: Vec<_> = list["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["status"].clone())
        .collect();
    assert_eq!(states, ["revoked", "revoked", "valid"]);
    let text = place.run("pki renew --name a --out newest").stdout;
    assert!(
        String::from_utf8(text)
            .unwrap()
            .contains("stays valid until")
    );
}

#[test]
fn each_status_is_told() {
    let place = founded();
    place.answer("pki issue client --name old --days -1");
    place.answer("pki issue client --name now");
    place.answer("pki issue client --name soon --not-before 2035-01-01T00:00:00Z --not-after 2035-02-01T00:00:00Z");
    let list = place.answer("pki list");
    let states: Vec<_> = list["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["status"].clone())
        .collect();
    assert_eq!(states, ["expired", "valid", "future"]);
    place.answer("pki issue client --name old --out again");
}

#[test]
fn a_damaged_record_stops_everything() {
    let place = founded();
    place.answer("pki issue client --name a");
    let index = String::from_utf8(place.read("pki/index.jsonl")).unwrap();
    let before = place.read("pki/crl.pem");
    for damaged in [
        index.replacen("issued", "issue", 1),
        index.lines().skip(1).collect(),
        String::new(),
    ] {
        fs::write(place.path("pki/index.jsonl"), &damaged).unwrap();
        for line in [
            "pki list",
            "pki crl",
            "pki revoke --name a",
            "pki issue client --name b",
        ] {
            place.fails(line, 2, "pki-index");
        }
        assert_eq!(place.read("pki/index.jsonl"), damaged.as_bytes());
    }
    assert_eq!(place.read("pki/crl.pem"), before);
}

#[test]
fn the_authoritys_key_is_checked_before_use() {
    let place = founded();
    let key = place.path("pki/ca.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    place.fails("pki list", 2, "file-exposed");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    place.answer("pki issue client --name a");
    fs::copy(place.path("a.key"), &key).unwrap();
    place.fails("pki crl", 2, "pki-key");
    fs::write(&key, "nothing").unwrap();
    place.fails("pki crl", 2, "pki-key");
}

#[test]
fn processes_at_the_same_time_lose_no_record() {
    let place = founded();
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let place = &place;
            scope.spawn(move || place.answer(&format!("pki issue client --name c{worker}")));
        }
    });
    let list = place.answer("pki list");
    let certificates = list["certificates"].as_array().unwrap();
    let serials: HashSet<_> = certificates
        .iter()
        .map(|row| row["serial"].as_str().unwrap())
        .collect();
    assert_eq!((certificates.len(), serials.len()), (8, 8));
}

#[test]
fn no_key_is_ever_printed() {
    let place = founded();
    let mut printed = Vec::new();
    for line in [
        "pki issue client --name a",
        "pki renew --name a --out new --revoke-old",
        "pki list",
        "--json pki list",
    ] {
        let output = place.run(line);
        printed.extend([output.stdout, output.stderr].concat());
    }
    let printed = String::from_utf8(printed).unwrap();
    assert!(!printed.contains("PRIVATE"));
    for file in ["pki/ca.key", "a.key", "new/a.key"] {
        let key = String::from_utf8(place.read(file)).unwrap();
        for line in key.lines().filter(|line| !line.starts_with('-')) {
            assert!(!printed.contains(line));
        }
    }
}
