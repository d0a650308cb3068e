//! A keystore by its files.

mod formats;
mod opening;
mod seeds;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{Keystore, Strength, create, file};
use crate::{
    KeyAlgorithm, KeyId, KeyPurpose, Profile, TokenSelector,
    protocol::{Failure, Pin, Text},
};

/// What the files under `vectors` were enciphered with.
const PASSPHRASE: &str = "correct horse battery staple";

/// As weak as is read, for the tests' sake.
const WEAK: Strength = Strength {
    memory_kib: 8 * 1024,
    passes: 1,
    lanes: 1,
    scrypt_n: 1 << 12,
};

fn profile() -> Profile {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    Profile::read(&folder.join("../../firmware-profiles/keystore.toml")).unwrap()
}

fn selector(serial: Option<&str>) -> TokenSelector {
    TokenSelector {
        label: Some(Text::new(super::LABEL).unwrap()),
        serial: serial.map(|serial| Text::new(serial).unwrap()),
    }
}

fn pin(text: &str) -> Pin {
    Pin::new(text).unwrap()
}

fn key(purpose: KeyPurpose, name: &str) -> KeyId {
    let name = name.parse().unwrap();
    KeyId { purpose, name }
}

fn hot() -> KeyId {
    key(KeyPurpose::Spend, "eth-hot")
}

fn log() -> KeyId {
    key(KeyPurpose::Checkpoint, "log")
}

fn coins() -> KeyId {
    key(KeyPurpose::Spend, "btc-hot")
}

fn open(folder: &Path) -> Result<Keystore, Failure> {
    open_with(folder, PASSPHRASE)
}

fn open_with(folder: &Path, passphrase: &str) -> Result<Keystore, Failure> {
    let profile = profile().essentials().unwrap();
    Keystore::open(folder, &selector(None), &pin(passphrase), profile)
}

/// A text of `vectors`.
fn vector(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("keystore/vectors");
    fs::read_to_string(folder.join(name)).unwrap()
}

/// A folder with these files of mode 0600, which goes away.
fn folder_with(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(folder.path(), name, text);
    }
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    mode(&path, 0o600);
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The keystore that the other implementation wrote.
fn foreign() -> TempDir {
    let texts = ["keystore.json", "spend.eth-hot.json", "checkpoint.log.json"];
    let files = texts.map(|name| (name, vector(name)));
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, &**text)).collect();
    folder_with(&files)
}

/// A keystore with a key of each algorithm.
fn made() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    create(folder.path(), &pin(PASSPHRASE), WEAK).unwrap();
    let keystore = open(folder.path()).unwrap();
    keystore.generate(&hot(), KeyAlgorithm::Secp256k1).unwrap();
    keystore.generate(&log(), KeyAlgorithm::Ed25519).unwrap();
    keystore.generate(&coins(), KeyAlgorithm::Bip340).unwrap();
    folder
}

fn path_of(folder: &TempDir, key: &KeyId) -> PathBuf {
    folder.path().join(file::name_of(key))
}

/// Why a key is refused by a keystore that is opened anew.
fn refusal(folder: &TempDir, key: &KeyId) -> String {
    let keystore = open(folder.path()).unwrap();
    keystore.key(key).unwrap_err().to_string()
}
