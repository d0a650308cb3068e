//! Credentials for nodes like Bitcoin Core, never from the command line itself: other users of the
//! machine can read that.

use std::path::{Path, PathBuf};

use clap::Args;
use rpc::Credentials;
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
    /// The credentials, if there are any.
    ///
    /// # Errors
    /// [`RpcError::File`], [`RpcError::Credentials`].
    pub fn credentials(&self) -> Result<Option<Credentials>, RpcError> {
        let credentials = match self {
            Self {
                cookie_file: Some(path),
                ..
            } => Credentials::cookie(&read(path)?),
            Self {
                user: Some(user),
                password_file: Some(path),
                ..
            } => Credentials::password(user, &read(path)?),
            _ => return Ok(None),
        };
        credentials.map(Some).map_err(RpcError::Credentials)
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, RpcError> {
    let bytes = files::read(path, FILE_MAX_BYTES).map_err(RpcError::File)?;
    Ok(Zeroizing::new(bytes))
}
