//! Modules that depart from what is usual: refused by name, unless the firmware profile says how.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use strongroom_softhsm_tests::{
    module::Module,
    program::{binary, output},
    token::{LABEL, Token},
};
use tempfile::TempDir;

/// A token, reached through a module that departs.
struct Departing {
    folder: TempDir,
    token: Token,
}

impl Departing {
    fn new(departures: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("strongroom-").tempdir();
        let folder = folder.unwrap();
        let token = Token::init(folder.path().join("token"), &[]);
        fs::write(folder.path().join("departures"), departures.join("\n")).unwrap();
        Self { folder, token }
    }

    /// SoftHSM's profile, with quirks.
    fn profile(&self, quirks: &[&str]) -> PathBuf {
        let mut text = fs::read_to_string(Module::SoftHsm.profile()).unwrap();
        for quirk in quirks {
            text.push_str(&format!(
                "\n[[quirk]]\nvalue = \"{quirk}\"\nsource = \"softhsm-tests/shim\"\nverified = \"run\"\n"
            ));
        }
        let path = self.folder.path().join("profile.toml");
        fs::write(&path, text).unwrap();
        path
    }

    fn keys(&self, verb: &str, profile: &Path, arguments: &[&str]) -> Output {
        let mut command: Command = self.token.program(&binary("strongroom"));
        command
            .env("FAULT_FOLDER", self.folder.path())
            .args(["keys", verb, "--token", LABEL, "--module"])
            .arg(binary("libfault_shim.so"))
            .arg("--profile")
            .arg(profile)
            .arg("--pin-file")
            .arg(self.token.pin_file())
            .args(arguments);
        output(&mut command)
    }

    fn conforms(&self, quirks: &[&str]) {
        let profile = self.profile(quirks);
        let output = self.keys("conformance", &profile, &["--json"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{quirks:?}: {said}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let cases = report["cases"].as_array().unwrap();
        let failed = cases.iter().filter(|case| case["outcome"] == "failed");
        assert_eq!(failed.count(), 0, "{report:#}");
        // A key that stays is found again, by the next process.
        for verb in ["generate", "list"] {
            let named: &[&str] = if verb == "generate" {
                &["--name", "eth-1"]
            } else {
                &["--json"]
            };
            let done = self.keys(verb, &profile, named);
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(done.status.success(), "{quirks:?}: {verb}: {said}");
        }
    }

    /// That a key cannot be made, or not signed with, with what is named.
    fn is_refused(&self, quirks: &[&str], named: &str) {
        let profile = self.profile(quirks);
        let mut made = self.keys("generate", &profile, &["--name", "refused"]);
        if made.status.success() {
            // Keys are made in sessions that write, and tried in sessions that only read.
            made = self.keys("conformance", &profile, &[]);
        }
        let said = [made.stdout, made.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!made.status.success(), "{quirks:?}");
        assert!(said.contains(named), "{quirks:?}: {said}");
    }
}

#[test]
fn keys_that_cannot_be_held_to_one_mechanism_are_taken_where_the_profile_says_so() {
    let module = Departing::new(&["no-allowed-mechanisms"]);
    module.is_refused(&[], "AttributeTypeInvalid");
    module.conforms(&["no-allowed-mechanisms"]);
}

#[test]
fn keys_that_say_they_derive_are_taken_where_nothing_derives() {
    let module = Departing::new(&["says-derive", "derives-nothing"]);
    module.is_refused(&[], "CKA_DERIVE");
    module.conforms(&["says-derive"]);
    // One that does derive is not what such a profile is for.
    let derives = Departing::new(&["says-derive"]);
    derives.is_refused(&["says-derive"], "a mechanism that derives");
}

#[test]
fn keys_that_say_they_were_made_elsewhere_are_taken_where_the_profile_says_so() {
    let module = Departing::new(&["says-not-local"]);
    module.is_refused(&[], "CKA_LOCAL");
    module.conforms(&["says-not-local"]);
}

#[test]
fn sessions_that_may_write_sign_where_there_are_no_others() {
    let module = Departing::new(&["only-writing-sessions"]);
    module.is_refused(&[], "secp256k1 sign at once: not supported");
    module.conforms(&["only-writing-sessions"]);
}

#[test]
fn a_quirk_gives_up_one_check_and_no_other() {
    let quirks = [
        "no-allowed-mechanisms",
        "says-derive",
        "says-not-local",
        "only-writing-sessions",
    ];
    for (at, missing) in quirks.iter().enumerate() {
        let all = [&quirks[..], &["derives-nothing"]].concat();
        let module = Departing::new(&all);
        let mut others = quirks.to_vec();
        others.remove(at);
        let named = match *missing {
            "no-allowed-mechanisms" => "AttributeTypeInvalid",
            "says-derive" => "CKA_DERIVE",
            "says-not-local" => "CKA_LOCAL",
            _ => "secp256k1 sign at once: not supported",
        };
        module.is_refused(&others, named);
    }
}
