//! Makes checkpoints when they are due: 256 entries, one second after the oldest, or as soon as an answer
//! waits for witnesses. Where there are witnesses one is asked for ahead, and is ordered in the flush of the next
//! decision or signatures, with which nothing goes on before it is cosigned.

use std::{pin::pin, sync::Arc, time::Duration};

use api::problem::Problem;
use journal::{CheckpointOutcome, CheckpointWhen};
use keys::{Authorized, SignError, Signature};
use policy::StateError;
use thiserror::Error;
use tlog::{checkpoint::SignedCheckpoint, cosignature::Quorum, note::ForeignSignature};

use crate::{
    checkpoints::LogKey,
    heartbeat,
    service::{Service, ask, busy},
};

/// How long to wait after a first failure; twice as long after each further one, up to the most.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MOST: Duration = Duration::from_secs(30);

/// Why no checkpoint was made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// There is no key for it.
    #[error("no key signs checkpoints")]
    NoKey,
    /// No device answers. No call was numbered.
    #[error("no device answers")]
    NoDevice,
    /// The journal does not take it.
    #[error("the journal does not take a checkpoint: {}", .0.detail)]
    Journal(Problem),
    /// The key is not registered for it.
    #[error("the journal refuses the key")]
    Key(#[source] StateError),
    /// Its text is longer than a call takes.
    #[error("the checkpoint is too long")]
    Text(#[source] keys::protocol::TooLong),
    /// The device did not sign it.
    #[error("the device did not sign a checkpoint")]
    Sign(#[source] SignError),
    /// The signature is another kind's.
    #[error("the device made no signature of a checkpoint")]
    Algorithm,
    /// The signature is not the key's.
    #[error("the signature of a checkpoint is not the key's")]
    Foreign(#[source] ForeignSignature),
}

/// Makes checkpoints for ever. A device that fails is asked again later and later: each try takes an
/// entry and a number of its own.
pub async fn run(service: Arc<Service>) {
    let mut pause = PAUSE;
    while service.journal.stopped().is_none() {
        let made = match witnesses(&service).filter(|_| is_able(&service)) {
            Some(quorum) => {
                service.witnesses.until_paced(&quorum).await;
                make_ahead(&service).await
            }
            None => {
                until_due(&service).await;
                make(&service).await
            }
        };
        match made {
            Ok(()) => pause = PAUSE,
            Err(error) => {
                let why = crate::log::chain(&error);
                tracing::warn!(error = why, "no checkpoint was made");
                service.metrics.checkpoints_failed.increment();
                service.checkpoints.set_trouble(why);
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2).min(PAUSE_MOST);
            }
        }
    }
}

async fn until_due(service: &Service) {
    tokio::select! {
        () = service.checkpoints.until_due(&service.journal) => {}
        () = heartbeat::until_stale(&service.journal) => {}
    }
}

fn is_able(service: &Service) -> bool {
    service.checkpoints.key().is_some() && service.pool.healthy()
}

/// Makes one of all entries so far.
///
/// # Errors
/// [`CheckpointError`]; the one before stays the newest.
pub async fn make(service: &Service) -> Result<(), CheckpointError> {
    let key = service.checkpoints.key().ok_or(CheckpointError::NoKey)?;
    if !service.pool.healthy() {
        return Err(CheckpointError::NoDevice);
    }
    let name = key.id.name.clone();
    let ordered = ask(|reply| service.journal.checkpoint(name, CheckpointWhen::Now, reply));
    sign(service, &key, ordered.await).await
}

/// Makes one of the next decision or signatures and all before them, or of all entries so far once that is due.
async fn make_ahead(service: &Service) -> Result<(), CheckpointError> {
    let key = service.checkpoints.key().ok_or(CheckpointError::NoKey)?;
    let (name, when) = (key.id.name.clone(), CheckpointWhen::Ahead);
    let mut ordered = pin!(ask(|reply| service.journal.checkpoint(name, when, reply)));
    let outcome = tokio::select! {
        biased;
        outcome = &mut ordered => outcome,
        () = until_due(service) => match service.journal.checkpoint_due() {
            Ok(()) => ordered.await,
            Err(error) => Err(busy(&error)),
        },
    };
    sign(service, &key, outcome).await
}

/// Signs what was ordered, and takes it into service.
async fn sign(
    service: &Service,
    key: &LogKey,
    outcome: Result<CheckpointOutcome, Problem>,
) -> Result<(), CheckpointError> {
    let order = match outcome.map_err(CheckpointError::Journal)? {
        CheckpointOutcome::Order(order) => order,
        CheckpointOutcome::Refused(error) => return Err(CheckpointError::Key(error)),
    };
    let checkpoint = order.value().checkpoint().clone();
    let authorized = Authorized::from_checkpoint(order).map_err(CheckpointError::Text)?;
    let signatures = service.pool.sign(authorized).await;
    let signatures = signatures.map_err(CheckpointError::Sign)?;
    let value = signatures.first().and_then(Signature::ed25519);
    let value = value.ok_or(CheckpointError::Algorithm)?;
    let signed = SignedCheckpoint::sign(checkpoint, &key.verifier, &value)
        .map_err(CheckpointError::Foreign)?;
    match witnesses(service) {
        Some(_) => service.witnesses.add(signed.clone()),
        None => service.journal.covered(&signed),
    }
    let signed = service.checkpoints.publish(signed);
    service.heartbeats.offer(&service.journal.state(), &signed);
    service.metrics.checkpoints.increment();
    Ok(())
}

fn witnesses(service: &Service) -> Option<Quorum> {
    service.policy().ok()?.witnesses.clone()
}
