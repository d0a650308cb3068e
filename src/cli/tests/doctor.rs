//! `doctor`: a sound machine, and each thing that can be wrong with one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::keys;
use crate::policy::quickstart;
use crate::program::Place;
use crate::status::health;

/// A machine on which signerd could start: certificates, a signed bundle, a token with the policy's
/// keys, a data folder with a first segment.
fn machine() -> Place {
    let place = quickstart();
    place.answer("pki init --name Test");
    place.answer("pki issue server --name signerd --dns localhost --out server");
    fs::copy(
        place.path("pki/ca.pem"),
        place.path("bundle/roots/clients.pem"),
    )
    .unwrap();
    place.answer("policy sign bundle --fleet tests --sequence 1 --key alice");
    let signed = place.answer("policy sign bundle --key bob");
    keys::add_softhsm(&place);
    keys::answer(&place, "init --so-pin-file so-pin --pin-file pin");
    for key in ["eth-hot-1", "ltc-hot-1", "ltc-hot-2"] {
        keys::answer(&place, &format!("generate --pin-file pin --name {key}"));
    }
    fs::create_dir(place.path("data")).unwrap();
    fs::set_permissions(place.path("data"), fs::Permissions::from_mode(0o700)).unwrap();
    place.write("data/0000000000.seg", "");
    let config = format!(
        "data = \"data\"\npolicy = \"bundle\"\ngenesis = {}\n\
         [api]\nlisten = \"127.0.0.1:0\"\ncertificate = \"server/signerd.pem\"\n\
         key = \"server/signerd.key\"\ncrls = [\"pki/crl.pem\"]\n\
         [health]\nlisten = \"{}\"\n\
         [device]\nmodule = \"{}\"\ntoken = \"vault\"\npin_file = \"pin\"\nprofile = \"{}\"\n\
         checkpoint_key = \"log-1\"\n\
         [device.environment]\nSOFTHSM2_CONF = \"{}\"\n",
        signed["fingerprint"],
        health("200 OK", "ready\n"),
        keys::MODULE,
        keys::profile(),
        place.path("softhsm2.conf").display(),
    );
    place.write("signerd.toml", &config);
    place
}

/// Replaces a part of a file, which must be there.
fn edit(place: &Place, file: &str, from: &str, to: &str) {
    let text = String::from_utf8(place.read(file)).unwrap();
    assert!(text.contains(from), "{from:?} in {text}");
    place.write(file, &text.replace(from, to));
}

/// Signs the changed bundle as the first one, and pins it.
fn sign_again(place: &Place) {
    place.answer("policy sign bundle --fleet tests --sequence 1 --key alice");
    let signed = place.answer("policy sign bundle --key bob");
    let config = String::from_utf8(place.read("signerd.toml")).unwrap();
    let genesis = config
        .lines()
        .find(|line| line.starts_with("genesis"))
        .unwrap()
        .to_owned();
    edit(
        place,
        "signerd.toml",
        &genesis,
        &format!("genesis = {}", signed["fingerprint"]),
    );
}

fn report(place: &Place, options: &str) -> (i32, Value) {
    let output = place.run(&format!("--json doctor --config signerd.toml {options}"));
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    (
        output.status.code().unwrap(),
        serde_json::from_slice(&output.stdout).unwrap(),
    )
}

fn check<'r>(report: &'r Value, name: &str) -> &'r Value {
    let checks = report["checks"].as_array().unwrap();
    checks
        .iter()
        .find(|check| check["name"] == name)
        .unwrap_or_else(|| panic!("{name}: {report}"))
}

/// Asserts that the machine is found wrong in this one thing.
fn is_wrong(place: &Place, name: &str, part: &str) {
    let (code, report) = report(place, "");
    let check = check(&report, name);
    assert_eq!(
        (code, check["status"].as_str()),
        (1, Some("fail")),
        "{name}: {report}"
    );
    let detail = check["detail"].as_str().unwrap();
    assert!(detail.contains(part), "{part:?} in {detail:?}");
    assert!(!check["next"].as_str().unwrap().is_empty());
    let failed = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["status"] == "fail");
    assert_eq!(failed.count(), 1, "{report}");
}

#[test]
fn a_signer_without_a_key_for_checkpoints_is_warned_of() {
    let place = machine();
    let (_, whole) = report(&place, "");
    assert_eq!(check(&whole, "checkpoints")["status"], "ok");
    edit(&place, "signerd.toml", "checkpoint_key = \"log-1\"\n", "");
    let (_, without) = report(&place, "");
    let found = check(&without, "checkpoints");
    assert_eq!(found["status"], "warn");
    assert!(found["next"].as_str().unwrap().contains("checkpoint_key"));
}

#[test]
fn witnesses_without_a_key_for_checkpoints_are_found() {
    let place = machine();
    let made = place.answer("witness keygen --name w.example --out witness.key");
    let key = made["key"].as_str().unwrap();
    place.write(
        "bundle/witnesses.toml",
        &format!("[witnesses]\nkeys = [{key:?}]\n"),
    );
    sign_again(&place);
    let (_, whole) = report(&place, "");
    assert_eq!(check(&whole, "checkpoints")["status"], "ok");
    edit(&place, "signerd.toml", "checkpoint_key = \"log-1\"\n", "");
    is_wrong(&place, "checkpoints", "nothing that is signed is released");
}

#[test]
fn a_sound_machine_has_nothing_wrong() {
    let place = machine();
    let (code, report) = report(&place, "--login");
    for check in report["checks"].as_array().unwrap() {
        // What depends on the machine of the test: its clock's keeper, its disk.
        let may_warn = ["clock-sync", "disk"].contains(&check["name"].as_str().unwrap());
        assert!(
            check["status"] == "ok" || (may_warn && check["status"] == "warn"),
            "{check}"
        );
    }
    assert_eq!(code, 0);
    assert!(
        check(&report, "policy-signatures")["detail"]
            .as_str()
            .unwrap()
            .contains("the first bundle")
    );
    assert!(
        check(&report, "keys")["detail"]
            .as_str()
            .unwrap()
            .starts_with("3 can be used")
    );
    assert!(
        check(&report, "token")["detail"]
            .as_str()
            .unwrap()
            .contains("SoftHSM")
    );
    let text = place.run("doctor --config signerd.toml");
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("\nok    server-certificate"), "{text}");
    assert!(text.trim_end().ends_with(" 0 failed"), "{text}");
}

#[test]
fn the_data_folder() {
    let place = machine();
    fs::set_permissions(place.path("data"), fs::Permissions::from_mode(0o750)).unwrap();
    is_wrong(&place, "data-folder", "open to others (mode 750)");
    fs::set_permissions(place.path("data"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::remove_file(place.path("data/0000000000.seg")).unwrap();
    is_wrong(&place, "journal", "holds no journal");
    fs::remove_dir(place.path("data")).unwrap();
    is_wrong(&place, "data-folder", "No such file");
}

#[test]
fn a_running_daemon_is_seen_by_its_lock() {
    let place = machine();
    let detail = |part: &str| {
        let (_, report) = report(&place, "");
        let detail = check(&report, "journal-lock")["detail"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(detail.contains(part), "{detail}");
    };
    detail("no daemon has used");
    assert!(
        !place.path("data/lock").exists(),
        "a doctor leaves nothing behind"
    );
    let owner = journal::lock::Owner::acquire(&place.path("data")).unwrap();
    detail("held by a running daemon");
    drop(owner);
    detail("free");
}

#[test]
fn a_clock_behind_the_journal() {
    let place = machine();
    let segment = fs::File::options()
        .write(true)
        .open(place.path("data/0000000000.seg"))
        .unwrap();
    let tomorrow = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400);
    segment.set_modified(tomorrow).unwrap();
    is_wrong(&place, "clock", "the data folder was written");
}

#[test]
fn the_pin() {
    let place = machine();
    place.write("data/pin-rejected", "");
    is_wrong(&place, "pin", "rejected the PIN");
    // While it stands, no PIN is sent.
    let (_, told) = report(&place, "--login");
    assert!(
        told["checks"]
            .as_array()
            .unwrap()
            .iter()
            .all(|check| check["name"] != "keys")
    );
    fs::remove_file(place.path("data/pin-rejected")).unwrap();
    fs::set_permissions(place.path("pin"), fs::Permissions::from_mode(0o644)).unwrap();
    is_wrong(&place, "pin-file", "open to others");
    place.write_private("pin", "");
    is_wrong(&place, "pin-file", "holds no PIN");
}

#[test]
fn the_token() {
    let place = machine();
    edit(
        &place,
        "signerd.toml",
        "token = \"vault\"",
        "token = \"safe\"",
    );
    is_wrong(&place, "token", "no token has the label");
    edit(
        &place,
        "signerd.toml",
        "token = \"safe\"",
        "token = \"vault\"",
    );
    edit(&place, "signerd.toml", keys::MODULE, "/no/module.so");
    is_wrong(&place, "token", "module cannot be used");
    edit(&place, "signerd.toml", "/no/module.so", keys::MODULE);
    edit(
        &place,
        "bundle/accounts.toml",
        "\"ltc-hot-2\"]",
        "\"ltc-hot-3\"]",
    );
    let (code, report) = report(&place, "--login");
    let keys = check(&report, "keys");
    assert_eq!(
        (code, keys["status"].as_str()),
        (1, Some("warn")),
        "{report}"
    );
}

#[test]
fn a_key_that_the_policy_names_and_the_token_lacks() {
    let place = machine();
    edit(
        &place,
        "bundle/accounts.toml",
        "\"ltc-hot-2\"]",
        "\"ltc-hot-3\"]",
    );
    sign_again(&place);
    let (code, report) = report(&place, "--login");
    assert_eq!(code, 1);
    assert!(
        check(&report, "keys")["detail"]
            .as_str()
            .unwrap()
            .ends_with("not usable: ltc-hot-3"),
        "{report}"
    );
}

#[test]
fn certificates_and_lists() {
    let place = machine();
    fs::copy(place.path("pki/ca.key"), place.path("other.key")).unwrap();
    edit(&place, "signerd.toml", "server/signerd.key", "other.key");
    is_wrong(&place, "server-key", "other.key");
    edit(&place, "signerd.toml", "other.key", "server/signerd.key");
    edit(&place, "signerd.toml", "server/signerd.pem", "pki/crl.pem");
    let (_, told) = report(&place, "");
    assert_eq!(check(&told, "server-certificate")["status"], "fail");
    edit(
        &place,
        "signerd.toml",
        "certificate = \"pki/crl.pem\"",
        "certificate = \"server/signerd.pem\"",
    );

    // A list of another authority does not serve the root of the policy.
    let other = Place::new();
    other.answer("pki init --name Other");
    fs::copy(other.path("pki/crl.pem"), place.path("other.crl")).unwrap();
    edit(&place, "signerd.toml", "pki/crl.pem", "other.crl");
    is_wrong(&place, "client-roots", "has no revocation list");
}

#[test]
fn the_policy() {
    let place = machine();
    place.write("bundle/manifest.sig", "");
    is_wrong(&place, "policy-signatures", "0 of the 2 officers");
    fs::remove_file(place.path("bundle/manifest")).unwrap();
    let (code, told) = report(&place, "");
    assert_eq!(
        (code, check(&told, "policy-signatures")["status"].as_str()),
        (1, Some("fail"))
    );
    edit(&place, "bundle/limits.toml", "20 eth", "2e1 eth");
    let (_, told) = report(&place, "");
    assert!(
        check(&told, "policy")["detail"]
            .as_str()
            .unwrap()
            .starts_with("limits.toml:17:7"),
        "{told}"
    );
}

#[test]
fn a_later_bundle_is_held_against_the_earlier_ones() {
    let place = machine();
    let first = place.answer("policy sign bundle");
    let first = first["fingerprint"]
        .as_str()
        .unwrap()
        .trim_start_matches("sha256:")
        .to_owned();
    let kept = format!("data/bundles/{first}");
    fs::create_dir_all(place.path(&kept)).unwrap();
    copy(&place.path("bundle"), &place.path(&kept));
    edit(&place, "bundle/limits.toml", "20 eth", "21 eth");
    place.answer("policy sign bundle --fleet tests --sequence 2 --key alice");
    is_wrong(&place, "policy-signatures", "no earlier bundle's officers");
    place.answer("policy sign bundle --key bob");
    let (code, told) = report(&place, "");
    assert_eq!(code, 0, "{told}");
    assert!(
        check(&told, "policy-signatures")["detail"]
            .as_str()
            .unwrap()
            .ends_with(&first)
    );
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_daemon_that_is_not_ready() {
    let place = machine();
    let config = String::from_utf8(place.read("signerd.toml")).unwrap();
    let ready = config
        .lines()
        .skip_while(|line| *line != "[health]")
        .nth(1)
        .unwrap();
    let sealed = health("503 Service Unavailable", "sealed: the log is forked\n");
    edit(
        &place,
        "signerd.toml",
        ready,
        &format!("listen = \"{sealed}\""),
    );
    is_wrong(&place, "daemon", "sealed: the log is forked");
    edit(&place, "signerd.toml", &sealed.to_string(), "127.0.0.1:1");
    let (code, told) = report(&place, "");
    assert_eq!(
        (code, check(&told, "daemon")["status"].as_str()),
        (0, Some("warn"))
    );
}

#[test]
fn a_daemon_that_has_long_not_read_its_journal_again() {
    let place = machine();
    let config = String::from_utf8(place.read("signerd.toml")).unwrap();
    let (before, after) = config.split_once("[health]\n").unwrap();
    let (_, after) = after.split_once('\n').unwrap();
    for (said, status, part) in [
        (
            "ready\nsignerd_scrub_finished_timestamp_seconds 0\n",
            "warn",
            "not read the whole",
        ),
        (
            "ready\nsignerd_scrub_finished_timestamp_seconds 1000\n",
            "warn",
            "h ago",
        ),
        (
            "ready\nsignerd_scrub_finished_timestamp_seconds 99999999999\n",
            "ok",
            "h ago",
        ),
    ] {
        let address = health("200 OK", said);
        let config = format!("{before}[health]\nlisten = \"{address}\"\n{after}");
        place.write("signerd.toml", &config);
        let (_, told) = report(&place, "");
        let scrubbed = check(&told, "journal-scrub");
        assert_eq!(scrubbed["status"], status, "{scrubbed}");
        assert!(
            scrubbed["detail"].as_str().unwrap().contains(part),
            "{scrubbed}"
        );
    }
}

#[test]
fn what_is_no_configuration() {
    let place = Place::new();
    place.fails("doctor --config signerd.toml", 2, "file");
    place.write("signerd.toml", "data = 1\n");
    let error = place.fails("doctor --config signerd.toml", 2, "doctor-config");
    assert!(
        error["why"][0].as_str().unwrap().contains("line 1"),
        "{error}"
    );
}
