//! Self-tests: what the devices' own keys for it sign, when a device is taken into service and every hour.
//!
//! The answers are known as far as they can be: each signature is verified by the pool as any other, Ed25519
//! must sign one message twice in one way, and the nonces of ECDSA are looked at by the sentinel, from the first
//! minute on: also where the keys that spend sign too rarely to be looked at.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use api::problem::Problem;
use journal::{SelfTest, SelfTestOutcome};
use keys::{Authorized, KeyAlgorithm, MemberId, SignError, sentinel::Width};
use policy::StateError;
use thiserror::Error;
use tokio::time::Instant;
use tx::{Name, Time};

use crate::service::{Service, ask};

/// How long after one comes the next.
const EVERY: Duration = Duration::from_secs(3600);
/// How often is looked whether one is due.
const LOOK: Duration = Duration::from_millis(200);
/// How long after one that could not be made.
const AGAIN: Duration = Duration::from_secs(30);
/// ECDSA signatures of the first one: as many as the sentinel looks at.
const FIRST: usize = Width::Four.signatures();
/// ECDSA signatures of a later one.
const LATER: usize = 8;
/// Ed25519 signatures, of one message.
const SAME: usize = 2;

/// A key that is tested.
#[derive(Clone, Debug)]
pub struct TestKey {
    /// Its name.
    pub name: Name,
    /// Its algorithm.
    pub algorithm: KeyAlgorithm,
}

/// What is known of self-tests.
#[derive(Debug, Default)]
pub struct SelfTests(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    keys: Vec<TestKey>,
    passed: Option<Time>,
    /// What is wrong with the keys.
    key_trouble: Option<String>,
    /// What was wrong with the last one of a device.
    trouble: BTreeMap<MemberId, String>,
}

/// Why a self-test was not made, or not passed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SelfTestError {
    /// The journal does not take it.
    #[error("the journal does not take a self-test: {}", .0.detail)]
    Journal(Problem),
    /// A key is not for it, or frozen.
    #[error("the journal refuses the key")]
    Key(#[source] StateError),
    /// A message is longer than a call takes.
    #[error("a message is too long")]
    Message(#[source] keys::protocol::TooLong),
    /// The device did not sign.
    #[error("the device did not pass a self-test")]
    Sign(#[source] SignError),
}

impl SelfTests {
    /// From here on these keys are tested; or none, and why.
    pub fn set_keys(&self, keys: Result<Vec<TestKey>, String>) {
        let mut known = self.lock();
        match keys {
            Ok(keys) => {
                known.keys = keys;
                known.key_trouble = None;
            }
            Err(why) => {
                known.keys.clear();
                known.key_trouble = Some(why);
            }
        }
    }

    /// How many keys are tested.
    pub fn keys(&self) -> usize {
        self.lock().keys.len()
    }

    /// When the last one was passed, in this process.
    pub fn passed(&self) -> Option<Time> {
        self.lock().passed
    }

    /// Why the last one was not passed, if it was not; or that there is none.
    pub fn trouble(&self) -> Option<String> {
        let known = self.lock();
        let none = || "the configuration names no self_test_keys of the device".to_owned();
        let trouble = known.key_trouble.as_ref();
        let trouble = trouble.or_else(|| known.trouble.values().next()).cloned();
        trouble.or_else(|| known.keys.is_empty().then(none))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a device is tested next, and with how many ECDSA signatures by each key.
#[derive(Clone, Copy, Debug)]
struct Due {
    at: Instant,
    signatures: usize,
}

/// When each device is tested, by when it was.
#[derive(Debug, Default)]
struct Schedule(BTreeMap<MemberId, Due>);

impl Schedule {
    /// With how many ECDSA signatures by each key a device is tested now, if it is.
    fn due(&mut self, member: MemberId, now: Instant) -> Option<usize> {
        let first = Due {
            at: now,
            signatures: FIRST,
        };
        let due = self.0.entry(member).or_insert(first);
        (due.at <= now).then_some(due.signatures)
    }

    /// It was tested: passed, or to be tested again in the same way.
    fn tested(&mut self, member: MemberId, passed: bool, now: Instant) {
        let Some(due) = self.0.get_mut(&member) else {
            return;
        };
        let pause = match passed {
            true => EVERY,
            false => AGAIN,
        };
        due.at = now.checked_add(pause).unwrap_or(now);
        if passed {
            due.signatures = LATER;
        }
    }
}

/// Tests for ever, each device by itself. One that does not answer is asked again later; one that answers
/// wrongly has frozen everything by then.
pub async fn run(service: Arc<Service>) {
    let mut schedule = Schedule::default();
    while service.journal.stopped().is_none() {
        tokio::time::sleep(LOOK).await;
        if service.self_tests.keys() == 0 || !service.device_ready() {
            continue;
        }
        for status in service.pool.status() {
            let member = status.member;
            let due = schedule.due(member, Instant::now());
            if let Some(signatures) = due.filter(|_| status.healthy()) {
                let passed = test(&service, member, signatures).await;
                schedule.tested(member, passed, Instant::now());
            }
        }
    }
}

/// Tests a device; whether it passed.
async fn test(service: &Service, member: MemberId, signatures: usize) -> bool {
    match make(service, member, signatures).await {
        Ok(()) => {
            tracing::info!(device = member.0, "the device passed a self-test");
            true
        }
        Err(error) => {
            let why = crate::log::chain(&error);
            tracing::warn!(device = member.0, error = why, "no self-test was passed");
            service.self_tests.lock().trouble.insert(member, why);
            false
        }
    }
}

/// Makes one on a device, with so many ECDSA signatures by each key.
///
/// # Errors
/// [`SelfTestError`].
pub async fn make(
    service: &Service,
    member: MemberId,
    signatures: usize,
) -> Result<(), SelfTestError> {
    let keys = service.self_tests.lock().keys.clone();
    for key in keys {
        let tests = tests(&key, service.journal.now().lo, signatures);
        let outcome = ask(|reply| service.journal.self_test(tests, reply));
        let order = match outcome.await.map_err(SelfTestError::Journal)? {
            SelfTestOutcome::Order(order) => order,
            SelfTestOutcome::Refused(error) => return Err(SelfTestError::Key(error)),
        };
        let authorized = Authorized::from_self_test(order).map_err(SelfTestError::Message)?;
        let signed = service.pool.sign_on(member, authorized).await;
        let _verified = signed.map_err(SelfTestError::Sign)?;
    }
    let now = service.journal.now().lo;
    let mut known = service.self_tests.lock();
    known.passed = Some(now);
    known.trouble.remove(&member);
    Ok(())
}

/// Messages that were not signed before, by which nonces are to be others; and one that always is, by which
/// they are to be the same.
fn tests(key: &TestKey, now: Time, signatures: usize) -> Vec<SelfTest> {
    let test = |label: String| SelfTest {
        key: key.name.clone(),
        algorithm: key.algorithm,
        label,
    };
    match key.algorithm {
        KeyAlgorithm::Secp256k1 | KeyAlgorithm::Bip340 => (0..signatures)
            .map(|number| test(format!("{} {number}", now.millis())))
            .collect(),
        KeyAlgorithm::Ed25519 => (0..SAME).map(|_| test("the same".to_owned())).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_device_is_tested_at_once_every_hour_and_soon_after_it_did_not_pass() {
        let (main, second) = (MemberId(0), MemberId(1));
        let mut schedule = Schedule::default();
        let start = Instant::now();
        assert_eq!(schedule.due(main, start), Some(112));
        schedule.tested(main, false, start);
        assert_eq!(schedule.due(main, start + 29 * SECOND), None);
        assert_eq!(schedule.due(main, start + 30 * SECOND), Some(112));
        let passed = start + 31 * SECOND;
        schedule.tested(main, true, passed);
        assert_eq!(schedule.due(main, passed + HOUR - SECOND), None);
        assert_eq!(schedule.due(main, passed + HOUR), Some(8));
        // Nobody tested it in time: it stays due.
        assert_eq!(schedule.due(main, passed + 2 * HOUR), Some(8));
        schedule.tested(main, false, passed + 2 * HOUR);
        let again = passed + 2 * HOUR + 30 * SECOND;
        assert_eq!(schedule.due(main, again), Some(8));
        // Each by itself.
        assert_eq!(schedule.due(second, passed), Some(112));
    }
}
