//! A token of its own: SoftHSM's, or another module's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    module::Module,
    program::{binary, run},
};

/// The token's label.
pub const LABEL: &str = "strongroom";
/// The user's PIN.
pub const PIN: &str = "24681357";
/// The security officer's PIN.
const SO_PIN: &str = "97531864";
/// That of openCryptoki's tokens before they are initialised, as its manual has it.
const FACTORY_SO_PIN: &str = "87654321";

/// A folder with a module's configuration, a token and the files with its PINs.
#[derive(Debug)]
pub struct Token {
    folder: PathBuf,
    module: Module,
}

impl Token {
    /// Initialises a token of SoftHSM in a new folder and generates keys that sign transactions.
    ///
    /// # Panics
    /// When SoftHSM is not there.
    pub fn init(folder: PathBuf, keys: &[&str]) -> Self {
        Self::of(Module::SoftHsm, folder, keys)
    }

    /// Initialises a token of a module in a new folder and generates keys that sign transactions.
    ///
    /// # Panics
    /// When the module is not there.
    pub fn of(module: Module, folder: PathBuf, keys: &[&str]) -> Self {
        let path = module.path();
        assert!(
            module.is_there(),
            "no {path}: softhsm-tests/run installs it"
        );
        fs::create_dir_all(folder.join("tokens")).expect("a folder");
        let token = Self { folder, module };
        token.module.configure(&token.folder);
        token.write_pin(PIN);
        for (file, pin) in [("so-pin", SO_PIN), ("factory-so-pin", FACTORY_SO_PIN)] {
            fs::write(token.folder.join(file), format!("{pin}\n")).expect("a PIN");
        }
        for file in ["pin", "so-pin", "factory-so-pin"] {
            use std::os::unix::fs::PermissionsExt;
            let private = fs::Permissions::from_mode(0o600);
            fs::set_permissions(token.folder.join(file), private).expect("a private file");
        }
        let mut init = token.command("init", &["--so-pin-file"]);
        init.arg(token.folder.join("so-pin"));
        if module == Module::OpenCryptoki {
            init.arg("--factory-so-pin-file");
            init.arg(token.folder.join("factory-so-pin"));
        }
        run(&mut init);
        for key in keys {
            run(&mut token.command("generate", &["--name", key]));
        }
        token
    }

    /// The same token again, in a folder of its own: as a device is copied with all its keys.
    ///
    /// # Panics
    /// When it cannot be copied.
    pub fn copy(&self, folder: PathBuf) -> Self {
        run(Command::new("cp").arg("-a").arg(&self.folder).arg(&folder));
        self.module.configure(&folder);
        Self {
            folder,
            module: self.module,
        }
    }

    /// The serial number that it says.
    ///
    /// # Panics
    /// When it says none.
    pub fn serial(&self) -> String {
        let mut command = self.program(&binary("strongroom"));
        command
            .args(["--json", "keys", "token"])
            .args(["--module", self.module.path()])
            .args(["--token", LABEL, "--profile"])
            .arg(self.module.profile());
        let said = run(&mut command).stdout;
        let said: serde_json::Value = serde_json::from_slice(&said).expect("JSON");
        said["serial"].as_str().expect("a serial number").to_owned()
    }

    /// Gives a token of SoftHSM another serial number, as another device has that holds the same keys.
    ///
    /// # Panics
    /// When it does not stand once in the token's object.
    pub fn change_serial(&self) {
        let serial = self.serial();
        let mut other: Vec<u8> = serial.bytes().collect();
        other.reverse();
        let tokens = fs::read_dir(self.tokens()).expect("the tokens");
        let mut changed = 0;
        for token in tokens {
            let object = token.expect("a token").path().join("token.object");
            let mut bytes = fs::read(&object).expect("the token's object");
            let places = bytes.windows(serial.len());
            let place = places
                .into_iter()
                .position(|place| place == serial.as_bytes());
            let Some(place) = place else { continue };
            bytes[place..place + other.len()].copy_from_slice(&other);
            fs::write(&object, bytes).expect("the token's object");
            changed += 1;
        }
        assert_eq!(changed, 1, "{serial}");
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

    /// Its module.
    pub fn module(&self) -> Module {
        self.module
    }

    /// The module's configuration file, where it has one, and the variable that names it.
    pub fn configuration(&self) -> Option<(&'static str, PathBuf)> {
        let (variable, name) = self.module.configuration()?;
        Some((variable, self.folder.join(name)))
    }

    /// Generates a key for self-tests.
    pub fn generate_test_key(&self, name: &str, algorithm: &str) {
        let purpose = [
            "--name",
            name,
            "--purpose",
            "test",
            "--algorithm",
            algorithm,
        ];
        run(&mut self.command("generate", &purpose));
    }

    /// SoftHSM's configuration file.
    pub fn config(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    /// A program that loads its module.
    pub fn program(&self, program: &Path) -> Command {
        self.module.program(&self.folder, program)
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
        let mut command = self.program(&binary("strongroom"));
        command
            .args(["keys", verb, "--module", self.module.path()])
            .args(["--token", LABEL, "--profile"])
            .arg(self.module.profile())
            .arg("--pin-file")
            .arg(self.pin_file())
            .args(arguments);
        command
    }
}
