//! `keys` against the real SoftHSM. When it is not installed, these tests fail.

use std::process::Output;

use serde_json::Value;

use crate::program::Place;

pub const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const PIN: &str = "24681357";
const SO_PIN: &str = "97531864";

/// A place with SoftHSM's configuration, no token, and the files with the PINs.
pub fn softhsm() -> Place {
    assert!(
        std::path::Path::new(MODULE).exists(),
        "SoftHSM is not installed"
    );
    let place = Place::new();
    add_softhsm(&place);
    place
}

/// The same, in a place that is there.
pub fn add_softhsm(place: &Place) {
    std::fs::create_dir(place.path("tokens")).unwrap();
    let config = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nobjectstore.umask = 0077\n\
         log.level = ERROR\nslots.removable = false\n",
        place.path("tokens").display()
    );
    place.write("softhsm2.conf", &config);
    place.write_private("pin", &format!("{PIN}\n"));
    place.write_private("so-pin", SO_PIN);
}

/// The firmware profile of SoftHSM.
pub fn profile() -> String {
    format!(
        "{}/../../firmware-profiles/softhsm-2.6.toml",
        env!("CARGO_MANIFEST_DIR")
    )
}

fn run(place: &Place, line: &str) -> Output {
    let line = format!(
        "--json keys {line} --module {MODULE} --token vault --profile {}",
        profile()
    );
    let mut command = place.command(&line);
    command
        .env("SOFTHSM2_CONF", place.path("softhsm2.conf"))
        .output()
        .unwrap()
}

pub fn answer(place: &Place, line: &str) -> Value {
    let output = run(place, line);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{line}: {stderr}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn fails(place: &Place, line: &str, code: i32, kind: &str) -> Value {
    let output = run(place, line);
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    let error = error["error"].clone();
    assert_eq!(
        (output.status.code(), error["type"].as_str()),
        (Some(code), Some(kind)),
        "{line}: {error}"
    );
    assert!(!error["next"].as_str().unwrap().is_empty());
    error
}

#[test]
fn a_token_is_initialised_once() {
    let place = softhsm();
    let made = answer(&place, "init --so-pin-file so-pin --pin-file pin");
    assert_eq!(made["label"], "vault");
    assert_eq!(made["manufacturer"], "SoftHSM project");
    assert_eq!(answer(&place, "token"), made);
    fails(
        &place,
        "init --so-pin-file so-pin --pin-file pin",
        2,
        "token-ambiguous",
    );
    let serial = made["serial"].as_str().unwrap();
    assert_eq!(answer(&place, &format!("token --serial {serial}")), made);
    fails(&place, "token --serial 0", 2, "token-unknown");
}

#[test]
fn keys_are_generated_and_listed() {
    let place = softhsm();
    answer(&place, "init --so-pin-file so-pin --pin-file pin");
    let generate =
        "generate --pin-file pin --name eth-hot-1 --chain eip155:31337 --chain litecoin:regtest";
    let made = answer(&place, generate);
    assert_eq!(
        (&made["name"], &made["purpose"]),
        (&"eth-hot-1".into(), &"spend".into())
    );
    assert_eq!(made["algorithm"], "secp256k1");
    assert_eq!(made["public_key"].as_str().unwrap().len(), 66);
    let address = |index: usize| made["addresses"][index]["address"].as_str().unwrap();
    assert!(address(0).starts_with("0x") && address(0).len() == 42);
    assert!(address(1).starts_with("rltc1q"));
    fails(&place, generate, 1, "key-exists");

    let log = "generate --pin-file pin --name log --purpose checkpoint --algorithm ed25519";
    let log = answer(&place, &format!("{log} --chain eip155:1"));
    assert_eq!(log["public_key"].as_str().unwrap().len(), 64);
    assert_eq!(log["addresses"][0]["address"], Value::Null);

    let listed = answer(&place, "list --pin-file pin");
    assert_eq!(listed["token"]["label"], "vault");
    let keys: Vec<_> = listed["keys"].as_array().unwrap().iter().collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0]["purpose"], "checkpoint");
    assert_eq!(keys[1]["public_key"], made["public_key"]);
    assert_eq!(listed.get("refused"), None);
}

#[test]
fn a_foreign_key_is_shown_and_not_used() {
    let place = softhsm();
    answer(&place, "init --so-pin-file so-pin --pin-file pin");
    let mut tool = std::process::Command::new("pkcs11-tool");
    let made = tool
        .env("SOFTHSM2_CONF", place.path("softhsm2.conf"))
        .args([
            "--module",
            MODULE,
            "--token-label",
            "vault",
            "--login",
            "--pin",
            PIN,
        ])
        .args([
            "--keypairgen",
            "--key-type",
            "EC:secp256k1",
            "--label",
            "strongroom:spend:smuggled",
        ])
        .output()
        .expect("pkcs11-tool of opensc");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let listed = answer(&place, "list --pin-file pin");
    assert_eq!(listed["keys"], Value::Array(Vec::new()));
    assert_eq!(listed["refused"][0]["label"], "strongroom:spend:smuggled");
    assert!(
        listed["refused"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("CKA_"),
        "{listed}"
    );
}

#[test]
fn a_wrong_pin_is_named_and_not_tried_twice() {
    let place = softhsm();
    answer(&place, "init --so-pin-file so-pin --pin-file pin");
    place.write_private("pin", "00000000\n");
    let error = fails(&place, "list --pin-file pin", 1, "pin-rejected");
    assert!(
        error["next"]
            .as_str()
            .unwrap()
            .starts_with("Do not try again"),
        "{error}"
    );
    assert!(!error.to_string().contains("00000000"));
}

#[test]
fn pins_come_from_private_files_only() {
    use std::os::unix::fs::PermissionsExt;
    let place = softhsm();
    // No terminal, no file.
    fails(&place, "init --so-pin-file so-pin", 2, "keys-pin");
    let open = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(place.path("pin"), open).unwrap();
    fails(
        &place,
        "init --so-pin-file so-pin --pin-file pin",
        2,
        "file-exposed",
    );
    place.write_private("pin", "");
    fails(
        &place,
        "init --so-pin-file so-pin --pin-file pin",
        2,
        "keys-pin",
    );
    assert_eq!(std::fs::read_dir(place.path("tokens")).unwrap().count(), 0);
}

#[test]
fn what_is_no_module_or_profile_is_named() {
    let place = softhsm();
    fails(&place, "token", 2, "token-unknown");
    let line = |module: &str, profile: &str| {
        format!("keys token --module {module} --token vault --profile {profile}")
    };
    place.fails(&line("no-module.so", &profile()), 2, "module-unusable");
    place.fails(&line(MODULE, "no-profile.toml"), 2, "keys-profile");
}
