//! Requests a second and client: a token bucket each.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tx::Name;

/// Buckets of all clients; there are as many as the policy names.
#[derive(Debug)]
pub struct Rates {
    per_second: u32,
    buckets: Mutex<HashMap<Name, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    /// Thousandths of a request.
    millis: u64,
    since: Instant,
}

impl Rates {
    /// `per_second` requests a second, twice as many at once.
    pub fn new(per_second: u32) -> Self {
        Self {
            per_second,
            buckets: Mutex::default(),
        }
    }

    /// Takes one request from the client's bucket; false when it is empty.
    pub fn take(&self, client: &Name, now: Instant) -> bool {
        let full = u64::from(self.per_second).saturating_mul(2000);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(client.clone()).or_insert_with(|| Bucket {
            millis: full,
            since: now,
        });
        let elapsed = now.saturating_duration_since(bucket.since);
        let elapsed_millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        if elapsed_millis > 0 {
            let gained = elapsed_millis.saturating_mul(u64::from(self.per_second));
            bucket.millis = bucket.millis.saturating_add(gained).min(full);
            // The part of a millisecond that was not counted is counted next time.
            let counted = Duration::from_millis(elapsed_millis);
            bucket.since = bucket.since.checked_add(counted).unwrap_or(now);
        }
        match bucket.millis.checked_sub(1000) {
            Some(rest) => {
                bucket.millis = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let (rates, start) = (Rates::new(10), Instant::now());
        let name: Name = "walletd".parse().unwrap();
        let other: Name = "operator".parse().unwrap();
        assert_eq!((0..100).filter(|_| rates.take(&name, start)).count(), 20);
        assert!(rates.take(&other, start));
        let later = start + Duration::from_millis(500);
        assert_eq!((0..100).filter(|_| rates.take(&name, later)).count(), 5);
        let much_later = later + Duration::from_secs(3600);
        assert_eq!(
            (0..100).filter(|_| rates.take(&name, much_later)).count(),
            20
        );
    }
}
