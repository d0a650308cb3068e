//! The time by this machine's clock.

use tx::Time;

/// Now, in milliseconds; 1970 where the clock stands before it.
pub fn now() -> Time {
    let millis = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    Time::from_millis(millis)
}
