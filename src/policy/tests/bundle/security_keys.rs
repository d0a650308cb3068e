//! Officers who sign with security keys (FIDO).

use std::{fs, process::Command};

use strongroom_policy::{
    bundle::{self, LoadError, MANIFEST, SIGNATURES, Trust, load},
    statement::{self, SignError, Signatures},
};
use tempfile::TempDir;

use super::{
    fixture::{Files, POLICY, files, key, manifest, people, person, replaced},
    p256::p256,
};
use crate::security_key::{PRESENT, SecurityKey, VERIFIED, string};

const NAMESPACE: &str = "strongroom-bundle-v1";
const TEXT: &str = "a text";

/// A signature that OpenSSH and a real security key made, of the tests of the crate `ssh-key`
/// (`tests/examples/sshsig_sk_ed25519`), and its key.
const REAL: &str = "-----BEGIN SSH SIGNATURE-----
U1NIU0lHAAAAAQAAAEoAAAAac2stc3NoLWVkMjU1MTlAb3BlbnNzaC5jb20AAAAg1KgSUW
V4f6c3zcWguqp6kmM37LsazmWufupeMGpBnK4AAAAEc3NoOgAAAAdleGFtcGxlAAAAAAAA
AAZzaGE1MTIAAABnAAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAQC9WcLb5NG
XRdCOHinQIS/MxdnAx7SQMYnyOt5q4+huTWh/Zk/UvWhP+wXl/ikNPlDpgliRq6o3VyKqS
LLo9lQYBAAAACQ==
-----END SSH SIGNATURE-----
";
const REAL_KEY: &str = "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAINSoElFleH+nN83FoLqqepJjN+y7Gs5lrn7qXjBqQZyuAAAABHNzaDo=";

/// A key of each kind.
fn both() -> [SecurityKey; 2] {
    [key(1), p256()].map(SecurityKey::of)
}

fn counts(signature: &str, line: &str) -> bool {
    let signatures = Signatures::parse(signature).unwrap();
    signatures.has(TEXT, NAMESPACE, line)
}

#[test]
fn a_real_security_keys_signature_counts_for_its_text_and_namespace() {
    let signatures = Signatures::parse(REAL).unwrap();
    assert!(signatures.has("testing", "example", REAL_KEY));
    assert!(!signatures.has("testing.", "example", REAL_KEY));
    assert!(!signatures.has("testing", NAMESPACE, REAL_KEY));
    // It was touched, and asked for nothing else.
    let verified = format!("verify-required {REAL_KEY}");
    assert!(!signatures.has("testing", "example", &verified));
}

#[test]
fn a_signature_shows_the_touch_and_what_else_its_key_asks_for() {
    for key in both() {
        let line = key.line();
        let verified = format!("verify-required {line}");
        for flags in 0..=u8::MAX {
            let signature = key.sign(TEXT, NAMESPACE, flags);
            let present = flags & PRESENT != 0;
            assert_eq!(counts(&signature, &line), present, "{flags:#x}");
            let both = present && flags & VERIFIED != 0;
            assert_eq!(counts(&signature, &verified), both, "{flags:#x}");
        }
    }
}

#[test]
fn flags_and_counter_are_signed_and_stand_where_they_are_read() {
    for key in both() {
        let line = key.line();
        let whole = key.signature(TEXT, NAMESPACE, 0);
        let mut touched = whole.clone();
        touched.flags = PRESENT;
        assert!(!counts(&key.armoured(NAMESPACE, &touched), &line));

        let good = key.signature(TEXT, NAMESPACE, PRESENT);
        assert!(counts(&key.armoured(NAMESPACE, &good), &line));
        let mut counted = good.clone();
        counted.counter += 1;
        assert!(!counts(&key.armoured(NAMESPACE, &counted), &line));

        // What is no security key's has no flags, whatever stands at its end.
        let trailer = [&[good.flags], good.counter.to_be_bytes().as_slice()].concat();
        let all = [good.raw.clone(), trailer].concat();
        for name in ["ssh-ed25519", "x@example.com"] {
            let blob = [string(name.as_bytes()), string(&all)].concat();
            let armour = key.enclosed(NAMESPACE, &blob);
            let taken = Signatures::parse(&armour)
                .is_ok_and(|signatures| signatures.has(TEXT, NAMESPACE, &line));
            assert!(!taken, "{name}");
        }
    }
    // The same key in a file is another key.
    let in_file = key(1);
    let signature = statement::sign(TEXT, NAMESPACE, &in_file).unwrap();
    assert!(!counts(
        &signature,
        &SecurityKey::of(in_file.clone()).line()
    ));
    let touched = SecurityKey::of(in_file.clone()).sign(TEXT, NAMESPACE, PRESENT);
    assert!(!counts(
        &touched,
        &in_file.public_key().to_openssh().unwrap()
    ));
}

#[test]
fn ssh_keygen_takes_what_the_tests_make() {
    let folder = TempDir::new().unwrap();
    for key in both() {
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("text", TEXT);
        write("allowed", &format!("ann {}\n", key.line()));
        write("sig", &key.sign(TEXT, NAMESPACE, PRESENT));
        let arguments = "-Y verify -f allowed -I ann -s sig -n";
        let verified = Command::new("ssh-keygen")
            .current_dir(folder.path())
            .args(arguments.split(' ').chain([NAMESPACE]))
            .stdin(fs::File::open(folder.path().join("text")).unwrap())
            .status();
        assert!(verified.expect("ssh-keygen of openssh-client").success());
    }
}

/// The fixture with ann and ben at security keys; ben's has to know who touches it.
fn governed(keys: &[SecurityKey; 2]) -> Files {
    let mut files = files(POLICY);
    let [ann, ben] = keys.each_ref().map(SecurityKey::line);
    let people = format!(
        "[governance]\ndelay = \"0s\"\nthreshold = 2\nofficers = [\"ann\", \"ben\"]\n{}{}",
        person("ann", &[&ann]),
        person("ben", &[&format!("verify-required {ben} ben@desk")]),
    );
    files.insert("people.toml".into(), people.into());
    files
}

#[test]
fn officers_at_security_keys_put_a_bundle_in_force() {
    let keys = both();
    let [ann, ben] = &keys;
    let files = governed(&keys);
    let manifest = manifest(&files, "main", 1, 0);
    let text = manifest.to_string();
    let signed = |bens_flags: u8| {
        let mut files = files.clone();
        let signatures =
            ann.sign(&text, NAMESPACE, PRESENT) + &ben.sign(&text, NAMESPACE, bens_flags);
        files.insert(SIGNATURES.into(), signatures.into());
        files.insert(MANIFEST.into(), text.clone().into());
        load(&files, Trust::Pinned(manifest.hash()))
    };
    assert_eq!(signed(PRESENT | VERIFIED).unwrap().signed_by().len(), 2);
    let Err(LoadError::Quorum { signed_by, .. }) = signed(PRESENT) else {
        panic!("ben has not shown that it is ben");
    };
    assert_eq!(signed_by, ["ann".parse().unwrap()].into());
}

#[test]
fn keys_that_ask_for_what_they_cannot_have_are_refused() {
    let own = SecurityKey::of(key(9)).line();
    let website = SecurityKey::made_for("example.com", key(9)).line();
    let in_file = key(9).public_key().to_openssh().unwrap();
    for (keys, says) in [
        (
            vec![format!("no-touch-required {own}")],
            "eve\": keys: no-touch-required is not taken",
        ),
        (
            vec![format!("verify-required {in_file}")],
            "eve\": keys: verify-required is for security keys",
        ),
        (
            vec![website],
            "eve\": keys: the key was made for \"example.com\"",
        ),
        (
            vec![format!("verify-required,no-pty {own}")],
            "eve\": keys: not a public key",
        ),
        (
            vec![format!("verify-required verify-required {own}")],
            "eve\": keys: not a public key",
        ),
        (
            vec![own.clone(), format!("verify-required {own}")],
            "eve\": keys: has a key with verify-required and without it",
        ),
        (
            vec![own.clone(), own.clone()],
            "eve\": keys: stands in the list twice",
        ),
    ] {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let mut files = files(POLICY);
        files.insert(
            "people.toml".into(),
            (people() + &person("eve", &keys)).into(),
        );
        let found = bundle::parse(&files).expect_err(says);
        assert_eq!(found.len(), 1, "{found:#?}");
        let found = found[0].to_string();
        assert!(
            found.starts_with("people.toml:23:") && found.contains(says),
            "{found}"
        );
    }
    // One key for two people, whatever is asked of each.
    let mut files = files(POLICY);
    let (eve, fay) = (
        person("eve", &[&own]),
        person("fay", &[&format!("verify-required {own}")]),
    );
    files.insert("people.toml".into(), (people() + &eve + &fay).into());
    let found = bundle::parse(&files).expect_err("one key");
    assert!(
        found[0].message.contains("has a key of \"eve\""),
        "{found:#?}"
    );
}

#[test]
fn sources_may_have_signers_at_security_keys() {
    let own = SecurityKey::of(key(9)).line();
    let with = |signers: &str| {
        let source = "name = \"payouts\"\n";
        bundle::parse(&files(&replaced(
            POLICY,
            source,
            &format!("{source}signers = {signers}\n"),
        )))
    };
    assert!(with(&format!("[{own:?}]")).is_ok());
    let twice = with(&format!("[{own:?}, \"verify-required {own}\"]")).unwrap_err();
    assert!(
        twice[0]
            .message
            .contains("with verify-required and without"),
        "{twice:#?}"
    );
}

#[test]
fn what_is_in_a_security_key_is_not_signed_with_from_a_file() {
    let public = match SecurityKey::of(key(1)).line().parse::<ssh_key::PublicKey>() {
        Ok(line) => line.key_data().sk_ed25519().unwrap().clone(),
        Err(error) => panic!("{error}"),
    };
    let handle = ssh_key::private::SkEd25519::new(public, PRESENT, vec![0; 64]).unwrap();
    let file =
        ssh_key::PrivateKey::new(ssh_key::private::KeypairData::SkEd25519(handle), "").unwrap();
    let refused = statement::sign(TEXT, NAMESPACE, &file);
    assert!(
        matches!(refused, Err(SignError::SecurityKey)),
        "{refused:?}"
    );
}
