//! Proof that the signer's log contains a decision, before what it decided is sent.
//!
//! Those who wait together share one question: whoever has the log asks for all.

use std::{
    future::Future,
    mem,
    sync::{Mutex as Held, PoisonError},
};

use api::{
    client::{Client, ClientError},
    journal::{
        ConsistencyAnswer, PROOFS_PER_ANSWER_MAX, ProofsAnswer, ProofsRequest, SeenCheckpoint,
    },
    known::KnownLog,
    signing::Receipt,
};
use tokio::sync::{Mutex, oneshot};

use crate::text::chain;

/// Where proofs come from.
pub(super) trait Proofs: Sync {
    fn checkpoint(&self, covers: u64) -> impl Future<Output = Result<String, ClientError>> + Send;
    fn tell(&self, seen: SeenCheckpoint) -> impl Future<Output = Result<(), ClientError>> + Send;
    fn consistency(
        &self,
        from: u64,
        to: u64,
    ) -> impl Future<Output = Result<ConsistencyAnswer, ClientError>> + Send;
    fn proofs(
        &self,
        request: ProofsRequest,
    ) -> impl Future<Output = Result<ProofsAnswer, ClientError>> + Send;
}

/// The signer's log, and who waits for proofs of it.
#[derive(Debug)]
pub(super) struct Prover {
    log: Mutex<KnownLog>,
    waiting: Held<Vec<Wanted>>,
}

#[derive(Debug)]
struct Wanted {
    receipt: Receipt,
    answer: oneshot::Sender<Result<(), String>>,
}

impl Prover {
    pub(super) fn new(log: KnownLog) -> Self {
        Self {
            log: Mutex::new(log),
            waiting: Held::default(),
        }
    }

    /// Waits until the log provably contains the decision of a receipt.
    ///
    /// # Errors
    /// What happened, for people; nothing is proved then, and it may be asked again.
    pub(super) async fn prove(&self, from: &impl Proofs, receipt: &Receipt) -> Result<(), String> {
        let (answer, mut outcome) = oneshot::channel();
        self.waiting().push(Wanted {
            receipt: receipt.clone(),
            answer,
        });
        let mut log = tokio::select! {
            biased;
            answered = &mut outcome => return answered.unwrap_or_else(|_| Err(given_up())),
            log = self.log.lock() => log,
        };
        if let Ok(answered) = outcome.try_recv() {
            return answered;
        }
        let wanted = mem::take(&mut *self.waiting());
        round(from, &mut log, wanted).await;
        drop(log);
        outcome.await.unwrap_or_else(|_| Err(given_up()))
    }

    /// Tells the signer what was seen of its log. Who waits for proofs does so as well.
    ///
    /// # Errors
    /// What happened, for people.
    pub(super) async fn remind(&self, of: &impl Proofs) -> Result<(), String> {
        match self.log.try_lock() {
            Ok(log) => tell(of, &log).await,
            Err(_) => Ok(()),
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Wanted>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn given_up() -> String {
    "who asked for the proof gave it up".into()
}

/// Answers all that wait.
async fn round(from: &impl Proofs, log: &mut KnownLog, wanted: Vec<Wanted>) {
    let last = wanted.iter().map(|one| one.receipt.entry).max();
    if let Some(last) = last
        && let Err(detail) = cover(from, log, last).await
    {
        for one in wanted {
            // Who no longer waits does not hear it.
            let _gone = one.answer.send(Err(detail.clone()));
        }
        return;
    }
    let mut wanted = wanted.into_iter();
    loop {
        let some: Vec<_> = wanted.by_ref().take(PROOFS_PER_ANSWER_MAX).collect();
        if some.is_empty() {
            return;
        }
        let entries = some.iter().map(|one| one.receipt.entry).collect();
        let size = log.covered();
        let answer = from.proofs(ProofsRequest { size, entries }).await;
        let mut proofs = answer.map(|answer| answer.proofs.into_iter());
        for one in some {
            let proved = match &mut proofs {
                Ok(proofs) => checked(log, &one.receipt, proofs.next()),
                Err(error) => Err(chain(error)),
            };
            let _gone = one.answer.send(proved);
        }
    }
}

fn checked(
    log: &KnownLog,
    receipt: &Receipt,
    proof: Option<api::journal::EntryProof>,
) -> Result<(), String> {
    let proof = proof.filter(|proof| proof.entry == receipt.entry);
    let proof = proof.ok_or("the signer's proof is of another entry")?;
    log.proves(receipt, &proof.path)
        .map_err(|error| chain(&error))
}

async fn tell(to: &impl Proofs, log: &KnownLog) -> Result<(), String> {
    let Some(seen) = log.seen() else {
        return Ok(());
    };
    let checkpoint = seen.to_string();
    let told = to.tell(SeenCheckpoint { checkpoint }).await;
    told.map_err(|error| chain(&error))
}

/// Brings the known log as far as it must be. What was seen is told to the signer first: one that was
/// put back to an older copy seals itself by it.
async fn cover(from: &impl Proofs, log: &mut KnownLog, entry: u64) -> Result<(), String> {
    if log.covered() > entry {
        return Ok(());
    }
    tell(from, log).await?;
    let note = from.checkpoint(entry).await;
    let newer = log.open(&note.map_err(|error| chain(&error))?);
    let newer = newer.map_err(|error| chain(&error))?;
    let (had, has) = (log.covered(), newer.head().size);
    let path = if had == 0 || has <= had {
        Vec::new()
    } else {
        let answer = from.consistency(had, has).await;
        answer.map_err(|error| chain(&error))?.path
    };
    log.take(newer, &path).map_err(|error| chain(&error))?;
    Ok(())
}

impl Proofs for Client {
    async fn checkpoint(&self, covers: u64) -> Result<String, ClientError> {
        Self::checkpoint(self, Some(covers)).await
    }

    async fn tell(&self, seen: SeenCheckpoint) -> Result<(), ClientError> {
        self.tell_checkpoint(&seen).await
    }

    async fn consistency(&self, from: u64, to: u64) -> Result<ConsistencyAnswer, ClientError> {
        Self::consistency(self, from, to).await
    }

    async fn proofs(&self, request: ProofsRequest) -> Result<ProofsAnswer, ClientError> {
        Self::proofs(self, &request).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use api::journal::EntryProof;
    use ed25519_dalek::{Signer as _, SigningKey};
    use tlog::{
        MemoryTree,
        checkpoint::{Checkpoint, SignedCheckpoint},
        consistency_proof, inclusion_proof, leaf_hash,
        note::VerifierKey,
    };

    use super::*;

    const NAME: &str = "strongroom/main/0123456789abcdef";

    /// A signer whose log has an entry for each receipt.
    struct Log {
        tree: Held<MemoryTree>,
        asked: AtomicUsize,
        told: Held<Vec<String>>,
        may_answer: tokio::sync::Semaphore,
    }

    fn secret() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn key() -> VerifierKey {
        VerifierKey::new(NAME.parse().unwrap(), secret().verifying_key().as_bytes()).unwrap()
    }

    fn prover() -> Prover {
        Prover::new(KnownLog::pinned(&key().to_string()).unwrap())
    }

    fn receipt(entry: u64) -> Receipt {
        Receipt {
            version: 1,
            log: "00".repeat(32),
            entry,
            salt: "5a".repeat(32),
            body: format!("entry {entry}"),
            inclusion: None,
        }
    }

    fn lines(hashes: &[tlog::Hash]) -> Vec<String> {
        hashes.iter().map(ToString::to_string).collect()
    }

    impl Log {
        fn of(entries: u64) -> Self {
            let log = Self {
                tree: Held::default(),
                asked: AtomicUsize::new(0),
                told: Held::default(),
                may_answer: tokio::sync::Semaphore::new(1_000),
            };
            log.grow(0, entries);
            log
        }

        fn grow(&self, from: u64, to: u64) {
            let mut tree = self.tree.lock().unwrap();
            for entry in from..to {
                let leaf = receipt(entry).leaf().unwrap();
                tree.append(leaf_hash(&leaf)).unwrap();
            }
        }
    }

    impl Proofs for Log {
        async fn checkpoint(&self, _covers: u64) -> Result<String, ClientError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let _pass = self.may_answer.acquire().await.unwrap();
            let head = self.tree.lock().unwrap().head();
            let checkpoint = Checkpoint::new(NAME.parse().unwrap(), head).unwrap();
            let signature = secret().sign(checkpoint.to_string().as_bytes()).to_bytes();
            let signed = SignedCheckpoint::sign(checkpoint, &key(), &signature);
            Ok(signed.unwrap().to_string())
        }

        async fn tell(&self, seen: SeenCheckpoint) -> Result<(), ClientError> {
            self.told.lock().unwrap().push(seen.checkpoint);
            Ok(())
        }

        async fn consistency(&self, from: u64, to: u64) -> Result<ConsistencyAnswer, ClientError> {
            let tree = self.tree.lock().unwrap();
            let path = lines(&consistency_proof(&*tree, from, to).unwrap());
            Ok(ConsistencyAnswer { path })
        }

        async fn proofs(&self, request: ProofsRequest) -> Result<ProofsAnswer, ClientError> {
            assert!(request.is_bounded());
            let tree = self.tree.lock().unwrap();
            let proof = |entry: &u64| EntryProof {
                entry: *entry,
                path: lines(&inclusion_proof(&*tree, *entry, request.size).unwrap()),
            };
            let proofs = request.entries.iter().map(proof).collect();
            Ok(ProofsAnswer { proofs })
        }
    }

    #[tokio::test]
    async fn what_the_log_contains_is_proved_as_it_grows_and_what_was_seen_is_told() {
        let (log, prover) = (Log::of(5), prover());
        prover.prove(&log, &receipt(4)).await.unwrap();
        prover.prove(&log, &receipt(0)).await.unwrap();
        assert_eq!(log.asked.load(Ordering::SeqCst), 1, "covered already");
        log.grow(5, 700);
        prover.prove(&log, &receipt(699)).await.unwrap();
        let told = log.told.lock().unwrap().clone();
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with(&format!("{NAME}\n5\n")), "{}", told[0]);
    }

    #[tokio::test]
    async fn another_decision_is_not_proved() {
        let (log, prover) = (Log::of(5), prover());
        let mut forged = receipt(3);
        forged.body.push('!');
        let refused = prover.prove(&log, &forged).await.unwrap_err();
        assert!(refused.contains("entry 3 is not proved"), "{refused}");
        prover.prove(&log, &receipt(3)).await.unwrap();
    }

    #[tokio::test]
    async fn a_log_that_shrank_proves_nothing_more() {
        let prover = prover();
        prover.prove(&Log::of(9), &receipt(8)).await.unwrap();
        let shorter = Log::of(5);
        let refused = prover.prove(&shorter, &receipt(20)).await.unwrap_err();
        assert!(refused.contains("had 9 before"), "{refused}");
        assert_eq!(shorter.told.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn those_who_wait_together_share_a_question() {
        let log = Arc::new(Log::of(600));
        let prover = Arc::new(prover());
        log.may_answer.forget_permits(1_000);
        let mut tasks = tokio::task::JoinSet::new();
        for entry in 0..600 {
            let (log, prover) = (Arc::clone(&log), Arc::clone(&prover));
            tasks.spawn(async move { prover.prove(&*log, &receipt(entry)).await });
        }
        // All have asked before the first is answered.
        while prover.waiting().len() < 599 {
            tokio::task::yield_now().await;
        }
        log.may_answer.add_permits(1_000);
        while let Some(proved) = tasks.join_next().await {
            proved.unwrap().unwrap();
        }
        assert!(log.asked.load(Ordering::SeqCst) <= 2);
    }
}
