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
use tokio::task::JoinHandle;
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
    /// Its last cosignature on the way to the signer, while it is asked for the next one.
    on_its_way: Option<JoinHandle<Result<(), Unbrought>>>,
    trouble: String,
}

/// What comes next.
enum Next {
    /// A checkpoint to be cosigned, if there is one.
    Newest(Newest),
    /// What came of the cosignature that was on its way.
    Brought(Result<(), String>),
}

/// What came of one try.
enum Outcome {
    /// It cosigned, which the signer is being told.
    Cosigned,
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
            on_its_way: None,
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
            let next = tokio::select! {
                biased;
                brought = brought(&mut self.on_its_way) => Next::Brought(brought),
                newest = self.newest.wait_for(other) => match newest {
                    Ok(newest) => Next::Newest(newest.clone()),
                    Err(_) => return,
                },
            };
            let target = match next {
                Next::Newest(Some(target)) => target,
                Next::Newest(None) => continue,
                Next::Brought(Ok(())) => {
                    pause = PAUSE;
                    self.trouble.clear();
                    continue;
                }
                Next::Brought(Err(why)) => {
                    done = None;
                    self.say(why);
                    pause = rest(pause).await;
                    continue;
                }
            };
            match self.submit(&target).await {
                Outcome::Cosigned => {
                    done = Some(*target.head());
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
            pause = rest(pause).await;
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
        if self.on_its_way.is_some()
            && let Err(why) = brought(&mut self.on_its_way).await
        {
            return Outcome::Failed(why);
        }
        let (signer, line) = (Arc::clone(&self.signer), line.clone());
        self.on_its_way = Some(tokio::spawn(async move { signer.bring(size, &line).await }));
        Outcome::Cosigned
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

/// Sleeps after all failures but the first. Gives how long after the next one.
async fn rest(pause: Duration) -> Duration {
    if pause > PAUSE {
        sleep(pause).await;
    }
    pause.saturating_mul(2).min(PAUSE_MOST)
}

/// What comes of the cosignature that is on its way; it waits for ever if there is none.
async fn brought(on_its_way: &mut Option<JoinHandle<Result<(), Unbrought>>>) -> Result<(), String> {
    let Some(bringing) = on_its_way else {
        return std::future::pending().await;
    };
    let brought = bringing.await;
    *on_its_way = None;
    match brought {
        Ok(Ok(()) | Err(Unbrought::TooLate)) => Ok(()),
        Ok(Err(Unbrought::Failed(why))) => {
            Err(format!("the signer does not take its cosignature: {why}"))
        }
        Err(error) => Err(format!("its cosignature was not brought: {error}")),
    }
}
