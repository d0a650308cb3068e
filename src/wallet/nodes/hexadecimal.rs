//! Numbers and bytes as EVM nodes write them, read strictly.

use serde::{Deserialize, Deserializer, de};
use tx::Amount;

/// A number below 2^256: `0x` and hexadecimal digits without leading zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Quantity(pub(super) Amount);

/// `0x` and two hexadecimal digits a byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Data(pub(super) Vec<u8>);

/// Exactly `N` bytes of [`Data`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fixed<const N: usize>(pub(super) [u8; N]);

/// The hash of a block or of a transaction.
pub(super) type Hash = Fixed<32>;

impl Quantity {
    /// As the 64 bits that the field has.
    pub(super) fn u64<E: de::Error>(self) -> Result<u64, E> {
        self.0.to_u64().ok_or_else(|| E::custom("not below 2^64"))
    }
}

impl<const N: usize> Fixed<N> {
    /// `0x` and lower-case digits.
    pub(super) fn text(&self) -> String {
        hex::encode_prefixed(self.0)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        quantity(&text)
            .map(Self)
            .ok_or_else(|| de::Error::custom("not a quantity below 2^256"))
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.strip_prefix("0x")
            .and_then(bytes)
            .map(Self)
            .ok_or_else(|| de::Error::custom("not 0x and hexadecimal digits"))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Fixed<N> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Data(bytes) = Data::deserialize(from)?;
        let wrong = |_| de::Error::custom(format_args!("not {N} bytes"));
        bytes.try_into().map(Self).map_err(wrong)
    }
}

/// A number that has 64 bits.
pub(super) fn u64_of<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    Quantity::deserialize(from)?.u64()
}

/// A number in the shortest form.
pub(super) fn quantity_text(number: Amount) -> String {
    let digits = hex::encode(number.to_be_bytes());
    match digits.trim_start_matches('0') {
        "" => "0x0".into(),
        digits => format!("0x{digits}"),
    }
}

/// Bytes of two hexadecimal digits each and nothing else.
pub(super) fn bytes(digits: &str) -> Option<Vec<u8>> {
    // The decoder would take another 0x.
    let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    plain.then(|| hex::decode(digits).ok()).flatten()
}

fn quantity(text: &str) -> Option<Amount> {
    let digits = text.strip_prefix("0x")?;
    let canonical = digits == "0" || !digits.starts_with('0');
    if !canonical || digits.is_empty() || digits.len() > 64 {
        return None;
    }
    let bytes: [u8; 32] = bytes(&format!("{digits:0>64}"))?.try_into().ok()?;
    Some(Amount::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Amount> {
        serde_json::from_str::<Quantity>(json)
            .ok()
            .map(|read| read.0)
    }

    #[test]
    fn quantities_are_hexadecimal_and_canonical() {
        assert_eq!(read("\"0x0\""), Some(Amount::ZERO));
        assert_eq!(read("\"0x1fF\""), Some(Amount::from(511_u64)));
        let most = format!("\"0x{}\"", "f".repeat(64));
        assert_eq!(read(&most), Some(Amount::MAX));
        assert_eq!(
            format!("\"{}\"", quantity_text(Amount::MAX)),
            most.to_lowercase()
        );
        assert_eq!(quantity_text(Amount::ZERO), "0x0");
        assert_eq!(quantity_text(Amount::from(4096_u64)), "0x1000");
        let too_large = format!("\"0x1{}\"", "0".repeat(64));
        for json in [
            "\"\"",
            "\"0x\"",
            "\"255\"",
            "255",
            "1.5",
            "null",
            "\"0x+1\"",
            "\"-0x1\"",
            "\"0x01\"",
            "\"0x00\"",
            "\"0xg\"",
            "\" 0x1\"",
            "\"0x1 \"",
            "\"0X1\"",
            "\"0x0x1\"",
            "{}",
            "[]",
            "true",
            &too_large,
        ] {
            assert_eq!(read(json), None, "{json}");
        }
    }

    #[test]
    fn bytes_have_two_digits_each_and_hashes_one_spelling() {
        let data = |json| {
            serde_json::from_str::<Data>(json)
                .ok()
                .map(|Data(bytes)| bytes)
        };
        assert_eq!(data("\"0x\""), Some(vec![]));
        assert_eq!(data("\"0x00fF\""), Some(vec![0, 255]));
        for json in [
            "\"\"",
            "\"00\"",
            "\"0x0\"",
            "\"0x0x00\"",
            "\"0xzz\"",
            "null",
            "0",
        ] {
            assert_eq!(data(json), None, "{json}");
        }
        let upper: Hash = serde_json::from_str(&format!("\"0x{}\"", "AB".repeat(32))).unwrap();
        assert_eq!(upper.text(), format!("0x{}", "ab".repeat(32)));
        for digits in [62, 63, 66] {
            let json = format!("\"0x{}\"", "a".repeat(digits));
            assert!(serde_json::from_str::<Hash>(&json).is_err());
        }
    }
}
