//! Signing with what a person has: a key in a file, in an agent, or in a security key.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use policy::statement;
use ssh_key::PrivateKey;
use zeroize::Zeroizing;

use super::error::ApproveError;
use crate::files;

/// The largest key file.
const KEY_MAX_BYTES: u64 = 64 * 1024;

/// A signature over the text in this namespace. A key that is not simply in the file is left to `ssh-keygen`, which knows agents,
/// security keys and passphrases.
///
/// # Errors
/// [`ApproveError`].
pub fn sign(path: &Path, text: &str, namespace: &str) -> Result<String, ApproveError> {
    let bytes = files::read(path, KEY_MAX_BYTES).map_err(ApproveError::File)?;
    let bytes = Zeroizing::new(bytes);
    if let Ok(key) = PrivateKey::from_openssh(&*bytes)
        && let Ok(signature) = statement::sign(text, namespace, &key)
    {
        return Ok(signature);
    }
    by_ssh_keygen(path, text, namespace)
}

fn by_ssh_keygen(path: &Path, text: &str, namespace: &str) -> Result<String, ApproveError> {
    let mut child = Command::new("ssh-keygen")
        .args(["-Y", "sign", "-n", namespace, "-f"])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(ApproveError::SshKeygen)?;
    let input = child.stdin.take();
    let written = input.map(|mut input| input.write_all(text.as_bytes()));
    let output = child.wait_with_output().map_err(ApproveError::SshKeygen)?;
    match (written, output.status.success()) {
        (Some(Ok(())), true) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        _ => Err(ApproveError::NotSigned {
            path: path.to_owned(),
        }),
    }
}
