//! Signing with what a person has: a key in a file, in an agent, or in a security key.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use policy::statement;
use ssh_key::PrivateKey;
use zeroize::Zeroizing;

use crate::failure::{Exit, Explained};
use crate::files::{self, FileError};

/// The largest key file.
const KEY_MAX_BYTES: u64 = 64 * 1024;

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SshError {
    /// The key's file.
    #[error(transparent)]
    File(FileError),
    /// `ssh-keygen` cannot be run.
    #[error("ssh-keygen cannot be run")]
    NotRun(#[source] io::Error),
    /// It did not sign.
    #[error("ssh-keygen did not sign with {}{}", path.display(), said.as_ref().map(|said| format!(": {said}")).unwrap_or_default())]
    NotSigned {
        /// The key.
        path: PathBuf,
        /// What it said last, where a terminal does not show it.
        said: Option<String>,
    },
}

impl Explained for SshError {
    fn kind(&self) -> &'static str {
        match self {
            Self::File(error) => error.kind(),
            Self::NotRun(_) | Self::NotSigned { .. } => "not-signed",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            Self::NotRun(_) | Self::NotSigned { .. } => Exit::Usage,
        }
    }

    fn next(&self) -> String {
        match self {
            Self::File(error) => return error.next(),
            Self::NotRun(_) => "Install OpenSSH, or give an unencrypted private key.",
            Self::NotSigned { .. } => {
                "Give a private key, or the public key of one that your agent or security key has."
            }
        }
        .to_owned()
    }
}

/// An armoured signature over the text in this namespace. A key that is not simply in the file is left to
/// `ssh-keygen`, which knows agents, security keys and passphrases.
///
/// # Errors
/// [`SshError`].
pub fn sign(path: &Path, text: &str, namespace: &str) -> Result<String, SshError> {
    let bytes = files::read(path, KEY_MAX_BYTES).map_err(SshError::File)?;
    let bytes = Zeroizing::new(bytes);
    if let Ok(key) = PrivateKey::from_openssh(&*bytes)
        && let Ok(signature) = statement::sign(text, namespace, &key)
    {
        return Ok(signature);
    }
    by_ssh_keygen(path, text, namespace)
}

fn by_ssh_keygen(path: &Path, text: &str, namespace: &str) -> Result<String, SshError> {
    // A security key's touch is asked for there.
    let shown = io::stderr().is_terminal();
    let mut child = Command::new("ssh-keygen")
        .args(["-Y", "sign", "-n", namespace, "-f"])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(if shown {
            Stdio::inherit()
        } else {
            Stdio::piped()
        })
        .spawn()
        .map_err(SshError::NotRun)?;
    let input = child.stdin.take();
    let written = input.map(|mut input| input.write_all(text.as_bytes()));
    let output = child.wait_with_output().map_err(SshError::NotRun)?;
    match (written, output.status.success()) {
        (Some(Ok(())), true) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        _ => Err(SshError::NotSigned {
            path: path.to_owned(),
            said: last_line(&output.stderr),
        }),
    }
}

fn last_line(output: &[u8]) -> Option<String> {
    let output = String::from_utf8_lossy(output);
    output.lines().last().map(|line| line.trim().to_owned())
}
