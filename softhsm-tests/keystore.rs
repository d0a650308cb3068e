//! An encrypted keystore of its own.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::program::{binary, output, repository, run};

/// The passphrase.
pub const PASSPHRASE: &str = "a passphrase of the tests";

/// A folder that is a keystore, and beside it the file with its passphrase.
#[derive(Debug)]
pub struct Keystore {
    folder: PathBuf,
}

impl Keystore {
    /// Makes a keystore in a new folder and generates keys that sign transactions.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn init(folder: PathBuf, keys: &[&str]) -> Self {
        fs::create_dir_all(&folder).expect("a folder");
        let keystore = Self { folder };
        keystore.write_passphrase(PASSPHRASE);
        run(&mut keystore.command("init", &[]));
        for key in keys {
            run(&mut keystore.command("generate", &["--name", key]));
        }
        keystore
    }

    /// Generates a key that signs transactions as BIP-340 has it.
    pub fn generate_bip340(&self, name: &str) {
        let arguments = ["--algorithm", "bip340"];
        run(self.command("generate", &arguments).args(["--name", name]));
    }

    /// Generates a key that signs checkpoints.
    pub fn generate_checkpoint_key(&self, name: &str) {
        let arguments = ["--purpose", "checkpoint", "--algorithm", "ed25519"];
        run(self.command("generate", &arguments).args(["--name", name]));
    }

    /// Takes over a Web3 Secret Storage file as a key that signs transactions.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn import(&self, name: &str, text: &str, passphrase: &str) {
        let (file, pin) = (self.folder.join("import.json"), self.folder.join("import"));
        fs::write(&file, text).expect("a file");
        write_private(&pin, passphrase);
        run(self
            .command("import", &["--name", name])
            .arg("--file")
            .arg(file)
            .arg("--file-pin-file")
            .arg(pin));
    }

    /// Puts in the seed of a recovery phrase.
    pub fn seed(&self, name: &str, phrase: &str) -> Output {
        let file = self.folder.join("phrase");
        write_private(&file, phrase);
        let mut command = self.command("seed", &["--name", name]);
        output(command.arg("--phrase-file").arg(file))
    }

    /// Derives a key that signs transactions from a seed.
    pub fn derive(&self, name: &str, seed: &str, path: &str, algorithm: &str) -> Output {
        let arguments = ["--seed", seed, "--path", path, "--algorithm", algorithm];
        output(self.command("derive", &arguments).args(["--name", name]))
    }

    /// The folder that is the keystore.
    pub fn keys(&self) -> PathBuf {
        self.folder.join("keys")
    }

    /// The file of a key that signs transactions.
    pub fn file(&self, name: &str) -> PathBuf {
        self.keys().join(format!("spend.{name}.json"))
    }

    /// The file with the passphrase.
    pub fn pin_file(&self) -> PathBuf {
        self.folder.join("passphrase")
    }

    /// Writes a passphrase to that file.
    pub fn write_passphrase(&self, passphrase: &str) {
        write_private(&self.pin_file(), passphrase);
    }

    /// `strongroom keys` with a verb, for this keystore.
    pub fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("strongroom"));
        command
            .args(["keys", verb, "--keystore"])
            .arg(self.keys())
            .arg("--profile")
            .arg(profile())
            .arg("--pin-file")
            .arg(self.pin_file())
            .args(arguments);
        command
    }
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, format!("{text}\n")).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("a private file");
}

/// The firmware profile of keystores.
pub fn profile() -> PathBuf {
    repository("firmware-profiles/keystore.toml")
}
