//! The signer, as the relay sees it.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use api::client::{Client, ClientError};
use api::journal::{
    BODIES_PER_PAGE_MAX, BodiesAnswer, BundleFile, CosignaturesRequest, SeenCheckpoint,
};
use api::problem::{Problem, ProblemKind};
use tlog::Hash;
use tlog::checkpoint::{Origin, SignedCheckpoint};
use tlog::note::{SignatureLine, VerifierKey};
use tokio::sync::{Mutex, watch};
use tokio::time::sleep;

use super::super::{chain, say};
use super::Newest;

/// After a failure; twice as long after each further one, up to the most.
pub const PAUSE: Duration = Duration::from_millis(50);
const PAUSE_MOST: Duration = Duration::from_secs(2);

/// A signer and its log.
pub struct Signer {
    client: Client,
    origin: Origin,
    key: VerifierKey,
    /// The last proofs that were asked for: witnesses mostly need the same ones.
    proofs: Mutex<VecDeque<Proof>>,
    /// The longest checkpoint that the signer has ever shown, or a witness.
    longest: std::sync::Mutex<Newest>,
}

/// How many proofs are kept.
const PROOFS: usize = 4;

struct Proof {
    from: u64,
    to: u64,
    path: Vec<Hash>,
}

impl Signer {
    /// The signer whose checkpoints this key signs.
    ///
    /// # Errors
    /// When the key's name is no origin.
    pub fn new(client: Client, key: VerifierKey) -> Result<Self, String> {
        let origin = key.name().as_str().parse();
        Ok(Self {
            client,
            origin: origin.map_err(|error| format!("log_key: {error}"))?,
            key,
            proofs: Mutex::default(),
            longest: std::sync::Mutex::default(),
        })
    }

    /// What the log is called.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// A checkpoint of the log, in somebody's hands.
    pub fn open(&self, note: &[u8]) -> Option<SignedCheckpoint> {
        SignedCheckpoint::open(note, &self.origin, std::slice::from_ref(&self.key)).ok()
    }

    /// Follows the newest checkpoint, for ever.
    pub async fn follow(self: &Arc<Self>, newest: &watch::Sender<Newest>) {
        let (mut covers, mut pause, mut trouble) = (None, PAUSE, String::new());
        loop {
            // Without an entry it would be one that is cosigned already.
            let asked = self.client.checkpoint(covers.or(Some(0))).await;
            let why = match asked.map(|text| self.open(text.as_bytes())) {
                Ok(Some(signed)) => {
                    let size = signed.head().size;
                    self.prefetch(covers.replace(size), size);
                    self.note(signed, newest);
                    pause = PAUSE;
                    trouble.clear();
                    continue;
                }
                Ok(None) => "the signer's checkpoint is not signed by log_key".to_owned(),
                // Nothing new for a while.
                Err(ClientError::Problem(problem)) if is_quiet(&problem, covers) => String::new(),
                Err(error) => {
                    // Shorter than what it has shown before: it is told so, and seals.
                    if is(&error, ProblemKind::NotFound) && covers.take().is_some() {
                        self.tell_longest().await;
                    }
                    told(&error)
                }
            };
            if !why.is_empty() && why != trouble {
                say(&format!("signer: {why}"));
                trouble = why;
            }
            sleep(pause).await;
            pause = pause.saturating_mul(2).min(PAUSE_MOST);
        }
    }

    /// Asks for the proof that witnesses will need once they have cosigned the one before.
    fn prefetch(self: &Arc<Self>, from: Option<u64>, to: u64) {
        if let Some(from) = from.filter(|from| *from < to) {
            let signer = Arc::clone(self);
            // Who needs it and does not find it asks again.
            tokio::spawn(async move { signer.proof(from, to).await.map(drop) });
        }
    }

    fn note(&self, signed: SignedCheckpoint, newest: &watch::Sender<Newest>) {
        let signed = Arc::new(signed);
        self.remember(Arc::clone(&signed));
        newest.send_if_modified(|newest| {
            let same = newest
                .as_ref()
                .is_some_and(|one| one.head() == signed.head());
            if !same {
                *newest = Some(signed);
            }
            !same
        });
    }

    /// Keeps it if none is longer.
    pub fn remember(&self, signed: Arc<SignedCheckpoint>) {
        let mut longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
        let longer = |one: &Arc<SignedCheckpoint>| one.head().size < signed.head().size;
        if longest.as_ref().is_none_or(longer) {
            *longest = Some(signed);
        }
    }

    /// Tells the signer of the longest checkpoint that is known: if its log does not contain that, it is an
    /// older copy or a fork, and seals.
    pub async fn tell_longest(&self) {
        let longest = self.longest.lock();
        let longest = longest.unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(longest) = longest {
            self.tell(&longest).await;
        }
    }

    /// Tells the signer of a checkpoint.
    pub async fn tell(&self, signed: &SignedCheckpoint) {
        let seen = SeenCheckpoint {
            checkpoint: signed.to_string(),
        };
        match self.client.tell_checkpoint(&seen).await {
            Ok(()) => {}
            Err(error) => say(&format!(
                "signer, told of its checkpoint of {} entries: {}",
                signed.head().size,
                told(&error)
            )),
        }
    }

    /// The proof that a tree of `to` entries begins with one of `from`.
    ///
    /// # Errors
    /// When the signer gives none.
    pub async fn proof(&self, from: u64, to: u64) -> Result<Vec<Hash>, String> {
        if from == 0 || from == to {
            return Ok(Vec::new());
        }
        let mut kept = self.proofs.lock().await;
        let same = |proof: &&Proof| (proof.from, proof.to) == (from, to);
        if let Some(proof) = kept.iter().find(same) {
            return Ok(proof.path.clone());
        }
        let answer = self.client.consistency(from, to).await;
        let answer = answer.map_err(|error| told(&error))?;
        let hash = |text: &String| Some(Hash::new(hex::decode(text).ok()?.try_into().ok()?));
        let path: Option<Vec<Hash>> = answer.path.iter().map(hash).collect();
        let path = path.ok_or("its proof has no hashes")?;
        if kept.len() >= PROOFS {
            kept.pop_front();
        }
        kept.push_back(Proof {
            from,
            to,
            path: path.clone(),
        });
        Ok(path)
    }

    /// The newest checkpoint that enough witnesses have cosigned, if there is one yet.
    ///
    /// # Errors
    /// When the signer gives none, or not its own.
    pub async fn cosigned(&self) -> Result<Option<SignedCheckpoint>, String> {
        match self.client.checkpoint(None).await {
            Ok(text) => match self.open(text.as_bytes()) {
                Some(signed) => Ok(Some(signed)),
                None => Err("the signer's checkpoint is not signed by log_key".to_owned()),
            },
            Err(error) if is(&error, ProblemKind::NoCheckpoint) => Ok(None),
            Err(error) => Err(told(&error)),
        }
    }

    /// What entries say, from this one on, so many at the most.
    ///
    /// # Errors
    /// When the signer does not tell.
    pub async fn page(&self, from: u64, count: u64) -> Result<BodiesAnswer, String> {
        let count = usize::try_from(count).unwrap_or(BODIES_PER_PAGE_MAX);
        let page = self.client.bodies(from, count.min(BODIES_PER_PAGE_MAX));
        page.await.map_err(|error| told(&error))
    }

    /// The files of a bundle that governed.
    ///
    /// # Errors
    /// When the signer does not give them.
    pub async fn bundle(&self, hash: [u8; 32]) -> Result<Vec<BundleFile>, String> {
        let bundle = self.client.bundle(hash).await;
        bundle
            .map(|bundle| bundle.files)
            .map_err(|error| told(&error))
    }

    /// Brings a cosignature.
    ///
    /// # Errors
    /// [`Unbrought`].
    pub async fn bring(&self, size: u64, line: &SignatureLine) -> Result<(), Unbrought> {
        let request = CosignaturesRequest {
            size,
            cosignatures: vec![line.to_string()],
        };
        match self.client.cosign(&request).await {
            Ok(_) => Ok(()),
            Err(error) if is(&error, ProblemKind::NotFound) => Err(Unbrought::TooLate),
            Err(error) => Err(Unbrought::Failed(told(&error))),
        }
    }
}

/// Why a cosignature was not taken.
pub enum Unbrought {
    /// The signer waits for that checkpoint no more.
    TooLate,
    /// It was not reached, or refused it.
    Failed(String),
}

fn is(error: &ClientError, kind: ProblemKind) -> bool {
    matches!(error, ClientError::Problem(problem) if problem.kind == kind)
}

/// Whether a signer that has shown a checkpoint has no further one yet.
fn is_quiet(problem: &Problem, covers: Option<u64>) -> bool {
    problem.kind == ProblemKind::NoCheckpoint && covers.is_some()
}

fn told(error: &ClientError) -> String {
    match error {
        ClientError::Problem(problem) => format!("{}: {}", problem.title, problem.detail),
        other => chain(other),
    }
}
