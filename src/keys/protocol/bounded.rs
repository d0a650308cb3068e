//! Texts and bytes that know their longest length, so that no frame can be too long.

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

/// A UTF-8 text of at most `MAX` bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text<const MAX: usize>(Box<str>);

/// At most `MAX` bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Bytes<const MAX: usize>(Box<[u8]>);

/// A PIN of at most 255 bytes, wiped when dropped and never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Pin(Zeroizing<Box<str>>);

/// A value is longer than its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{length} bytes are more than the {max} that the field holds")]
pub struct TooLong {
    /// The value's length in bytes.
    pub length: usize,
    /// The longest length in bytes.
    pub max: usize,
}

fn fits(length: usize, max: usize) -> Result<(), TooLong> {
    if length > max {
        return Err(TooLong { length, max });
    }
    Ok(())
}

impl<const MAX: usize> Text<MAX> {
    /// Takes a text that fits.
    ///
    /// # Errors
    /// [`TooLong`] when it does not.
    pub fn new(text: &str) -> Result<Self, TooLong> {
        fits(text.len(), MAX)?;
        Ok(Self(text.into()))
    }

    /// Takes as many whole characters as fit: for texts that only people read.
    pub fn cut(text: &str) -> Self {
        let mut end = text.len().min(MAX);
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        Self(text.get(..end).unwrap_or_default().into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> Bytes<MAX> {
    /// Takes bytes that fit.
    ///
    /// # Errors
    /// [`TooLong`] when they do not.
    pub fn new(bytes: &[u8]) -> Result<Self, TooLong> {
        fits(bytes.len(), MAX)?;
        Ok(Self(bytes.into()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Pin {
    /// The longest PIN, in bytes. SoftHSM takes 4 to 255.
    pub const LENGTH_MAX: usize = 255;

    /// Takes a PIN that fits.
    ///
    /// # Errors
    /// [`TooLong`] when it does not.
    pub fn new(pin: &str) -> Result<Self, TooLong> {
        fits(pin.len(), Self::LENGTH_MAX)?;
        Ok(Self(Zeroizing::new(pin.into())))
    }

    /// The PIN, in clear.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl<const MAX: usize> fmt::Debug for Bytes<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_or_cuts_what_is_too_long() {
        assert!(Text::<4>::new("äää").is_err());
        assert_eq!(Text::<5>::cut("äää").as_str(), "ää");
        assert_eq!(Text::<6>::cut("äää").as_str(), "äää");
        assert!(Bytes::<2>::new(&[0; 3]).is_err());
        assert!(Pin::new(&"1".repeat(256)).is_err());
    }

    #[test]
    fn a_pin_is_never_printed() {
        let pin = Pin::new("24681357").unwrap();
        assert_eq!(format!("{pin:?}"), "Pin(..)");
    }
}
