//! A SoftHSM token of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::program::{binary, repository, run};

/// SoftHSM's PKCS#11 module, where Debian puts it.
pub const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// The token's label.
pub const LABEL: &str = "strongroom";
/// The user's PIN.
pub const PIN: &str = "24681357";
/// The security officer's PIN.
const SO_PIN: &str = "97531864";

/// A folder with SoftHSM's configuration, a token and the files with its PINs.
#[derive(Debug)]
pub struct Token {
    folder: PathBuf,
}

impl Token {
    /// Initialises a token in a new folder and generates keys that sign transactions.
    ///
    /// # Panics
    /// When SoftHSM is not there.
    pub fn init(folder: PathBuf, keys: &[&str]) -> Self {
        assert!(
            Path::new(MODULE).exists(),
            "no SoftHSM: softhsm-tests/run installs it"
        );
        fs::create_dir_all(folder.join("tokens")).expect("a folder");
        let token = Self { folder };
        let config = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nobjectstore.umask = 0077\n\
             log.level = ERROR\nslots.removable = false\n",
            token.tokens().display()
        );
        fs::write(token.config(), config).expect("SoftHSM's configuration");
        token.write_pin(PIN);
        fs::write(token.folder.join("so-pin"), format!("{SO_PIN}\n")).expect("the SO PIN");
        for file in ["pin", "so-pin"] {
            use std::os::unix::fs::PermissionsExt;
            let private = fs::Permissions::from_mode(0o600);
            fs::set_permissions(token.folder.join(file), private).expect("a private file");
        }
        let so_pin = token.folder.join("so-pin");
        run(token.command("init", &["--so-pin-file"]).arg(so_pin));
        for key in keys {
            run(&mut token.command("generate", &["--name", key]));
        }
        token
    }

    /// Generates a key that signs checkpoints.
    pub fn generate_checkpoint_key(&self, name: &str) {
        let arguments = [
            "--name",
            name,
            "--purpose",
            "checkpoint",
            "--algorithm",
            "ed25519",
        ];
        run(&mut self.command("generate", &arguments));
    }

    /// SoftHSM's configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    /// Where SoftHSM keeps its tokens.
    pub fn tokens(&self) -> PathBuf {
        self.folder.join("tokens")
    }

    /// The file with the user's PIN.
    pub fn pin_file(&self) -> PathBuf {
        self.folder.join("pin")
    }

    /// Writes a PIN to the PIN file.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_pin(&self, pin: &str) {
        fs::write(self.pin_file(), format!("{pin}\n")).expect("the PIN");
    }

    /// Runs one of SoftHSM's or OpenSC's tools on this token, which must succeed.
    pub fn tool(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        let output = run(command.env("SOFTHSM2_CONF", self.config()).args(arguments));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// `strongroom keys` with a verb, for this token.
    pub fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("strongroom"));
        command
            .env("SOFTHSM2_CONF", self.config())
            .args([
                "keys",
                verb,
                "--module",
                MODULE,
                "--token",
                LABEL,
                "--profile",
            ])
            .arg(profile())
            .arg("--pin-file")
            .arg(self.pin_file())
            .args(arguments);
        command
    }
}

/// The firmware profile of SoftHSM.
pub fn profile() -> PathBuf {
    repository("firmware-profiles/softhsm-2.6.toml")
}
