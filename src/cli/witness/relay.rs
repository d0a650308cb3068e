//! The relay: follows a signer's newest checkpoint, has every witness cosign it, and brings back what they
//! say. Nobody has to trust it: the signer verifies every cosignature, the witnesses every checkpoint.
//!
//! Each witness has a task of its own, so that one that hangs delays no other. One that keeps bodies has
//! a second one, on a thread and with connections of its own, so that large pages delay no cosignature.

mod cutter;
mod keep;
mod signer;
mod task;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args as ClapArgs;
use serde::Deserialize;
use tlog::checkpoint::SignedCheckpoint;
use tlog::cosignature::WitnessKey;
use tlog::note::VerifierKey;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::cutter::Cutter;
use self::keep::Keep;
use self::signer::Signer;
use super::error::{WitnessError, system};
use super::link::{Link, Place};
use super::tls::ClientPem;
use super::{Ended, chain, config, say};
use crate::client::{self, PeerArgs};
use crate::failure::Failure;
use crate::files;
use crate::output::Answer;

/// The most witnesses that are asked.
const WITNESSES_MAX: usize = 16;
/// The largest file of roots that is read.
const CA_MAX_BYTES: u64 = 1 << 20;

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
    /// How long entries wait for those that fill their tile, before they are brought without.
    #[serde(default = "bodies_after_secs")]
    bodies_after_secs: u64,
    witness: Vec<WitnessText>,
}

fn bodies_after_secs() -> u64 {
    60
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WitnessText {
    url: String,
    key: String,
    /// Who certifies it, where it is https://.
    ca: Option<PathBuf>,
    /// Whether it keeps bodies.
    #[serde(default)]
    bodies: bool,
}

/// A witness of the configuration.
struct Witness {
    key: WitnessKey,
    place: Place,
    bodies: bool,
}

/// How bodies are brought.
struct Keeping {
    cutter: Arc<Cutter>,
    after: Duration,
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
    let own = args.peer.credentials()?;
    let witnesses = witnesses(args, &text.witness, &own).map_err(refused)?;
    let signer = || -> Result<_, Failure> {
        let signer = Signer::new(args.peer.shared()?, log_key.clone());
        Ok(Arc::new(signer.map_err(&refused)?))
    };
    let keeping = Keeping {
        cutter: Arc::new(Cutter::new(signer()?)),
        after: Duration::from_secs(text.bodies_after_secs),
    };
    client::runtime()?.block_on(relay(signer()?, witnesses, keeping))?;
    Answer::done(&Ended { ended: "stopped" })
}

fn witnesses(
    args: &Args,
    texts: &[WitnessText],
    own: &client::Credentials,
) -> Result<Vec<Witness>, String> {
    if texts.is_empty() || texts.len() > WITNESSES_MAX {
        return Err(format!("there are 1 to {WITNESSES_MAX} witnesses"));
    }
    let folder = args.config.parent().unwrap_or(Path::new(""));
    let read = |text: &WitnessText| {
        let key = text.key.parse();
        let key: WitnessKey = key.map_err(|error| format!("key {:?}: {error}", text.key))?;
        let roots = text.ca.as_ref().map(|ca| {
            let read = files::read(&folder.join(ca), CA_MAX_BYTES);
            read.map_err(|error| format!("ca of {}: {}", text.url, chain(&error)))
        });
        let shown = ClientPem {
            certificate: &own.certificate,
            key: &own.key,
        };
        let place = Place::new(&text.url, roots.transpose()?.as_deref(), Some(shown))?;
        if text.bodies && !place.is_https() {
            return Err(format!(
                "url {:?}: bodies are put over https:// alone",
                text.url
            ));
        }
        Ok(Witness {
            key,
            place,
            bodies: text.bodies,
        })
    };
    texts.iter().map(read).collect()
}

async fn relay(
    signer: Arc<Signer>,
    witnesses: Vec<Witness>,
    keeping: Keeping,
) -> Result<(), WitnessError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(system("signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("signals"))?;
    let (newest, _) = watch::channel::<Newest>(None);
    say(&format!(
        "relaying {} to {} witnesses",
        signer.origin(),
        witnesses.len()
    ));
    let mut keeps = Vec::new();
    for witness in witnesses {
        let Witness { key, place, bodies } = witness;
        if bodies {
            let one = (key.name().to_string(), Link::to(place.clone()));
            let cutter = Arc::clone(&keeping.cutter);
            keeps.push(Keep::new(cutter, one, keeping.after, newest.subscribe()));
        }
        let link = Link::to(place);
        let task = task::Task::new(Arc::clone(&signer), key, link, newest.subscribe());
        tokio::spawn(task.run());
    }
    keep_all(keeps).map_err(system("a thread"))?;
    tokio::select! {
        () = signer.follow(&newest) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Brings bodies to those that keep them, as long as the process runs.
fn keep_all(keeps: Vec<Keep>) -> io::Result<()> {
    let keep = async {
        let mut tasks = JoinSet::new();
        for keep in keeps {
            tasks.spawn(keep.run());
        }
        while tasks.join_next().await.is_some() {}
    };
    let thread = std::thread::Builder::new().name("bodies".to_owned());
    let run = move || match client::runtime() {
        Ok(runtime) => runtime.block_on(keep),
        Err(error) => say(&format!("bodies are not brought: {}", chain(&error))),
    };
    thread.spawn(run).map(drop)
}
