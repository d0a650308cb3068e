//! One witness: has it cosign the newest checkpoint, again and again.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tlog::TreeHead;
use tlog::checkpoint::SignedCheckpoint;
use tlog::cosignature::WitnessKey;
use tlog::note::SignatureLine;
use tlog::witness::{AddCheckpoint, Answer};
use tokio::sync::watch;
use tokio::time::sleep;

use super::super::link::Link;
use super::super::{chain, say};
use super::Newest;
use super::signer::{PAUSE, Signer, Unbrought};

/// After failures, at the most.
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// A witness and what is known of it.
pub struct Task {
    signer: Arc<Signer>,
    key: WitnessKey,
    link: Link,
    newest: watch::Receiver<Newest>,
    /// The size that it cosigned last, as far as is known.
    latest_size: u64,
    trouble: String,
}

/// What came of one try.
enum Outcome {
    /// It cosigned, and the signer knows, or need not.
    Done,
    /// It said from which size to start.
    Again,
    /// It will not cosign this checkpoint.
    Contradicted(String),
    /// Something failed.
    Failed(String),
}

impl Task {
    /// For this witness.
    pub fn new(
        signer: Arc<Signer>,
        key: WitnessKey,
        link: Link,
        newest: watch::Receiver<Newest>,
    ) -> Self {
        Self {
            signer,
            key,
            link,
            newest,
            latest_size: 0,
            trouble: String::new(),
        }
    }

    /// For ever, or until nobody follows the signer.
    pub async fn run(mut self) {
        let mut done: Option<TreeHead> = None;
        let mut pause = PAUSE;
        loop {
            let other =
                |newest: &Newest| newest.as_ref().is_some_and(|one| done != Some(*one.head()));
            let target = match self.newest.wait_for(other).await {
                Ok(newest) => newest.clone(),
                Err(_) => return,
            };
            let Some(target) = target else { continue };
            match self.submit(&target).await {
                Outcome::Done => {
                    done = Some(*target.head());
                    pause = PAUSE;
                    self.trouble.clear();
                    continue;
                }
                Outcome::Again if pause == PAUSE => {}
                Outcome::Again => self.say("it names another size each time".to_owned()),
                Outcome::Contradicted(why) => {
                    done = Some(*target.head());
                    self.say(why);
                    self.show_what_it_saw().await;
                }
                Outcome::Failed(why) => self.say(why),
            }
            if pause > PAUSE {
                sleep(pause).await;
            }
            pause = pause.saturating_mul(2).min(PAUSE_MOST);
        }
    }

    /// Says what is wrong, once.
    fn say(&mut self, why: String) {
        if self.trouble != why {
            say(&format!("{}: {why}", self.key.name()));
            self.trouble = why;
        }
    }

    async fn submit(&mut self, target: &SignedCheckpoint) -> Outcome {
        let size = target.head().size;
        let from = self.latest_size.min(size);
        let proof = match self.signer.proof(from, size).await {
            Ok(proof) => proof,
            Err(why) => return Outcome::Failed(format!("the signer gives no proof: {why}")),
        };
        let Ok(request) = AddCheckpoint::new(from, proof, target) else {
            return Outcome::Failed("the signer's proof is too long".to_owned());
        };
        let answered = self.link.post("/add-checkpoint", request.to_string()).await;
        let answered = match answered {
            Ok(answered) => answered,
            Err(error) => return Outcome::Failed(chain(&error)),
        };
        let content_type = answered.content_type.as_deref();
        match Answer::read(answered.status, content_type, &answered.body) {
            Ok(Answer::Cosigned(lines)) => self.bring(target, &lines).await,
            Ok(Answer::Stale { latest_size }) if latest_size > size => Outcome::Contradicted(
                format!("it has seen {latest_size} entries and the signer shows {size}"),
            ),
            Ok(Answer::Stale { latest_size }) => {
                self.latest_size = latest_size;
                Outcome::Again
            }
            Ok(Answer::Refused { status: 409 | 422 }) => {
                let why = format!("it has seen another log than the signer's of {size} entries");
                Outcome::Contradicted(why)
            }
            Ok(Answer::Refused { status }) => Outcome::Failed(format!("it answers {status}")),
            Err(error) => Outcome::Failed(chain(&error)),
        }
    }

    async fn bring(&mut self, target: &SignedCheckpoint, lines: &[SignatureLine]) -> Outcome {
        let size = target.head().size;
        let mut own = lines.iter().filter(|line| self.key.is_named_by(line));
        let verifies = |line: &&SignatureLine| self.key.verify(target.checkpoint(), line).is_ok();
        let Some(line) = own.find(verifies) else {
            return Outcome::Failed("its answer is no cosignature by its key".to_owned());
        };
        self.latest_size = size;
        match self.signer.bring(size, line).await {
            Ok(()) | Err(Unbrought::TooLate) => Outcome::Done,
            Err(Unbrought::Failed(why)) => {
                Outcome::Failed(format!("the signer does not take its cosignature: {why}"))
            }
        }
    }

    /// Lets the signer see what this witness has seen, if it shows that, or the longest that is known.
    async fn show_what_it_saw(&mut self) {
        let hash = hex::encode(Sha256::digest(self.signer.origin().as_str()));
        let shown = self.link.get(&format!("/latest/{hash}")).await;
        let seen = shown
            .ok()
            .filter(|answered| answered.status == 200)
            .and_then(|answered| self.signer.open(&answered.body));
        if let Some(seen) = seen {
            // The longest alone would not show a fork that has grown longer.
            self.signer.tell(&seen).await;
            self.signer.remember(Arc::new(seen));
        }
        self.signer.tell_longest().await;
    }
}
