//! The relay: follows a signer's newest checkpoint, has every witness cosign it, and brings back what they
//! say. Nobody has to trust it: the signer verifies every cosignature, the witnesses every checkpoint.
//!
//! Each witness has a task of its own, so that one that hangs delays no other.

mod link;
mod signer;
mod task;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args as ClapArgs;
use serde::Deserialize;
use tlog::checkpoint::SignedCheckpoint;
use tlog::cosignature::WitnessKey;
use tlog::note::VerifierKey;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use self::link::Link;
use self::signer::Signer;
use super::error::{WitnessError, system};
use super::{Ended, config, say};
use crate::client::{self, PeerArgs};
use crate::failure::Failure;
use crate::output::Answer;

/// The most witnesses that are asked.
const WITNESSES_MAX: usize = 16;

/// `strongroom witness relay`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    peer: PeerArgs,
    /// The log's key and the witnesses, TOML.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    log_key: String,
    witness: Vec<WitnessText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WitnessText {
    url: String,
    key: String,
}

/// The newest checkpoint of the signer, once there is one.
type Newest = Option<Arc<SignedCheckpoint>>;

/// Relays until told to stop.
///
/// # Errors
/// [`WitnessError`], and those of the signer's certificates; nothing was asked.
pub fn run(args: &Args) -> Result<Answer, Failure> {
    let refused = |reason| WitnessError::Config {
        path: args.config.clone(),
        reason,
    };
    let text: Text = config::toml(&args.config)?;
    let log_key: VerifierKey = text
        .log_key
        .parse()
        .map_err(|error| refused(format!("log_key: {error}")))?;
    let witnesses = witnesses(&text.witness).map_err(refused)?;
    let signer = Signer::new(args.peer.shared()?, log_key).map_err(refused)?;
    client::runtime()?.block_on(relay(Arc::new(signer), witnesses))?;
    Answer::done(&Ended { ended: "stopped" })
}

fn witnesses(texts: &[WitnessText]) -> Result<Vec<(WitnessKey, Link)>, String> {
    if texts.is_empty() || texts.len() > WITNESSES_MAX {
        return Err(format!("there are 1 to {WITNESSES_MAX} witnesses"));
    }
    let read = |text: &WitnessText| {
        let key = text.key.parse();
        let key: WitnessKey = key.map_err(|error| format!("key {:?}: {error}", text.key))?;
        Ok((key, Link::new(&text.url)?))
    };
    texts.iter().map(read).collect()
}

async fn relay(
    signer: Arc<Signer>,
    witnesses: Vec<(WitnessKey, Link)>,
) -> Result<(), WitnessError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(system("signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("signals"))?;
    let (newest, _) = watch::channel::<Newest>(None);
    say(&format!(
        "relaying {} to {} witnesses",
        signer.origin(),
        witnesses.len()
    ));
    for (key, link) in witnesses {
        let task = task::Task::new(Arc::clone(&signer), key, link, newest.subscribe());
        tokio::spawn(task.run());
    }
    tokio::select! {
        () = signer.follow(&newest) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
