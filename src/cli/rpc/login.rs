//! Credentials for nodes like Bitcoin Core, never from the command line itself: other users of the
//! machine can read that.

use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use clap::Args;
use hyper::header::HeaderValue;
use zeroize::Zeroizing;

use super::RpcError;
use crate::files;

/// A cookie has 75 bytes.
const FILE_MAX_BYTES: u64 = 4096;

/// Where the credentials are.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// The user's name at the node.
    #[arg(long, requires = "password_file")]
    user: Option<String>,
    /// A file with the password in its first line.
    #[arg(long, requires = "user", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The cookie file that the node writes into its data folder.
    #[arg(long, conflicts_with_all = ["user", "password_file"], value_name = "FILE")]
    cookie_file: Option<PathBuf>,
}

impl LoginArgs {
    /// The header for basic authentication, if there are credentials.
    ///
    /// # Errors
    /// [`RpcError::File`], [`RpcError::CredentialsInvalid`].
    pub fn authorization(&self) -> Result<Option<HeaderValue>, RpcError> {
        let credentials = match self {
            Self {
                cookie_file: Some(path),
                ..
            } => first_line(path)?,
            Self {
                user: Some(user),
                password_file: Some(path),
                ..
            } => {
                let password = first_line(path)?;
                Zeroizing::new(format!("{user}:{}", *password))
            }
            _ => return Ok(None),
        };
        let encoded = Zeroizing::new(Base64::encode_string(credentials.as_bytes()));
        let header = Zeroizing::new(format!("Basic {}", *encoded));
        let mut value = HeaderValue::from_str(&header).map_err(|_| RpcError::CredentialsInvalid)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn first_line(path: &Path) -> Result<Zeroizing<String>, RpcError> {
    let bytes = Zeroizing::new(files::read(path, FILE_MAX_BYTES).map_err(RpcError::File)?);
    let text = std::str::from_utf8(&bytes).map_err(|_| RpcError::CredentialsInvalid)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Zeroizing::new(line.to_owned())),
        _ => Err(RpcError::CredentialsInvalid),
    }
}
