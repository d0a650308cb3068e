//! What is linked into `signerd`: a list that is reviewed, crate by crate.

use std::{collections::BTreeSet, process::Command};

use crate::repository;

/// Crates that `signerd` never links, whatever the list says: databases, HTTP clients, web sockets,
/// a second TLS library. Names that end in `*` are prefixes.
const REFUSED: &[&str] = &[
    "attohttpc",
    "awc",
    "curl*",
    "diesel*",
    "hyper-rustls",
    "hyper-tls",
    "isahc",
    "jsonrpsee*",
    "libsqlite3-sys",
    "minreq",
    "mongodb",
    "mysql*",
    "native-tls",
    "openssl*",
    "postgres*",
    "redis",
    "reqwest*",
    "ring",
    "rocksdb",
    "rusqlite",
    "sea-orm*",
    "sqlx*",
    "surf",
    "tokio-postgres",
    "tokio-tungstenite",
    "tungstenite",
    "ureq*",
];

/// Features of what is linked that would bring the same through another door.
const REFUSED_FEATURES: &[(&str, &[&str])] = &[
    ("hyper", &["client", "full"]),
    (
        "hyper-util",
        &["client", "client-legacy", "client-proxy", "full"],
    ),
    // Requests are read by the one parser and serialiser, without the forms that lose precision.
    (
        "serde_json",
        &["arbitrary_precision", "raw_value", "unbounded_depth"],
    ),
    // TLS 1.3 with aws-lc-rs, chosen explicitly.
    ("rustls", &["ring"]),
];

/// Crates of `signerd`'s default features as lines of `format`, each once.
fn linked(format: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args([
            "tree",
            "--package",
            "signerd",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        // signerd is for Linux; the list is that of the machines it mostly runs on.
        .args([
            "--target",
            "x86_64-unknown-linux-gnu",
            "--locked",
            "--offline",
            "--no-dedupe",
        ])
        .args(["--format", format])
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// `name version`, without the paths of members and the marks of macros.
fn crates() -> BTreeSet<(String, String)> {
    linked("{p}")
        .iter()
        .map(|line| {
            let mut words = line.split(' ');
            let mut word = || {
                words
                    .next()
                    .unwrap_or_else(|| panic!("{line:?}"))
                    .to_owned()
            };
            (word(), word())
        })
        .collect()
}

#[test]
fn what_is_linked_is_listed() {
    let lines: String = crates()
        .iter()
        .map(|(name, version)| format!("{name} {version}\n"))
        .collect();
    assert!(
        lines.lines().count() > 100,
        "cargo tree shows too little: {lines}"
    );
    repository::hold("src/signer/dependencies.txt", &lines);
}

#[test]
fn no_database_and_no_http_client_is_linked() {
    let refused = |name: &str| {
        REFUSED
            .iter()
            .any(|refused| match refused.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == *refused,
            })
    };
    let found: Vec<_> = crates()
        .into_iter()
        .filter(|(name, _)| refused(name))
        .collect();
    assert!(found.is_empty(), "signerd links {found:?}");
}

#[test]
fn no_feature_brings_a_client() {
    let lines = linked("{p}|{f}");
    for (name, refused) in REFUSED_FEATURES {
        let of_crate: Vec<_> = lines
            .iter()
            .filter(|line| line.starts_with(&format!("{name} v")))
            .collect();
        assert!(
            !of_crate.is_empty(),
            "signerd does not link {name} any more: mend this list"
        );
        for line in of_crate {
            let (_, features) = line.split_once('|').unwrap();
            let found: Vec<_> = features
                .trim_end_matches(" (*)")
                .split(',')
                .filter(|feature| refused.contains(feature))
                .collect();
            assert!(found.is_empty(), "signerd links {name} with {found:?}");
        }
    }
}

#[test]
fn signer_and_wallet_do_not_know_each_other() {
    let members = crates();
    for member in [
        "strongroom-wallet",
        "walletd",
        "strongroom",
        "strongroom-cli",
    ] {
        assert!(
            members.iter().all(|(name, _)| name != member),
            "signerd links {member}"
        );
    }
}
