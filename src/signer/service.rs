//! What all connections share.

use std::{
    num::NonZeroU16,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use api::{
    problem::{Problem, ProblemKind},
    server::{Bounds, Rates, Tls},
};
use journal::{BundleStore, Busy, Journal, Reply, Stopped};
use keys::KeyPool;
use policy::Policy;
use tokio::sync::{Semaphore, oneshot};

use crate::{
    checkpoints::Checkpoints, devices::DeviceTrouble, heartbeat::Heartbeats, metrics::Metrics,
    seal::Seal, self_test::SelfTests, witnesses::Witnesses,
};

/// The daemon's parts, as its verbs use them.
pub struct Service {
    /// The journal.
    pub journal: Journal,
    /// The device.
    pub pool: KeyPool,
    /// The present TLS configuration.
    pub tls: RwLock<Arc<Tls>>,
    /// Requests a second and client.
    pub rates: Rates,
    /// Requests at the same time.
    pub in_flight: Semaphore,
    /// Counters.
    pub metrics: Metrics,
    /// Bounds.
    pub bounds: Bounds,
    /// Since when no new request is taken.
    pub stopping: AtomicBool,
    /// Whether the keys that the policy names were looked for, once.
    pub keys_registered: AtomicBool,
    /// The device's serial number and assurance level, once it was ready.
    pub device: Mutex<(String, String)>,
    /// Why devices cannot be used, in words, while they cannot.
    pub device_trouble: DeviceTrouble,
    /// Checkpoints of the journal.
    pub checkpoints: Checkpoints,
    /// Self-tests of the device.
    pub self_tests: SelfTests,
    /// What is known of heartbeats.
    pub heartbeats: Heartbeats,
    /// The bundles that governed.
    pub bundles: BundleStore,
    /// What witnesses have said of them.
    pub witnesses: Witnesses,
    /// Requests a second of clients that bring cosignatures, which ask a few times a checkpoint.
    pub relay_rates: Rates,
    /// Theirs at the same time, so that those who wait for them do not keep them out.
    pub relay_in_flight: Semaphore,
    /// Requests a second of those who come by the officers' listener.
    pub officer_rates: Rates,
    /// Theirs at the same time: whoever fills all other places takes none of these.
    pub officer_in_flight: Semaphore,
    /// Statements a second of each attester, whoever brings them.
    pub attester_rates: Rates,
    /// Why nothing is signed any more, since the journal was shown not to be as it was left.
    pub sealed: OnceLock<Seal>,
}

impl Service {
    /// The policy that governs.
    ///
    /// # Errors
    /// A problem before the first bundle is active.
    pub fn policy(&self) -> Result<Arc<Policy>, Problem> {
        let none = || Problem::new(ProblemKind::Sealed, "No policy governs yet.");
        self.journal.state().policy().cloned().ok_or_else(none)
    }

    /// How many entries may be known outside, with the signatures among them.
    pub fn releasable(&self) -> u64 {
        let covered = self.checkpoints.covered();
        let Ok(policy) = self.policy() else {
            return 0;
        };
        match &policy.witnesses {
            Some(quorum) => self.witnesses.witnessed(quorum).min(covered),
            None => covered,
        }
    }

    /// Why nothing that is signed would be released, if so.
    pub fn unwitnessed(&self) -> Option<String> {
        let policy = self.policy().ok()?;
        self.witnesses.trouble(policy.witnesses.as_ref()?)
    }

    /// The present TLS configuration.
    pub fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.tls.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets new connections use another TLS configuration.
    pub fn set_tls(&self, tls: Tls) {
        *self.tls.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tls);
    }

    /// Whether the daemon is stopping.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Why there is no device, in words, also where nobody has said so.
    pub fn why_no_device(&self) -> String {
        let mut status = self.pool.status().into_iter();
        let open = status.any(|one| one.attached && !one.healthy());
        match self.device_trouble.said() {
            // Others may be in trouble besides.
            _ if open => {
                "The device failed again and again and is not asked before it has answered a probe."
                    .into()
            }
            Some(trouble) => trouble,
            None => "The device does not answer; it is being restarted.".into(),
        }
    }

    /// When to ask again while there is no device, in whole seconds.
    pub fn device_again_secs(&self) -> NonZeroU16 {
        let left = self.pool.status().into_iter().map(|one| one.breaker.left());
        let left = left.min().unwrap_or_default().as_secs();
        NonZeroU16::MIN.saturating_add(u16::try_from(left).unwrap_or(u16::MAX))
    }

    /// The device's serial number and assurance level.
    pub fn device(&self) -> (String, String) {
        self.device
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Remembers the device that is ready.
    pub fn set_device(&self, serial: &str, assurance: &str) {
        *self.device.lock().unwrap_or_else(PoisonError::into_inner) =
            (serial.to_owned(), assurance.to_owned());
    }

    /// Whether the device answers and its keys are known.
    pub fn device_ready(&self) -> bool {
        self.pool.healthy() && self.keys_registered.load(Ordering::Acquire)
    }

    /// Has no devices used but those that the bundle names which governs.
    pub fn name_devices(&self) {
        if let Ok(policy) = self.policy() {
            self.pool.name_tokens(policy.devices.as_ref());
        }
    }

    /// Why nothing is signed any more, if so.
    pub fn sealed(&self) -> Option<&Seal> {
        let stopped = self.journal.stopped();
        let damaged = stopped.and_then(|stopped| Some((stopped.seal()?, &stopped.reason)));
        match damaged {
            Some((name, reason)) => Some(self.sealed.get_or_init(|| {
                let seal = Seal::new(name, reason);
                seal.log();
                seal
            })),
            None => self.sealed.get(),
        }
    }

    /// Signs nothing from here on, whatever is asked, until a person has found out why.
    pub async fn seal(&self, seal: Seal) {
        if self.sealed.set(seal.clone()).is_err() {
            return;
        }
        seal.log();
        let stopped = ask(|reply| {
            self.journal.stop(format!("sealed: {seal}"), reply);
            Ok(())
        });
        // It may have stopped by itself before.
        let _stopped = stopped.await;
    }

    /// Waits until a device answers, or for `patience` at most.
    pub async fn device_back(&self, patience: Duration) -> bool {
        self.pool.ready_within(patience).await
    }
}

/// What is answered where the journal's writer is busy.
pub fn busy(error: &Busy) -> Problem {
    Problem::new(ProblemKind::Busy, format!("{error}; try again."))
}

/// Asks the journal's writer and waits for its answer.
///
/// # Errors
/// A problem when the writer is busy or stopped.
pub async fn ask<T: Send + 'static>(
    send: impl FnOnce(Reply<Result<T, Stopped>>) -> Result<(), Busy>,
) -> Result<T, Problem> {
    let (reply, answer) = oneshot::channel();
    // Who no longer waits for the answer does not hold up the writer.
    let reply = Reply::new(move |result| drop(reply.send(result)));
    send(reply).map_err(|error| busy(&error))?;
    match answer.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(stopped)) => Err(Problem::new(
            ProblemKind::JournalStopped,
            stopped.to_string(),
        )),
        Err(_) => Err(Problem::new(
            ProblemKind::JournalStopped,
            "The journal gave no answer.",
        )),
    }
}
