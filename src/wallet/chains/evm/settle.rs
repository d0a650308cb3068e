//! What the chain shows, made durable: inclusion, a block that left, and what is final.

use tx::{Address, Amount, AssetKind, Intent, Time};

use super::{EvmLane, draft::Draft, sets, watch::Sighting};
use crate::{
    attempt::{Attempt, AttemptNumber, AttemptStage},
    chains::common,
    change::Change,
    evidence::Inclusion,
    nodes::EvmLog,
    withdrawal::WaitingReason,
};

/// `keccak256("Transfer(address,address,uint256)")`, EIP-20.
const TRANSFER: [u8; 32] = [
    0xdd, 0xf2, 0x52, 0xad, 0x1b, 0xe2, 0xc8, 0x9b, 0x69, 0xc2, 0xb0, 0x68, 0xfc, 0x37, 0x8d, 0xaa,
    0x95, 0x2b, 0xa7, 0xf1, 0x63, 0xc4, 0xa1, 0x16, 0x28, 0xf5, 0x5a, 0x4d, 0xf5, 0x23, 0xb3, 0xef,
];

/// How long a payment that failed on the chain is not tried again, in milliseconds: it cost a fee.
const FAILED_MILLIS: u64 = 300_000;

/// What a sighting makes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Included,
    Final,
    Failed,
    /// Its status is 1, and the token did not log the transfer.
    Unproven,
}

impl EvmLane {
    pub(super) fn draft_chain(&mut self, draft: &mut Draft) {
        self.draft_excluded(draft);
        let sighted: Vec<AttemptNumber> = self.watch.sightings.keys().copied().collect();
        for number in sighted {
            let before = draft.changes.len();
            self.draft_sighting(number, draft);
            if draft.changes.len() == before {
                self.watch.forget(number);
            }
        }
    }

    /// The block of what was included has left the chain.
    fn draft_excluded(&self, draft: &mut Draft) {
        if self.watch.gone.is_empty() {
            return;
        }
        for (_, set) in self.sets.iter() {
            let included = set.included.and_then(|n| self.view.attempts.get(&n));
            let Some(attempt) = included else {
                continue;
            };
            // Whichever of its set was seen since: the sighting excludes what it finds elsewhere.
            let sightings = &self.watch.sightings;
            let seen_since = set.attempts.iter().any(|n| sightings.contains_key(n));
            if let AttemptStage::Included(inclusion) = &attempt.stage
                && self.watch.gone.contains(&inclusion.block)
                && !seen_since
            {
                let attempt = attempt.number;
                draft.push(Change::Excluded { attempt });
            }
        }
    }

    fn draft_sighting(&self, number: AttemptNumber, draft: &mut Draft) {
        let (Some(attempt), Some(sighting)) = (
            self.view.attempts.get(&number),
            self.watch.sightings.get(&number),
        ) else {
            return;
        };
        let nonce = sets::nonce(attempt);
        let set = nonce.and_then(|nonce| Some((nonce, self.sets.get(nonce)?)));
        let Some((nonce, set)) = set else {
            return;
        };
        if set
            .attempts
            .iter()
            .any(|n| self.sets.unproven().contains(n))
        {
            return;
        }
        let inclusion = sighting.mined.inclusion.clone();
        match &attempt.stage {
            AttemptStage::Signed | AttemptStage::Broadcast { .. } | AttemptStage::Included(_) => {}
            _ => return,
        }
        let elsewhere = matches!(&attempt.stage,
            AttemptStage::Included(known) if *known != inclusion);
        let other = set.included.filter(|other| *other != number);
        if let Some(attempt) = other.or(elsewhere.then_some(number)) {
            draft.push(Change::Excluded { attempt });
        }
        match self.fate(attempt, nonce, sighting) {
            Fate::Included => self.draft_included(attempt, inclusion, elsewhere, draft),
            Fate::Final => {
                draft.over.insert(nonce);
                draft.push(Change::Final {
                    attempt: number,
                    inclusion,
                    tip: sighting.finalized.clone(),
                });
            }
            Fate::Failed => {
                draft.over.insert(nonce);
                draft.push(Change::Failed {
                    attempt: number,
                    inclusion,
                    tip: sighting.finalized.clone(),
                });
                self.draft_failed(attempt, sighting, draft);
            }
            Fate::Unproven => {
                draft.over.insert(nonce);
                draft.push(Change::Unproven {
                    attempt: number,
                    inclusion,
                    tip: sighting.finalized.clone(),
                });
                self.draft_unproven(attempt, sighting, draft);
            }
        }
        self.forget_unsigned_over(set, nonce, draft);
    }

    fn draft_included(
        &self,
        attempt: &Attempt,
        inclusion: Inclusion,
        moved: bool,
        draft: &mut Draft,
    ) {
        let known = matches!(attempt.stage, AttemptStage::Included(_));
        if !known || moved {
            let attempt = attempt.number;
            draft.record(Change::Included { attempt, inclusion });
        }
    }

    /// What was asked of the signer over a nonce that is settled is asked no more.
    fn forget_unsigned_over(&self, set: &sets::Set, nonce: u64, draft: &mut Draft) {
        if draft.over.contains(&nonce) {
            for number in &set.attempts {
                draft.unsigned.remove(number);
            }
        }
    }

    fn fate(&self, attempt: &Attempt, nonce: u64, sighting: &Sighting) -> Fate {
        let mined = &sighting.mined;
        let paid = attempt.pays.iter();
        let mut paid = paid.filter_map(|number| self.view.withdrawals.get(number));
        let logged = paid.all(|paid| is_logged(&paid.intent, &self.sender, &mined.logs));
        match (sighting.is_final(nonce), mined.succeeded) {
            (false, _) => Fate::Included,
            (true, false) => Fate::Failed,
            (true, true) if logged => Fate::Final,
            (true, true) => Fate::Unproven,
        }
    }

    fn draft_failed(&self, attempt: &Attempt, sighting: &Sighting, draft: &mut Draft) {
        let block = &sighting.mined.inclusion.block;
        let detail = format!("it failed on the chain, in block {}", block.height);
        for number in &attempt.pays {
            let waiting = common::waiting(None, WaitingReason::Unbuildable, &detail, draft.now);
            let not_before: Time = draft.now.after_millis(FAILED_MILLIS);
            draft.push(Change::Wait {
                withdrawals: vec![*number],
                waiting: Some(waiting),
                not_before,
            });
        }
    }

    fn draft_unproven(&self, attempt: &Attempt, sighting: &Sighting, draft: &mut Draft) {
        let reason = WaitingReason::LaneClosed;
        let txid = &sighting.mined.inclusion.txid;
        let detail =
            format!("{txid} is final and its token logged no such transfer: say what came of it");
        draft.push(Change::Wait {
            withdrawals: attempt.pays.clone(),
            waiting: Some(common::waiting(None, reason, &detail, draft.now)),
            not_before: draft.now,
        });
        draft.halt(unproven(attempt.number));
    }

    /// What its token did not log may be the first of many: the lane begins nothing until a person has
    /// said what came of it.
    pub(super) fn draft_undecided(&self, draft: &mut Draft) {
        if let Some(number) = self.sets.unproven().first() {
            draft.halt(unproven(*number));
        }
    }
}

fn unproven(number: AttemptNumber) -> String {
    let number = number.0;
    format!("attempt {number} is final, and its token logged no such transfer")
}

/// Whether a token logged exactly what an intent asks for, once; of the native coin there is no log.
fn is_logged(intent: &Intent, from: &Address, logs: &[EvmLog]) -> bool {
    let AssetKind::Erc20(token) = &intent.asset.kind else {
        return true;
    };
    let topics = [Some(TRANSFER), word(from), word(&intent.destination)];
    let is_transfer = |log: &&EvmLog| {
        log.address == *token
            && log.topics.iter().copied().map(Some).eq(topics)
            && amount(&log.data) == Some(intent.amount)
    };
    logs.iter().filter(is_transfer).count() == 1
}

fn word(address: &Address) -> Option<[u8; 32]> {
    let bytes = <[u8; 20]>::try_from(address.as_bytes()).ok()?;
    let mut word = [0; 32];
    let (_, low) = word.split_at_mut(12);
    low.copy_from_slice(&bytes);
    Some(word)
}

fn amount(data: &[u8]) -> Option<Amount> {
    <[u8; 32]>::try_from(data).ok().map(Amount::from_be_bytes)
}
