//! When a withdrawal ends, as people write it.

use std::str::FromStr;

use jiff::Timestamp;
use tx::Time;

use crate::client::WalletError;

/// A point in time, or a span from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// At this time.
    At(Time),
    /// So many milliseconds from now.
    In(u64),
}

impl Expiry {
    /// The point in time; a span ends at a whole second.
    pub fn time(self) -> Time {
        match self {
            Self::At(time) => time,
            Self::In(millis) => {
                let now = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
                Time::from_millis(now.saturating_mul(1000)).after_millis(millis)
            }
        }
    }
}

impl FromStr for Expiry {
    type Err = WalletError;

    fn from_str(text: &str) -> Result<Self, WalletError> {
        if let Ok(time) = text.parse() {
            return Ok(Self::At(time));
        }
        let refuse = || WalletError::Expiry {
            text: text.to_owned(),
        };
        span(text).map(Self::In).ok_or_else(refuse)
    }
}

/// Whether the text is a span: another time at each run.
pub fn is_span(text: &str) -> bool {
    span(text).is_some()
}

fn span(text: &str) -> Option<u64> {
    let units = [("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let (number, millis) = units
        .into_iter()
        .find_map(|(unit, millis)| Some((text.strip_suffix(unit)?, millis)))?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = is_number.then(|| number.parse().ok())??;
    (number > 0).then(|| number.checked_mul(millis))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_times() {
        let read = |text: &str| text.parse::<Expiry>().ok();
        assert_eq!(read("30m"), Some(Expiry::In(1_800_000)));
        assert_eq!(read("24h"), Some(Expiry::In(86_400_000)));
        assert_eq!(read("7d"), Some(Expiry::In(604_800_000)));
        let time = "2026-11-20T12:00:00Z";
        assert_eq!(read(time), Some(Expiry::At(time.parse().unwrap())));
        for text in [
            "",
            "24",
            "h",
            "0h",
            "-1h",
            "+1h",
            "1.5h",
            "1 h",
            "24H",
            "tomorrow",
            "2026-11-20",
            "99999999999999999999d",
            "18446744073709551615h",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
