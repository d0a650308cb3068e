//! Points in time.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::text::serde_by_text;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, at most year 9999.
///
/// Its text is RFC 3339 in UTC, `2026-11-20T12:00:00Z`, with a fraction only where there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time(u64);

/// The time as far as the signer can know it: what is later than `lo` and not later than `hi` may
/// or may not have come. What gives (room, delays) uses `lo`, what expires uses `hi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// The earliest that it can be now.
    pub lo: Time,
    /// The latest that it can be now.
    pub hi: Time,
}

/// Why a text is no [`Time`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
#[error("{text:?} is no time such as 2026-11-20T12:00:00Z")]
pub struct TimeError {
    text: String,
}

impl Time {
    /// 9999-12-30T22:00:00Z, the last that its text can show.
    const MAX_MILLIS: u64 = 253_402_207_200_000;

    /// The point this many milliseconds after the epoch; the far future ends at year 9999.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.min(Self::MAX_MILLIS))
    }

    /// Milliseconds since the epoch.
    pub fn millis(self) -> u64 {
        self.0
    }

    /// The point `millis` later.
    pub fn after_millis(self, millis: u64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// The point `millis` earlier, at the earliest the epoch.
    pub fn before_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_sub(millis))
    }

    /// Milliseconds from `earlier` to here, 0 when it is later.
    pub fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let refuse = || TimeError { text: text.into() };
        let timestamp: Timestamp = text.parse().map_err(|_| refuse())?;
        let millis = u64::try_from(timestamp.as_millisecond()).map_err(|_| refuse())?;
        let time = Self(millis);
        // One spelling for one point: no offsets, no lower case, no finer fractions.
        if millis > Self::MAX_MILLIS || time.to_string() != text {
            return Err(refuse());
        }
        Ok(time)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).map_err(|_| fmt::Error)?;
        let timestamp = Timestamp::from_millisecond(millis).map_err(|_| fmt::Error)?;
        fmt::Display::fmt(&timestamp, f)
    }
}

serde_by_text!(Time, "a time such as 2026-11-20T12:00:00Z");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_round_trips(millis in 0..=Time::MAX_MILLIS) {
            let time = Time::from_millis(millis);
            prop_assert_eq!(time.to_string().parse::<Time>(), Ok(time));
        }
    }

    #[test]
    fn one_spelling() {
        assert!("2026-11-20T12:00:00Z".parse::<Time>().is_ok());
        for text in [
            "2026-11-20T12:00:00+00:00",
            "2026-11-20t12:00:00z",
            "2026-11-20 12:00:00Z",
            "2026-11-20",
            "1969-12-31T23:59:59Z",
            "2026-11-20T12:00:00.0001Z",
        ] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }
}
