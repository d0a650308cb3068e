//! Every kind of device through the same cases, what each does, and that profiles tell the truth.

use std::{cell::Cell, fmt::Write as _, fs, path::Path, process::Output};

use rustix::process::{Signal, kill_process};
use serde_json::Value;
use strongroom_softhsm_tests::{
    ask::units,
    bundle::Bundle,
    evm::{Draft, ETHER},
    keystore::Keystore,
    module::Module,
    program::{binary, output, repository, run, until},
    signerd::Role,
    token::{LABEL, PIN, Token},
    world::{Client, KEYS, World},
};
use tlog::{checkpoint::SignedCheckpoint, note::VerifierKey};

use crate::support::{CUSTOMER, sender, transfer};

/// Where the README's table begins and ends.
const TABLE: [&str; 2] = ["<!-- devices -->\n", "<!-- /devices -->\n"];

/// What a run of the command answered.
fn report(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
}

fn conformance(token: &Token) -> Output {
    output(&mut token.command("conformance", &["--json"]))
}

/// The outcome of a case and what was seen of it.
fn case<'a>(report: &'a Value, name: &str) -> [&'a str; 2] {
    let cases = report["cases"].as_array().unwrap();
    let found = cases.iter().find(|case| case["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no case {name:?} in {report}"));
    ["outcome", "what"].map(|field| found[field].as_str().unwrap())
}

/// The fields of the profile that are not as it says.
fn differing(report: &Value) -> Vec<&str> {
    let facts = report["facts"].as_array().unwrap().iter();
    let differing = facts.filter(|fact| fact["agrees"] == false);
    differing
        .map(|fact| fact["field"].as_str().unwrap())
        .collect()
}

#[test]
fn every_device_conforms_and_the_readme_has_what_was_seen() {
    let folder = tempfile::Builder::new()
        .prefix("strongroom-")
        .tempdir()
        .unwrap();
    let mut table = String::from(
        "| device | level | ECDSA on secp256k1 | Ed25519 | BIP-340 | wrapping | attestation | `CKA_EC_POINT` | sessions | message |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for module in Module::ALL {
        let token = Token::of(module, folder.path().join(format!("{module:?}")), &[]);
        let output = conformance(&token);
        let report = report(&output);
        assert!(output.status.success(), "{module:?}: {report:#}");
        assert_eq!(differing(&report), <[&str; 0]>::default());
        writeln!(table, "{}", row(&report)).unwrap();
        // Nothing is left of what it made.
        let listed = run(&mut token.command("list", &["--json"]));
        let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
        assert_eq!(listed["keys"], Value::Array(Vec::new()));
    }
    writeln!(table, "{}", row(&of_keystore(folder.path()))).unwrap();
    hold_to_readme(&table);
}

/// The same cases in an encrypted keystore.
fn of_keystore(folder: &Path) -> Value {
    let keystore = Keystore::init(folder.join("keystore"), &[]);
    let output = output(&mut keystore.command("conformance", &["--json"]));
    let report = report(&output);
    assert!(output.status.success(), "{report:#}");
    assert_eq!(differing(&report), <[&str; 0]>::default());
    let listed = run(&mut keystore.command("list", &["--json"]));
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["keys"], Value::Array(Vec::new()));
    report
}

/// A device in one line.
fn row(report: &Value) -> String {
    let curve = |name: &str| match case(report, &format!("{name} generate")) {
        ["refused", why] => format!("refused: {why}"),
        _ => format!("{}/s", speed(report, name)),
    };
    let fact = |field: &str| {
        let facts = report["facts"].as_array().unwrap();
        let fact = facts.iter().find(|fact| fact["field"] == field);
        fact.map_or("-", |fact| fact["claimed"].as_str().unwrap())
    };
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        report["profile"].as_str().unwrap(),
        report["assurance"].as_str().unwrap(),
        curve("secp256k1"),
        curve("ed25519"),
        curve("bip340"),
        fact("wrapping"),
        fact("attestation"),
        fact("point_encoding"),
        fact("sessions_max"),
        fact("message_bytes_max"),
    )
}

/// Signatures a second in one session, in two digits.
fn speed(report: &Value, algorithm: &str) -> u64 {
    let speed = report["speed"].as_array().unwrap();
    let measured = speed
        .iter()
        .find(|one| one["algorithm"] == algorithm && one["sessions"] == 1);
    let per_second = measured.unwrap()["per_second"].as_f64().unwrap();
    let digits = 10_f64.powf(per_second.log10().floor() - 1.0).max(1.0);
    ((per_second / digits).round() * digits) as u64
}

/// How fast devices are, is another thing on every machine.
fn without_speed(table: &str) -> String {
    let words = table.split(' ');
    let words = words.map(|word| if word.ends_with("/s") { "yes" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

fn hold_to_readme(table: &str) {
    let path = repository("README.md");
    let text = fs::read_to_string(&path).unwrap();
    let [begin, end] = TABLE.map(|mark| text.find(mark).unwrap_or_else(|| panic!("no {mark}")));
    let begin = begin + TABLE[0].len();
    if std::env::var_os("STRONGROOM_UPDATE").is_some() {
        let text = [text.get(..begin).unwrap(), table, text.get(end..).unwrap()].concat();
        fs::write(&path, text).unwrap();
    } else {
        let update = "with STRONGROOM_UPDATE=1 this test writes it";
        let found = text.get(begin..end).unwrap();
        assert_eq!(without_speed(found), without_speed(table), "{update}");
    }
}

#[test]
fn a_profile_that_does_not_tell_the_truth_is_found_out() {
    let folder = tempfile::Builder::new()
        .prefix("strongroom-")
        .tempdir()
        .unwrap();
    let token = Token::init(folder.path().join("token"), &["kept"]);
    let profile = fs::read_to_string(Module::SoftHsm.profile()).unwrap();
    let changes = [
        ("\"normalise\"", "\"always-low\""),
        ("\"not-enforced\"", "\"enforced\""),
        ("\"der-octet-string\"", "\"raw\""),
        (
            "[sessions_max]\nvalue = \"none\"",
            "[sessions_max]\nvalue = 80",
        ),
        (
            "[message_bytes_max]\nvalue = \"none\"",
            "[message_bytes_max]\nvalue = 1024",
        ),
    ];
    let lie = changes.iter().fold(profile.clone(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    let before = listed(&token);
    let output = with(&token, Module::SoftHsm.path().as_ref(), folder.path(), &lie);
    assert_eq!(output.status.code(), Some(1));
    let found = report(&output);
    let expected = [
        "low_s",
        "prehash_length",
        "point_encoding",
        "message_bytes_max",
        "point_encoding",
        "sessions_max",
    ];
    assert_eq!(differing(&found), expected);
    // An algorithm that the profile hides is one that nobody looked at.
    let (hidden, _) = profile.split_once("[mechanism.ed25519]").unwrap();
    let output = with(
        &token,
        Module::SoftHsm.path().as_ref(),
        folder.path(),
        hidden,
    );
    assert_eq!(output.status.code(), Some(1));
    let found = report(&output);
    assert_eq!(case(&found, "ed25519 generate")[0], "failed");
    assert_eq!(listed(&token), before);
}

fn listed(token: &Token) -> Value {
    let listed = run(&mut token.command("list", &["--json"]));
    serde_json::from_slice(&listed.stdout).unwrap()
}

/// Runs the command with another module or another profile.
fn with(token: &Token, module: &Path, folder: &Path, profile: &str) -> Output {
    let path = folder.join("profile.toml");
    fs::write(&path, profile).unwrap();
    output(
        token
            .program(&binary("strongroom"))
            .env("FAULT_FOLDER", folder)
            .args([
                "--json",
                "keys",
                "conformance",
                "--token",
                LABEL,
                "--module",
            ])
            .arg(module)
            .arg("--profile")
            .arg(path)
            .arg("--pin-file")
            .arg(token.pin_file()),
    )
}

#[test]
fn a_device_that_answers_wrongly_does_not_conform() {
    let folder = tempfile::Builder::new()
        .prefix("strongroom-")
        .tempdir()
        .unwrap();
    let token = Token::init(folder.path().join("token"), &[]);
    let profile = fs::read_to_string(Module::SoftHsm.profile()).unwrap();
    let shim = binary("libfault_shim.so");
    for fault in ["corrupt", "zero-s", "other-digest", "device-error"] {
        fs::write(folder.path().join("fault"), fault).unwrap();
        let output = with(&token, &shim, folder.path(), &profile);
        assert_eq!(output.status.code(), Some(1), "{fault}");
        let found = report(&output);
        for made in ["secp256k1 generate", "ed25519 generate"] {
            assert_eq!(case(&found, made)[0], "failed", "{fault}: {found:#}");
        }
    }
}

/// Whether the right PIN is taken after so many wrong ones in a row.
fn is_open_after(token: &Token, wrong: usize) -> bool {
    let listed = |pin: &str| {
        token.write_pin(pin);
        let output = output(&mut token.command("list", &["--json"]));
        let error: Value = serde_json::from_slice(&output.stderr).unwrap_or_default();
        let kind = error["error"]["type"].as_str().unwrap_or_default();
        (output.status.success(), kind.to_owned())
    };
    for _ in 0..wrong {
        let (listed, kind) = listed("13572468");
        assert!(!listed);
        assert!(["pin-rejected", "pin-locked"].contains(&&*kind), "{kind}");
    }
    let (listed, kind) = listed(PIN);
    assert!(listed || kind == "pin-locked", "{kind}");
    listed
}

/// After how many wrong PINs in a row a token takes the right one no more; `None` after none of up to twenty.
fn locks_after(init: impl Fn() -> Token) -> Option<usize> {
    if is_open_after(&init(), 20) {
        return None;
    }
    // The right one begins the count anew.
    let token = init();
    (1..=20).find(|wrong| !is_open_after(&token, *wrong))
}

#[test]
fn tokens_lock_after_as_many_wrong_pins_as_their_profiles_say() {
    let folder = tempfile::Builder::new()
        .prefix("strongroom-")
        .tempdir()
        .unwrap();
    let tokens = Cell::new(0);
    for module in Module::ALL {
        let found = locks_after(|| {
            let number = tokens.replace(tokens.get() + 1);
            Token::of(module, folder.path().join(number.to_string()), &[])
        });
        let found = found.map_or_else(|| "none".to_owned(), |many| many.to_string());
        let profile = fs::read_to_string(module.profile()).unwrap();
        let profile: toml::Value = toml::from_str(&profile).unwrap();
        let fact = &profile["pin_attempts"];
        assert_eq!(
            fact["verified"].as_str(),
            Some("run"),
            "{module:?}: {found}"
        );
        let said = fact["value"].to_string();
        assert_eq!(said.trim_matches('"'), found, "{module:?}");
    }
}

/// It has Ed25519 alone: checkpoints are what it signs.
#[test]
fn signerd_signs_checkpoints_by_kryoptic_with_its_key_child_in_debian_13() {
    let world = World::of(Module::Kryoptic, &[], Bundle::of_tests).with_checkpoints();
    let daemon = world.start();
    let mut client = world.walletd();
    let key = client.keys().journal.unwrap().log_key.unwrap();
    let key: VerifierKey = key.parse().unwrap();
    let origin = key.name().as_str().parse().unwrap();
    let size = |client: &mut Client| {
        let answer = client.get("/v1/journal/checkpoint");
        let text = (answer.status == 200).then(|| answer.text())?;
        let signed = SignedCheckpoint::open(text.as_bytes(), &origin, std::slice::from_ref(&key));
        Some(signed.unwrap().head().size)
    };
    let before = until("a checkpoint", || size(&mut client));
    kill_process(daemon.child(Role::KeyChild).unwrap(), Signal::KILL).unwrap();
    drop(daemon);
    let _daemon = world.start();
    let mut client = world.walletd();
    until("a checkpoint of what came after", || {
        size(&mut client).filter(|size| *size > before)
    });
}

#[test]
fn signerd_signs_by_opencryptoki_with_its_key_child_in_debian_13() {
    let world = World::of(Module::OpenCryptoki, &KEYS, Bundle::of_tests);
    let mut daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let draft = |nonce| Draft::transfer(nonce, CUSTOMER, ETHER);
    let first = transfer("first", &from, &draft(0));
    let signed = client.send(&first);
    assert_eq!(signed.status, 200, "{}", signed.text());
    kill_process(daemon.child(Role::KeyChild).unwrap(), Signal::KILL).unwrap();
    daemon.not_ready("no device");
    daemon = daemon.ready();
    client.sign(&transfer("second", &from, &draft(1)));
    assert_eq!(client.used("eth-day"), units(2 * ETHER));
    drop(client);
    drop(daemon);
    let _daemon = world.start();
    let mut client = world.walletd();
    assert_eq!(client.send(&first).body, signed.body);
    client.sign(&transfer("third", &from, &draft(2)));
}
