//! Auditors, by the keys that what witnesses keep for them is encrypted to.

use std::{fmt, str::FromStr};

use bech32::{Bech32, Hrp, primitives::decode::CheckedHrpstring};
use thiserror::Error;

/// Before the separator of every recipient.
const HRP: Hrp = Hrp::parse_unchecked("age");
/// An X25519 public key.
const KEY_BYTES: usize = 32;

/// The public key of an auditor: an age recipient (`age1…`, X25519), in its one spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditorKey(String);

/// Why a text is no auditor's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuditorKeyError {
    /// It has another form, or a mistyped letter.
    #[error("is no age recipient, age1… with an X25519 key, or has a mistyped letter")]
    Form,
    /// It is a private key.
    #[error(
        "is a private key: make another one, and write down what `strongroom audit keygen` prints"
    )]
    Private,
}

impl AuditorKey {
    /// The recipient, as age knows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AuditorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AuditorKey {
    type Err = AuditorKeyError;

    fn from_str(text: &str) -> Result<Self, AuditorKeyError> {
        if text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            return Err(AuditorKeyError::Private);
        }
        let decoded = CheckedHrpstring::new::<Bech32>(text).map_err(|_| AuditorKeyError::Form)?;
        let key: Vec<u8> = decoded.byte_iter().collect();
        let again = bech32::encode::<Bech32>(HRP, &key).map_err(|_| AuditorKeyError::Form)?;
        // One spelling for one key: nothing else encodes to it.
        if key.len() != KEY_BYTES || again != text {
            return Err(AuditorKeyError::Form);
        }
        Ok(Self(again))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the documentation of age.
    const KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";

    #[test]
    fn a_key_has_one_spelling() {
        let key: AuditorKey = KEY.parse().unwrap();
        assert_eq!(key.as_str(), KEY);
        let bytes = |count: usize| bech32::encode::<Bech32>(HRP, &vec![7; count]).unwrap();
        assert!(bytes(32).parse::<AuditorKey>().is_ok());
        let other = bech32::encode::<Bech32>(Hrp::parse_unchecked("bage"), &[7; 32]).unwrap();
        let modified = bech32::encode::<bech32::Bech32m>(HRP, &[7; 32]).unwrap();
        for wrong in [
            KEY.to_uppercase(),
            KEY.replace("ql3", "qm3"),
            KEY.replacen("ge1", "GE1", 1),
            format!("{KEY} "),
            KEY.trim_end_matches('p').to_owned(),
            bytes(31),
            bytes(33),
            other,
            modified,
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN"
                .to_owned(),
            String::new(),
        ] {
            let error = wrong.parse::<AuditorKey>().unwrap_err();
            assert_eq!(error, AuditorKeyError::Form, "{wrong:?}");
        }
        let secret = "AGE-SECRET-KEY-1QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSKMP32K";
        let error = secret.parse::<AuditorKey>().unwrap_err();
        assert_eq!(error, AuditorKeyError::Private);
    }
}
