//! Amounts as Core-like nodes write them: decimal numbers of coins, which no float holds.

use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

/// The digits after the point.
const DECIMALS: usize = 8;

/// More than there will ever be, on the chain that has the most: 84,000,000 LTC.
pub(super) const SATOSHI_MAX: u64 = 84_000_000 * 100_000_000;

/// A number of coins, in satoshi.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Satoshi(pub(super) u64);

impl<'de> Deserialize<'de> for Satoshi {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = Box::<RawValue>::deserialize(from)?;
        satoshi(number.get())
            .map(Self)
            .ok_or_else(|| de::Error::custom("not a number of coins"))
    }
}

fn satoshi(number: &str) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let plain = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) || fraction.len() > DECIMALS {
        return None;
    }
    let satoshi: u64 = format!("{whole}{fraction:0<DECIMALS$}").parse().ok()?;
    (satoshi <= SATOSHI_MAX).then_some(satoshi)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_or_none() {
        let read = |json: &str| {
            serde_json::from_str::<Satoshi>(json)
                .ok()
                .map(|read| read.0)
        };
        assert_eq!(read("0.00001000"), Some(1000));
        assert_eq!(read("12.50006720"), Some(1_250_006_720));
        assert_eq!(read("90000.12345678"), Some(9_000_012_345_678));
        assert_eq!(read("3"), Some(300_000_000));
        assert_eq!(read("84000000.00000000"), Some(SATOSHI_MAX));
        for json in [
            "84000000.00000001",
            "1e-5",
            "1E3",
            "-0.1",
            "-1",
            "0.000000001",
            "\"1.0\"",
            "null",
            "[]",
            "true",
            "99999999999999999999999999",
            "1e400",
        ] {
            assert_eq!(read(json), None, "{json}");
        }
    }
}
