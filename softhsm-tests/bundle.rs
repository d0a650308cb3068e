//! Policy bundles: a folder of files, changed for a test, with a manifest that people signed.

use std::{collections::BTreeMap, path::Path};

use policy::{
    BundleHash,
    bundle::{self, MANIFEST, Manifest, SIGNATURES},
};
use ssh_key::{PrivateKey, private::Ed25519Keypair};

use crate::program::repository;

/// The fleet of all tests.
pub const FLEET: &str = "tests";

/// Whoever has keys in the tests' bundles, in the order of their keys' seeds; the first three govern,
/// two of them together.
pub const PEOPLE: [&str; 4] = ["ann", "ben", "cem", "dan"];

/// Whoever stands by for the officers, in bundles that name them.
pub const RECOVERY: [&str; 3] = ["rita", "rob", "roy"];

/// The files of a bundle.
#[derive(Clone, Debug)]
pub struct Bundle(BTreeMap<String, Vec<u8>>);

/// The key of one of [`PEOPLE`] and [`RECOVERY`].
///
/// # Panics
/// When there is no such person.
pub fn key(person: &str) -> PrivateKey {
    let number = PEOPLE
        .iter()
        .chain(&RECOVERY)
        .position(|name| *name == person)
        .expect("one of PEOPLE");
    let seed = u8::try_from(number + 1).expect("few people");
    Ed25519Keypair::from_seed(&[seed; 32]).into()
}

impl Bundle {
    /// The bundle of most tests, for clients of this authority.
    pub fn of_tests(authority: &Path) -> Self {
        Self::read("softhsm-tests/policy", authority)
    }

    /// The bundle of a folder of the repository, for clients of this authority and the tests' people.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn read(folder: &str, authority: &Path) -> Self {
        let files = journal::read_folder(&repository(folder)).expect("a bundle's folder");
        let mut bundle = Self(files);
        bundle.set("people.toml", &people());
        let root = std::fs::read_to_string(authority).expect("an authority's certificate");
        bundle.set("roots/clients.pem", &root);
        bundle
    }

    /// Sets a file's content.
    pub fn set(&mut self, file: &str, text: &str) {
        self.0.insert(file.to_owned(), text.as_bytes().to_vec());
    }

    /// Takes a file out.
    pub fn remove(&mut self, file: &str) {
        self.0.remove(file);
    }

    /// Replaces a part of a file, which must be there exactly once.
    ///
    /// # Panics
    /// When it is not.
    pub fn replace(&mut self, file: &str, part: &str, by: &str) {
        let bytes = self
            .0
            .get(file)
            .unwrap_or_else(|| panic!("no {file} in the bundle"));
        let text = String::from_utf8(bytes.clone()).expect("text");
        assert_eq!(text.matches(part).count(), 1, "{part:?} in {file}");
        self.set(file, &text.replace(part, by));
    }

    /// Replaces a part of a file wherever it is, which must be somewhere.
    ///
    /// # Panics
    /// When it is not.
    pub fn replace_all(&mut self, file: &str, part: &str, by: &str) {
        let bytes = self.0.get(file);
        let bytes = bytes.unwrap_or_else(|| panic!("no {file} in the bundle"));
        let text = String::from_utf8(bytes.clone()).expect("text");
        assert!(text.contains(part), "{part:?} in {file}");
        self.set(file, &text.replace(part, by));
    }

    /// How often a text stands in its files.
    pub fn count(&self, part: &str) -> usize {
        let texts = self.0.values().map(|bytes| String::from_utf8_lossy(bytes));
        texts.map(|text| text.matches(part).count()).sum()
    }

    /// Appends to a file.
    pub fn append(&mut self, file: &str, text: &str) {
        self.0
            .entry(file.to_owned())
            .or_default()
            .extend(text.bytes());
    }

    /// Writes it to a folder as the bundle with this sequence that replaces another, signed.
    ///
    /// # Panics
    /// When it cannot be signed or written.
    pub fn write(&self, folder: &Path, sequence: u64, signers: &[&str]) -> BundleHash {
        let fleet = FLEET.parse().expect("a name");
        let manifest = Manifest::of(&self.0, fleet, sequence, sequence - 1);
        let sign = |person: &&str| bundle::sign(&manifest, &key(person)).expect("a signature");
        let signatures: String = signers.iter().map(sign).collect();
        let mut files = self.0.clone();
        files.insert(MANIFEST.into(), manifest.to_string().into());
        files.insert(SIGNATURES.into(), signatures.into());
        // An empty folder first: a file of an earlier bundle does not belong to this one. The same
        // folder, since a server that runs reads no other.
        std::fs::create_dir_all(folder).expect("a folder");
        for entry in std::fs::read_dir(folder).expect("an old bundle") {
            let path = entry.expect("an entry").path();
            let removed = match path.is_dir() {
                true => std::fs::remove_dir_all(path),
                false => std::fs::remove_file(path),
            };
            removed.expect("a file of an old bundle");
        }
        for (path, bytes) in &files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            std::fs::write(path, bytes).expect("a file of the bundle");
        }
        manifest.hash()
    }
}

fn people() -> String {
    let mut text =
        "[governance]\nthreshold = 2\nofficers = [\"ann\", \"ben\", \"cem\"]\n".to_owned();
    text.push_str("delay = \"0s\"\n");
    for name in PEOPLE {
        let line = key(name).public_key().to_openssh().expect("a public key");
        text.push_str(&format!(
            "\n[[person]]\nname = {name:?}\nkeys = [{line:?}]\n"
        ));
    }
    text
}
