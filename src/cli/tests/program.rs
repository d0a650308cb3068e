//! Running the binary in a folder of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A folder in which the binary runs.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    pub fn read(&self, relative: &str) -> Vec<u8> {
        std::fs::read(self.path(relative)).unwrap()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs it with words separated by spaces.
    pub fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// What runs it with words separated by spaces. Its home is the folder.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            // No agent of whoever runs the tests is asked, and nobody for a passphrase.
            .env_remove("SSH_AUTH_SOCK")
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env("SSH_ASKPASS", "false")
            .args(line.split_whitespace());
        command
    }

    /// Writes a file, with its folders.
    pub fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Writes a file that only its owner can read.
    pub fn write_private(&self, relative: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        self.write(relative, text);
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.path(relative), private).unwrap();
    }

    /// Its answer as JSON, when it succeeds.
    pub fn answer(&self, line: &str) -> Value {
        let output = self.run(&format!("--json {line}"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{line}: {stderr}");
        assert!(stderr.is_empty(), "{line}: {stderr}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Its exit code and error as JSON, when it fails.
    pub fn failure(&self, line: &str) -> (i32, Value) {
        let output = self.run(&format!("--json {line}"));
        assert!(output.stdout.is_empty(), "{line} answered");
        let mut error: Value = serde_json::from_slice(&output.stderr).unwrap();
        (output.status.code().unwrap(), error["error"].take())
    }

    /// Asserts that it fails with this code and type, and says what to do.
    pub fn fails(&self, line: &str, code: i32, kind: &str) -> Value {
        let (actual, error) = self.failure(line);
        assert_eq!(
            (actual, error["type"].as_str().unwrap()),
            (code, kind),
            "{line}: {error}"
        );
        assert!(!error["message"].as_str().unwrap().is_empty());
        assert!(!error["next"].as_str().unwrap().is_empty());
        error
    }
}
