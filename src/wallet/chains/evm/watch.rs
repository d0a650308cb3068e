//! What is known of the chain since the process began, and what is asked.

use std::collections::{BTreeMap, BTreeSet};

use tx::{Address, Amount, Time};

use super::{EvmLane, Head, Market, Mined, Question, Used, build::Cost, lane::Effects, sets::Set};
use crate::{
    attempt::{AttemptNumber, AttemptStage},
    chains::common::unknown_detail,
    evidence::{BlockRef, Evidence, Unknown},
    lane::Effect,
};

/// How many attempts are looked for in one question.
const FOUND_MAX: usize = 64;
/// How many blocks are looked at in one question.
const BLOCKS_MAX: usize = 64;
/// What was heard of the chain is used for so many intervals of polling, and at least so long.
const FRESH_POLLS: u64 = 5;
const FRESH_MILLIS: u64 = 15_000;

/// What is known of the chain.
#[derive(Debug, Default)]
pub(super) struct Watch {
    head: Option<Head>,
    head_at: Time,
    market: Option<Market>,
    market_at: Time,
    fresh_millis: u64,
    trouble: Option<(Time, String)>,
    next_poll: Time,
    heads: u64,
    asked: BTreeSet<Asked>,
    /// The chain's next nonce, and since when it is that.
    next: Option<(u64, Time)>,
    /// What the address has, less what is under way.
    free: Amount,
    free_tokens: BTreeMap<Address, Amount>,
    /// At which head a set was looked for last.
    looked: BTreeMap<u64, Looked>,
    /// The head at which all sets were looked for.
    looked_through: Option<u64>,
    /// With which finalized block the open question was asked.
    finding: Option<(BlockRef, u64)>,
    pub(super) sightings: BTreeMap<AttemptNumber, Sighting>,
    /// Blocks that are not in the chain any more.
    pub(super) gone: BTreeSet<BlockRef>,
    checked: Option<BlockRef>,
    /// Whether something left its block and is to be given to nodes before the next poll.
    pub(super) excluded: bool,
    /// At which head it was asked who used a nonce.
    user_asked: u64,
    /// Who used a nonce that is none of ours.
    pub(super) stranger: Option<(u64, Used)>,
}

/// A question that is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    Head,
    Market,
    Find,
    StillThere,
    User,
}

#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    head: u64,
    /// Whether the answer is there, and nothing was found.
    in_vain: bool,
}

/// An attempt that is in a block, and what was finalized before it was looked for: what stands at or
/// below that height stays.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    pub(super) mined: Mined,
    pub(super) finalized: BlockRef,
    pub(super) finalized_nonce: u64,
}

impl Sighting {
    /// Whether it is in its block for good.
    pub(super) fn is_final(&self, nonce: u64) -> bool {
        self.finalized_nonce > nonce && self.mined.inclusion.block.height <= self.finalized.height
    }
}

impl Watch {
    pub(super) fn hear_market(&mut self, market: Result<Market, Unknown>, now: Time) {
        self.asked.remove(&Asked::Market);
        match market {
            Ok(market) => {
                self.market = Some(market);
                self.market_at = now;
            }
            Err(unknown) => self.trouble = Some((now, unknown_detail(&unknown).to_owned())),
        }
    }

    pub(super) fn hear_still_there(&mut self, blocks: Vec<(BlockRef, Evidence<()>)>) {
        self.asked.remove(&Asked::StillThere);
        for (block, evidence) in blocks {
            match evidence {
                Evidence::Found(()) => drop(self.gone.remove(&block)),
                Evidence::Absent { .. } => drop(self.gone.insert(block)),
                Evidence::Unknown(_) => {}
            }
        }
    }

    pub(super) fn forget(&mut self, number: AttemptNumber) {
        self.sightings.remove(&number);
    }

    pub(super) fn forget_nonce(&mut self, nonce: u64) {
        self.looked.remove(&nonce);
    }

    /// A set has changed that the chain may have.
    pub(super) fn look_again_at(&mut self, nonce: u64) {
        if self.nonce_most().is_some_and(|most| nonce < most) {
            self.looked_through = None;
        }
    }

    pub(super) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// The first nonce that no node has in its best chain.
    pub(super) fn nonce_most(&self) -> Option<u64> {
        self.head.as_ref().map(|head| head.nonce_most)
    }

    /// The market as it was heard last, however long ago.
    pub(super) fn market(&self) -> Option<Market> {
        self.market
    }

    /// The market, if it is fresh.
    pub(super) fn market_at(&self, now: Time) -> Option<Market> {
        let fresh = now.millis_since(self.market_at) <= self.fresh_millis;
        self.market.filter(|_| fresh)
    }

    /// Whether a nonce is the chain's next, and since when.
    pub(super) fn next_since(&self, nonce: u64) -> (bool, Time) {
        match self.next {
            Some((next, since)) if next == nonce => (true, since),
            _ => (false, Time::default()),
        }
    }

    /// Whether enough is known to pay.
    pub(super) fn is_fresh(&self, now: Time) -> bool {
        let head = now.millis_since(self.head_at) <= self.fresh_millis;
        self.head.is_some() && head && self.market_at(now).is_some()
    }

    /// What stands in the way of knowing enough, if anything was heard.
    pub(super) fn trouble(&self, now: Time) -> Option<String> {
        let (_, trouble) = self.trouble.as_ref()?;
        (!self.is_fresh(now)).then(|| trouble.clone())
    }

    /// Whether the address has this much free; nothing if that is not known, and why not if not.
    pub(super) fn covers(&self, cost: &Cost) -> Option<Result<(), String>> {
        self.head.as_ref()?;
        let lacks = |free: Amount, needed: Amount, unit: &str| {
            Err(format!("{needed} {unit} are needed and {free} are free"))
        };
        if let Some((token, amount)) = &cost.token {
            let free = *self.free_tokens.get(token)?;
            if free < *amount {
                return Some(lacks(free, *amount, &format!("of {token}")));
            }
        }
        if self.free < cost.native {
            return Some(lacks(self.free, cost.native, "wei"));
        }
        Some(Ok(()))
    }

    pub(super) fn spend(&mut self, cost: &Cost) {
        self.free = self.free.saturating_sub(cost.native);
        if let Some((token, amount)) = &cost.token
            && let Some(free) = self.free_tokens.get_mut(token)
        {
            *free = free.saturating_sub(*amount);
        }
    }

    pub(super) fn due(&self) -> Option<Time> {
        (!self.asked.contains(&Asked::Head)).then_some(self.next_poll)
    }
}

// What is heard.
impl EvmLane {
    pub(super) fn hear_head(&mut self, head: Result<Head, Unknown>, now: Time) {
        let watch = &mut self.watch;
        watch.asked.remove(&Asked::Head);
        let head = match head {
            Ok(head) => head,
            Err(unknown) => {
                watch.trouble = Some((now, unknown_detail(&unknown).to_owned()));
                return;
            }
        };
        let before = watch.head.as_ref();
        if before.is_some_and(|before| before.finalized_nonce > head.finalized_nonce) {
            let detail = "the nodes take back what was finalized";
            watch.trouble = Some((now, detail.to_owned()));
            return;
        }
        if watch.next.is_none_or(|(next, _)| next != head.nonce_least) {
            watch.next = Some((head.nonce_least, now));
        }
        watch.free = head.balance;
        watch.free_tokens.clone_from(&head.tokens);
        watch.trouble = None;
        watch.head_at = now;
        watch.heads = watch.heads.saturating_add(1);
        for (_, set) in self.sets.from(head.nonce_least) {
            let costs = set
                .attempts
                .iter()
                .filter_map(|n| self.view.attempts.get(n));
            let costs = costs.filter(|attempt| attempt.is_live());
            let costs = costs.map(|attempt| Cost::of_attempt(&self.view, attempt));
            if let Some(cost) = costs.max_by_key(|cost| cost.native) {
                watch.spend(&cost);
            }
        }
        watch.head = Some(head);
    }

    pub(super) fn hear_found(&mut self, found: Vec<(AttemptNumber, Evidence<Mined>)>) {
        self.watch.asked.remove(&Asked::Find);
        let Some((finalized, finalized_nonce)) = self.watch.finding.take() else {
            return;
        };
        let mut sighted: BTreeMap<u64, Vec<(AttemptNumber, Mined)>> = BTreeMap::new();
        for (number, evidence) in found {
            let attempt = self.view.attempts.get(&number);
            let Some(nonce) = attempt.and_then(super::sets::nonce) else {
                continue;
            };
            let sighted = sighted.entry(nonce).or_default();
            if let Evidence::Found(mined) = evidence {
                sighted.push((number, mined));
            }
        }
        for (nonce, mut sighted) in sighted {
            // Two receipts for one nonce cannot be: whoever gives them is not believed.
            let only = sighted.pop().filter(|_| sighted.is_empty());
            if let Some(looked) = self.watch.looked.get_mut(&nonce) {
                looked.in_vain = only.is_none();
            }
            let Some((number, mined)) = only else {
                continue;
            };
            let sighting = Sighting {
                mined,
                finalized: finalized.clone(),
                finalized_nonce,
            };
            self.sight(nonce, number, sighting);
        }
    }

    /// Of a set only one is in the chain: what was seen of it before and is not durable yet gives way
    /// to what is seen now, unless it is final.
    fn sight(&mut self, nonce: u64, number: AttemptNumber, sighting: Sighting) {
        let Some(set) = self.sets.get(nonce) else {
            return;
        };
        let sightings = &mut self.watch.sightings;
        let mut before = set.attempts.iter().filter_map(|n| sightings.get(n));
        if before.any(|before| before.is_final(nonce)) {
            return;
        }
        for other in &set.attempts {
            sightings.remove(other);
        }
        sightings.insert(number, sighting);
    }

    pub(super) fn hear_user(&mut self, nonce: u64, user: Evidence<Used>) {
        self.watch.asked.remove(&Asked::User);
        let Evidence::Found(used) = user else {
            return;
        };
        let set = self.sets.get(nonce);
        // Its own receipt was faster: the chain has told all of it.
        if set.is_none() && nonce < self.view.row.next_nonce {
            return;
        }
        let own = set.is_some_and(|set| {
            let mut answers = set.signed(&self.view).filter_map(|own| own.signed.as_ref());
            answers.any(|answer| answer.transaction.txid == used.txid)
        });
        // One of ours is looked for again, until its receipt is there.
        if !own {
            self.watch.stranger = Some((nonce, used));
        }
    }
}

// What is asked.
impl EvmLane {
    pub(super) fn plan_questions(&mut self, now: Time, effects: &mut Effects) {
        let polls = self.config.poll_millis.saturating_mul(FRESH_POLLS);
        self.watch.fresh_millis = polls.max(FRESH_MILLIS);
        let unknown_token = || {
            let known = |token| self.watch.free_tokens.contains_key(token);
            !self.supply.tokens().iter().all(known)
        };
        let stale = !self.supply.is_empty() && (!self.watch.is_fresh(now) || unknown_token());
        let due = now >= self.watch.next_poll;
        if due || (stale && self.watch.trouble.is_none()) {
            self.plan_poll(now, effects);
        }
        self.plan_find(effects);
        self.plan_still_there(effects);
        self.plan_user(effects);
        if due || std::mem::take(&mut self.watch.excluded) {
            let from = self.watch.head().map(|head| head.nonce_least);
            if let Some(from) = from {
                self.plan_resends(from, now, effects);
            }
        }
    }

    fn plan_poll(&mut self, now: Time, effects: &mut Effects) {
        if self.watch.asked.insert(Asked::Head) {
            self.watch.next_poll = now.after_millis(self.config.poll_millis);
            let tokens = self.supply.tokens();
            effects.push(Effect::Ask(Question::Head { tokens }));
        }
        if self.watch.asked.insert(Asked::Market) {
            effects.push(Effect::Ask(Question::Market));
        }
    }

    /// Looks for what the chain may have, once for each head.
    fn plan_find(&mut self, effects: &mut Effects) {
        let Some(head) = self.watch.head() else {
            return;
        };
        let heads = self.watch.heads;
        if self.watch.asked.contains(&Asked::Find) || self.watch.looked_through == Some(heads) {
            return;
        }
        let looked = |nonce: u64| {
            self.watch
                .looked
                .get(&nonce)
                .is_some_and(|l| l.head == heads)
        };
        let mined = self.sets.below(head.nonce_most);
        let open = mined.filter(|(nonce, set)| !looked(*nonce) && self.is_open(*nonce, set, head));
        let mut sought = Vec::new();
        let mut nonces = Vec::new();
        let mut looked_through = Some(heads);
        for (nonce, set) in open {
            if sought.len() >= FOUND_MAX {
                looked_through = None;
                break;
            }
            nonces.push(nonce);
            sought.extend(set.signed(&self.view).filter_map(|attempt| {
                let answer = attempt.signed.as_ref()?;
                Some((attempt.number, answer.transaction.txid.clone()))
            }));
        }
        let finding = (head.finalized.clone(), head.finalized_nonce);
        self.watch.looked_through = looked_through;
        for nonce in nonces {
            let in_vain = self
                .sets
                .get(nonce)
                .is_some_and(|set| set.signed(&self.view).next().is_none());
            let looked = Looked {
                head: heads,
                in_vain,
            };
            self.watch.looked.insert(nonce, looked);
        }
        if !sought.is_empty() {
            self.watch.asked.insert(Asked::Find);
            self.watch.finding = Some(finding);
            effects.push(Effect::Ask(Question::Find(sought)));
        }
    }

    /// Whether a set may have become included or final.
    fn is_open(&self, nonce: u64, set: &Set, head: &Head) -> bool {
        let included = set
            .included
            .and_then(|number| self.view.attempts.get(&number));
        match included.map(|attempt| &attempt.stage) {
            Some(AttemptStage::Included(inclusion)) => {
                nonce < head.finalized_nonce && inclusion.block.height <= head.finalized.height
            }
            // The chain has said all it can.
            Some(AttemptStage::Unproven(_)) => false,
            _ => true,
        }
    }

    /// Looks whether the blocks of what is included and not final are still there, once for each
    /// best block.
    fn plan_still_there(&mut self, effects: &mut Effects) {
        let Some(head) = self.watch.head() else {
            return;
        };
        if self.watch.asked.contains(&Asked::StillThere)
            || self.watch.checked.as_ref() == Some(&head.latest)
        {
            return;
        }
        let latest = head.latest.clone();
        let included = self.sets.iter().filter_map(|(_, set)| set.included);
        let included = included.filter_map(|number| self.view.attempts.get(&number));
        let mut blocks: BTreeSet<BlockRef> = BTreeSet::new();
        for attempt in included {
            if let AttemptStage::Included(inclusion) = &attempt.stage {
                blocks.insert(inclusion.block.clone());
            }
        }
        // The highest are the likeliest to leave.
        while blocks.len() > BLOCKS_MAX {
            blocks.pop_first();
        }
        self.watch.gone.retain(|gone| blocks.contains(gone));
        self.watch.checked = Some(latest);
        if !blocks.is_empty() {
            self.watch.asked.insert(Asked::StillThere);
            effects.push(Effect::Ask(Question::StillThere(blocks)));
        }
    }

    /// A nonce is final and no receipt of ours is found: who used it?
    fn plan_user(&mut self, effects: &mut Effects) {
        let Some(head) = self.watch.head() else {
            return;
        };
        let heads = self.watch.heads;
        if self.watch.stranger.is_some()
            || self.watch.user_asked == heads
            || self.watch.asked.contains(&Asked::User)
        {
            return;
        }
        let finalized = head.finalized_nonce;
        let in_vain = |nonce: &u64| {
            let looked = self.watch.looked.get(nonce);
            looked.is_some_and(|looked| looked.in_vain && looked.head == heads)
        };
        let mut sets = self.sets.below(finalized).map(|(nonce, _)| nonce);
        // A nonce that was never given to anyone may have been used, too.
        let next = self.view.row.next_nonce;
        let beyond = (next < finalized && self.sets.get(next).is_none()).then_some(next);
        let Some(nonce) = sets.find(in_vain).or(beyond) else {
            return;
        };
        self.watch.user_asked = heads;
        self.watch.asked.insert(Asked::User);
        effects.push(Effect::Ask(Question::User { nonce }));
    }
}
