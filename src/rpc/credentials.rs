//! Credentials for nodes like Bitcoin Core.

use std::fmt;

use base64ct::{Base64, Encoding};
use hyper::header::HeaderValue;
use thiserror::Error;
use zeroize::Zeroizing;

/// Basic authentication (RFC 7617). Its `Debug` says nothing.
#[derive(Clone)]
pub struct Credentials(HeaderValue);

/// Why there are no credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The file's first line is empty, or no text.
    #[error("the file holds no credentials in its first line")]
    FirstLine,
    /// A colon ends the user's name.
    #[error("a user's name has no colon and no control characters")]
    User,
}

impl Credentials {
    /// A user and the contents of a file with the password in its first line.
    ///
    /// # Errors
    /// [`CredentialsError`].
    pub fn password(user: &str, file: &[u8]) -> Result<Self, CredentialsError> {
        if user.contains(|char: char| char == ':' || char.is_control()) {
            return Err(CredentialsError::User);
        }
        let password = first_line(file)?;
        Self::basic(&Zeroizing::new(format!("{user}:{password}")))
    }

    /// The contents of the cookie file that a node writes into its data folder.
    ///
    /// # Errors
    /// [`CredentialsError::FirstLine`].
    pub fn cookie(file: &[u8]) -> Result<Self, CredentialsError> {
        Self::basic(first_line(file)?)
    }

    fn basic(pair: &str) -> Result<Self, CredentialsError> {
        let encoded = Zeroizing::new(Base64::encode_string(pair.as_bytes()));
        let header = Zeroizing::new(format!("Basic {}", *encoded));
        let mut value = HeaderValue::from_str(&header).map_err(|_| CredentialsError::FirstLine)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    pub(crate) fn header(&self) -> &HeaderValue {
        &self.0
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

fn first_line(file: &[u8]) -> Result<&str, CredentialsError> {
    let text = std::str::from_utf8(file).map_err(|_| CredentialsError::FirstLine)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line),
        _ => Err(CredentialsError::FirstLine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_counts() {
        let credentials = Credentials::password("u", b"hunter2\nmore").unwrap();
        assert_eq!(credentials.header(), "Basic dTpodW50ZXIy");
        let cookie = Credentials::cookie(b"__cookie__:abc").unwrap();
        assert_eq!(cookie.header(), "Basic X19jb29raWVfXzphYmM=");
        for file in [b"".as_slice(), b"\nsecond", b"\xff"] {
            let refused = Credentials::cookie(file).err();
            assert_eq!(refused, Some(CredentialsError::FirstLine));
        }
        let refused = Credentials::password("a:b", b"hunter2").err();
        assert_eq!(refused, Some(CredentialsError::User));
    }

    #[test]
    fn they_are_never_shown() {
        let credentials = Credentials::password("u", b"hunter2").unwrap();
        assert_eq!(format!("{credentials:?}"), "Credentials");
        assert!(credentials.header().is_sensitive());
    }
}
