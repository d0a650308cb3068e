//! The signer's journal, compared with the store: part of the restore gate.
//!
//! The lanes of a process start together and each asks for what the signer authorised. The journal is
//! read once for all that wait.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use api::signing::{KeysAnswer, RequestAnswer, SignAnswer};
use tokio::sync::{mpsc, oneshot};
use tx::{ConflictKey, Name};

use crate::{
    attempt::{Attempt, AttemptNumber, AttemptStage, Purpose},
    change::Adopt,
    lane::{LaneId, LaneRow, Sender},
    signer::{Comparison, Signer, becomes},
    store::Store,
    text::{chain, shown},
};

/// How long the first to ask waits for others.
const GATHER: Duration = Duration::from_millis(20);
/// The most attempts that one comparison brings: what is beyond comes with the next.
const ADOPTED_MAX: usize = 200;
/// The most comparisons that wait.
const WAITING_MAX: usize = 1024;

/// A lane that wants to know what the signer authorised.
struct Asked {
    lane: LaneId,
    account: Name,
    after: Option<u64>,
    reply: oneshot::Sender<Result<Comparison, String>>,
}

/// Where comparisons are asked for.
#[derive(Clone)]
pub(super) struct Journal(mpsc::Sender<Asked>);

/// The reader behind it.
pub(super) struct Reader {
    signer: Arc<dyn Signer>,
    store: Arc<dyn Store>,
    asked: mpsc::Receiver<Asked>,
}

impl Journal {
    pub(super) fn new(signer: Arc<dyn Signer>, store: Arc<dyn Store>) -> (Self, Reader) {
        let (sender, asked) = mpsc::channel(WAITING_MAX);
        let reader = Reader {
            signer,
            store,
            asked,
        };
        (Self(sender), reader)
    }

    /// What the signer authorised on a lane after a journal index and the store does not know.
    pub(super) async fn compare(
        &self,
        lane: LaneId,
        account: Name,
        after: Option<u64>,
    ) -> Result<Comparison, String> {
        let gone = || "the coordinator is stopping".to_owned();
        let (reply, answer) = oneshot::channel();
        let asked = Asked {
            lane,
            account,
            after,
            reply,
        };
        self.0.send(asked).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// What the signer authorised on one lane and the store does not know, read for that lane alone.
///
/// # Errors
/// What happened, for people.
pub async fn compare(
    signer: Arc<dyn Signer>,
    store: Arc<dyn Store>,
    row: &LaneRow,
) -> Result<Comparison, String> {
    let (reply, answer) = oneshot::channel();
    let asked = Asked {
        lane: row.id.clone(),
        account: row.account.clone(),
        after: row.compared_to,
        reply,
    };
    let (_, reader) = Journal::new(signer, store);
    reader.answer(vec![Comparing::new(asked)]).await;
    let gone = |_| "nobody answered".to_owned();
    answer.await.map_err(gone)?
}

impl Reader {
    /// Compares for all who ask, for ever.
    pub(super) async fn run(mut self) {
        while let Some(first) = self.asked.recv().await {
            tokio::time::sleep(GATHER).await;
            let mut all = vec![Comparing::new(first)];
            while let Ok(next) = self.asked.try_recv() {
                all.push(Comparing::new(next));
            }
            self.answer(all).await;
        }
    }

    async fn answer(&self, mut all: Vec<Comparing>) {
        if let Err(detail) = self.read(&mut all).await {
            all.iter_mut().for_each(|one| one.fail(&detail));
        }
        match self.signer.keys().await {
            Ok(keys) => all.into_iter().for_each(|one| one.finish(&keys)),
            Err(detail) => all.into_iter().for_each(|one| one.end(Err(detail.clone()))),
        }
    }

    /// Reads the journal from where the first of them needs it.
    async fn read(&self, all: &mut [Comparing]) -> Result<(), String> {
        let furthest = all.iter().filter_map(|one| one.after).max();
        if let Some(index) = furthest
            && !self.has(index).await?
        {
            all.iter_mut().for_each(Comparing::begin_anew);
        }
        // Nothing is before the beginning.
        let mut after = all.iter().map(|one| one.after).min().flatten();
        loop {
            let page = self.signer.page(after).await?;
            for one in all.iter_mut() {
                if let Err(detail) = self.look(one, &page.requests).await {
                    one.fail(&detail);
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Whether a request of ours is at this index. It was when it was compared: where it is not, the
    /// journal is a new one or an older copy, and an index in the old one says nothing of it.
    async fn has(&self, index: u64) -> Result<bool, String> {
        let page = self.signer.page(index.checked_sub(1)).await?;
        let first = page.requests.first();
        Ok(first.is_some_and(|request| request.attempt == index))
    }

    /// Looks for a lane's requests in a page, and for those that the store does not know.
    async fn look(&self, one: &mut Comparing, page: &[RequestAnswer]) -> Result<(), String> {
        if one.is_over() {
            return Ok(());
        }
        let mut theirs = Vec::new();
        for request in page.iter().filter(|request| one.is_new(request)) {
            if one.is_theirs(request)? {
                theirs.push((one.number(request)?, request));
            }
        }
        let numbers: Vec<u64> = theirs.iter().map(|(number, _)| number.0).collect();
        let known = if numbers.is_empty() {
            Vec::new()
        } else {
            let known = self.store.knows(&one.lane, &numbers).await;
            known.map_err(|error| chain(&error))?
        };
        if known.len() != numbers.len() {
            return Err("the store's answer has another length".into());
        }
        for ((number, request), known) in theirs.into_iter().zip(known) {
            if !known {
                one.adopt(number, request)?;
            }
            if one.unknown.len() >= ADOPTED_MAX {
                one.looked_to(request.attempt);
                one.full = true;
                return Ok(());
            }
        }
        if let Some(last) = page.last() {
            one.looked_to(last.attempt);
        }
        Ok(())
    }
}

/// A lane's comparison while the journal is read.
struct Comparing {
    lane: LaneId,
    account: Name,
    after: Option<u64>,
    reply: oneshot::Sender<Result<Comparison, String>>,
    to: Option<u64>,
    unknown: Vec<Adopt>,
    /// No more than this is taken this time.
    full: bool,
    failed: Option<String>,
}

impl Comparing {
    fn new(asked: Asked) -> Self {
        Self {
            lane: asked.lane,
            account: asked.account,
            after: asked.after,
            reply: asked.reply,
            to: asked.after,
            unknown: Vec::new(),
            full: false,
            failed: None,
        }
    }

    fn begin_anew(&mut self) {
        (self.after, self.to) = (None, None);
    }

    fn is_over(&self) -> bool {
        self.full || self.failed.is_some()
    }

    fn fail(&mut self, detail: &str) {
        self.failed.get_or_insert_with(|| detail.to_owned());
    }

    fn looked_to(&mut self, index: u64) {
        self.to = self.to.max(Some(index));
    }

    fn is_new(&self, request: &RequestAnswer) -> bool {
        self.after.is_none_or(|after| request.attempt > after)
    }

    /// Whether a request is of this lane: by what it consumes, and where that does not say it, by
    /// the lane in the receipt.
    fn is_theirs(&self, request: &RequestAnswer) -> Result<bool, String> {
        let own = |key: &ConflictKey| match (key, &self.lane.sender) {
            (ConflictKey::Nonce { account, .. }, Sender::Address(address)) => account == address,
            (ConflictKey::Outpoint { chain, .. }, Sender::Account(_)) => *chain == self.lane.chain,
            _ => false,
        };
        if !request.conflict_keys.iter().any(own) {
            return Ok(false);
        }
        match &self.lane.sender {
            Sender::Address(_) => Ok(true),
            Sender::Account(_) => {
                let receipt = request.receipt.as_ref().ok_or_else(|| unread(request))?;
                let recorded = receipt.record().map_err(|error| chain(&error))?;
                Ok(recorded.lane == self.lane.to_string())
            }
        }
    }

    /// The number of a request's attempt. A request that no coordinator named is none of its own:
    /// somebody else signs with its certificate.
    fn number(&self, request: &RequestAnswer) -> Result<AttemptNumber, String> {
        let prefix = format!("{}:", self.lane);
        let number = request
            .request_id
            .strip_prefix(&prefix)
            .and_then(|digits| digits.parse().ok())
            .map(AttemptNumber)
            .filter(|number| self.lane.request_id(*number) == request.request_id);
        number.ok_or_else(|| {
            format!(
                "the signer authorised request {} on this lane at {}, which no coordinator named",
                shown(&request.request_id),
                request.attempt
            )
        })
    }

    /// Takes over an attempt that the store does not know.
    fn adopt(&mut self, number: AttemptNumber, request: &RequestAnswer) -> Result<(), String> {
        let receipt = request.receipt.as_ref().ok_or_else(|| unread(request))?;
        let recorded = receipt.record().map_err(|error| chain(&error))?;
        let asked = recorded
            .request(request.unsigned.as_ref())
            .map_err(|error| chain(&error))?;
        if let Some(transaction) = &request.transaction {
            becomes(&asked.transaction, transaction).map_err(|error| chain(&error))?;
        }
        let signed = request.transaction.as_ref().map(|transaction| {
            Arc::new(SignAnswer {
                request_id: request.request_id.clone(),
                attempt: request.attempt,
                transaction: transaction.clone(),
                receipt: receipt.clone(),
            })
        });
        let keys = recorded.conflict_keys;
        let anchor = self.anchor(&keys).ok_or_else(|| unread(request))?;
        let intents = asked.intents.iter().map(|it| it.intent.clone()).collect();
        let attempt = Attempt {
            number,
            set: number,
            purpose: Purpose::Recovered,
            keys,
            anchor,
            pays: Vec::new(),
            request: Arc::new(asked),
            fee_terms: recorded.fee_terms,
            created_at: recorded.time.lo,
            stage: signed
                .as_ref()
                .map_or(AttemptStage::Reserved, |_| AttemptStage::Signed),
            signed,
        };
        self.unknown.push(Adopt { attempt, intents });
        Ok(())
    }

    /// A key of the new attempt that those before it, with which it conflicts, consume too. They may
    /// have had another one for their anchor, while they were alone.
    fn anchor(&mut self, keys: &BTreeSet<ConflictKey>) -> Option<ConflictKey> {
        let conflicts = |adopt: &Adopt| !adopt.attempt.keys.is_disjoint(keys);
        let mut common = keys.clone();
        for earlier in self.unknown.iter().filter(|adopt| conflicts(adopt)) {
            common.retain(|key| earlier.attempt.keys.contains(key));
        }
        let anchor = common.into_iter().next().or(keys.first().cloned())?;
        for earlier in &mut self.unknown {
            if earlier.attempt.keys.contains(&anchor) {
                earlier.attempt.anchor = anchor.clone();
            }
        }
        Some(anchor)
    }

    /// Answers, with what the signer's keys say of the lane.
    fn finish(mut self, keys: &KeysAnswer) {
        if let Some(detail) = self.failed.take() {
            return self.end(Err(detail));
        }
        let addresses = keys
            .keys
            .iter()
            .filter(|key| key.account == self.account)
            .flat_map(|key| &key.addresses)
            .filter(|address| address.chain == self.lane.chain);
        let mut theirs = addresses.filter(|address| match &self.lane.sender {
            Sender::Address(own) => address.address == own.to_string(),
            Sender::Account(_) => true,
        });
        let Some(address) = theirs.next() else {
            return self.end(Err("the signer has no key of this lane".into()));
        };
        let comparison = Comparison {
            to: self.to,
            unknown: std::mem::take(&mut self.unknown),
            epoch: address.lane_epoch,
            next_nonce: address.next_sequence,
        };
        self.end(Ok(comparison));
    }

    fn end(self, result: Result<Comparison, String>) {
        // A lane that has gone asks again when it is back.
        let _gone = self.reply.send(result);
    }
}

fn unread(request: &RequestAnswer) -> String {
    format!("the signer has no receipt of attempt {}", request.attempt)
}
