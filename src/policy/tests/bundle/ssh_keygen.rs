//! Signatures of the real `ssh-keygen -Y sign`, and ours as it verifies them. A machine without
//! OpenSSH fails these tests; it does not skip them.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
};

use strongroom_policy::bundle::{self, MANIFEST, SIGNATURES, Trust, load};
use tempfile::TempDir;

use super::{
    fixture::{POLICY, files, key, manifest, person},
    p256::p256,
};

fn ssh_keygen(folder: &Path, arguments: &[&str], input: Option<&Path>) -> bool {
    let mut command = Command::new("ssh-keygen");
    command.current_dir(folder).args(arguments);
    if let Some(input) = input {
        command.stdin(File::open(input).unwrap());
    }
    let output = command.output().expect("ssh-keygen of openssh-client");
    println!("{}", String::from_utf8_lossy(&output.stderr));
    output.status.success()
}

/// Makes a key and returns its public line.
fn generate(folder: &Path, name: &str, kind: &[&str]) -> String {
    let common = ["-q", "-N", "", "-C", "a comment", "-f", name];
    assert!(ssh_keygen(folder, &[kind, &common].concat(), None));
    fs::read_to_string(folder.join(format!("{name}.pub"))).unwrap()
}

fn keys(folder: &Path) -> [String; 2] {
    [
        generate(folder, "ann", &["-t", "ed25519"]),
        generate(folder, "ben", &["-t", "ecdsa", "-b", "256"]),
    ]
}

/// The fixture with two officers of these keys, both needed.
fn files_of(keys: &[String; 2]) -> super::fixture::Files {
    let [ann, ben] = keys.each_ref().map(|line| line.trim_end());
    let people = format!(
        "[governance]\ndelay = \"0s\"\nthreshold = 2\nofficers = [\"ann\", \"ben\"]\n{}{}",
        person("ann", &[ann]),
        person("ben", &[ben]),
    );
    let mut files = files(POLICY);
    files.insert("people.toml".into(), people.into());
    files
}

#[test]
fn its_signatures_are_taken() {
    let folder = TempDir::new().unwrap();
    let mut files = files_of(&keys(folder.path()));
    let manifest = manifest(&files, "main", 1, 0);
    files.insert(MANIFEST.into(), manifest.to_string().into());
    let text = folder.path().join("manifest");
    fs::write(&text, manifest.to_string()).unwrap();
    let mut sign = |name: &str, namespace: &str| {
        let arguments = ["-Y", "sign", "-f", name, "-n", namespace, "manifest"];
        assert!(ssh_keygen(folder.path(), &arguments, None));
        let made = folder.path().join("manifest.sig");
        let signature = fs::read(&made).unwrap();
        fs::remove_file(made).unwrap();
        files
            .entry(SIGNATURES.into())
            .or_default()
            .extend(signature);
        load(&files, Trust::Pinned(manifest.hash())).map(|loaded| loaded.signed_by().len())
    };
    assert!(sign("ann", "strongroom-bundle-v1").is_err(), "one of two");
    assert!(sign("ben", "file").is_err(), "another namespace");
    assert_eq!(sign("ben", "strongroom-bundle-v1").unwrap(), 2);
}

#[test]
fn it_takes_our_signatures() {
    let folder = TempDir::new().unwrap();
    let keys = [("ann", key(1)), ("ben", p256())];
    let lines = keys
        .each_ref()
        .map(|(_, key)| key.public_key().to_openssh().unwrap());
    let manifest = manifest(&files_of(&lines), "main", 1, 0);
    let text = folder.path().join("manifest");
    fs::write(&text, manifest.to_string()).unwrap();
    for ((name, key), line) in keys.into_iter().zip(&lines) {
        fs::write(folder.path().join("allowed"), format!("{name} {line}\n")).unwrap();
        fs::write(
            folder.path().join("sig"),
            bundle::sign(&manifest, &key).unwrap(),
        )
        .unwrap();
        let verify = |namespace: &str| {
            let arguments = [
                "-Y", "verify", "-f", "allowed", "-I", name, "-n", namespace, "-s", "sig",
            ];
            ssh_keygen(folder.path(), &arguments, Some(&text))
        };
        assert!(verify("strongroom-bundle-v1"), "{name}");
        assert!(!verify("strongroom-intent-v1"), "{name}");
    }
}

#[test]
fn keys_that_cannot_sign_a_bundle_are_named() {
    let folder = TempDir::new().unwrap();
    let p384 = generate(folder.path(), "p384", &["-t", "ecdsa", "-b", "384"]);
    let ed25519 = generate(folder.path(), "ann", &["-t", "ed25519"]);
    let found = bundle::parse(&files_of(&[ed25519, p384])).unwrap_err();
    assert!(
        found[0]
            .message
            .contains("ecdsa-sha2-nistp384 keys are not taken"),
        "{found:#?}"
    );
    assert_eq!(found.len(), 1, "{found:#?}");
}
