//! Following the chain, and what it charges.

use tx::Time;

use super::{
    config::Config,
    follow::{self, Matched, Reader, Stopped},
    lane::{Effects, UtxoLane},
    question::{Answer, Followed, Question},
};
use crate::{
    chains::common::{Backoff, unknown_detail},
    change::Change,
    evidence::{BlockRef, Unknown},
    lane::Effect,
};

/// The most blocks in one answer, and in one commit.
const BLOCKS_MAX: usize = 32;
/// How often the fee rate is asked for.
const RATE_MILLIS: u64 = 30_000;

/// What was heard of the chain and is not durable.
#[derive(Debug)]
pub(super) struct Watch {
    asked: bool,
    not_before: Time,
    backoff: Backoff,
    /// The answer that is not written yet.
    followed: Option<Followed>,
    /// The chain's height when it was last read.
    tip_height: Option<u64>,
    /// Why the last question has no answer.
    unknown: Option<Unknown>,
    /// What stands in the way of the next block.
    stopped: Option<Stopped>,
    rate: Rate,
}

/// What is paid for a vbyte.
#[derive(Debug)]
struct Rate {
    asked: bool,
    not_before: Time,
    backoff: Backoff,
    sat_vb: Option<u64>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            asked: false,
            not_before: Time::default(),
            backoff: Backoff::NODE,
            followed: None,
            tip_height: None,
            unknown: None,
            stopped: None,
            rate: Rate {
                asked: false,
                not_before: Time::default(),
                backoff: Backoff::NODE,
                sat_vb: None,
            },
        }
    }
}

impl Watch {
    pub(super) fn hear(&mut self, answer: Answer, config: &Config, now: Time) {
        match answer {
            Answer::Followed(followed) => self.hear_followed(followed, config, now),
            Answer::FeeRate(rate) => self.rate.hear(rate, config, now),
        }
    }

    fn hear_followed(&mut self, followed: Result<Followed, Unknown>, config: &Config, now: Time) {
        self.asked = false;
        match followed {
            Ok(followed) => {
                let more = match &followed {
                    Followed::Next { blocks, tip_height } => {
                        self.tip_height = Some(*tip_height);
                        !blocks.is_empty()
                    }
                    Followed::Left { to } => {
                        self.tip_height = None;
                        to.is_some()
                    }
                };
                self.not_before = match more {
                    true => now,
                    false => now.after_millis(config.poll_millis),
                };
                self.backoff = Backoff::NODE;
                self.unknown = None;
                self.stopped = None;
                self.followed = Some(followed);
            }
            Err(unknown) => {
                // What was the end of the chain may not be any more.
                self.tip_height = None;
                self.not_before = self.backoff.fail(now);
                self.unknown = Some(unknown);
            }
        }
    }

    pub(super) fn plan(
        &mut self,
        known: impl Iterator<Item = BlockRef>,
        config: &Config,
        now: Time,
        effects: &mut Effects,
    ) {
        if !self.asked && self.followed.is_none() && now >= self.not_before {
            self.asked = true;
            effects.push(Effect::Ask(Question::Follow {
                known: known.collect(),
                start_height: config.start_height,
                most: BLOCKS_MAX,
            }));
        }
        if !self.rate.asked && now >= self.rate.not_before {
            self.rate.asked = true;
            let target_blocks = config.target_blocks;
            effects.push(Effect::Ask(Question::FeeRate { target_blocks }));
        }
    }

    pub(super) fn due(&self) -> Option<Time> {
        let follow = (!self.asked && self.followed.is_none()).then_some(self.not_before);
        let rate = (!self.rate.asked).then_some(self.rate.not_before);
        follow.into_iter().chain(rate).min()
    }

    /// Whether the last saved block is the chain's last.
    pub(super) fn is_at_tip(&self, saved: Option<&BlockRef>) -> bool {
        let tip = self.tip_height;
        saved.is_some_and(|saved| tip.is_some_and(|tip| tip <= saved.height))
    }

    pub(super) fn rate_sat_vb(&self) -> Option<u64> {
        self.rate.sat_vb
    }

    /// What was heard is durable, or of no use: the chain is asked again.
    pub(super) fn forget(&mut self) {
        self.followed = None;
    }

    /// Why blocks are not saved, for people.
    pub(super) fn stopped(&self) -> Option<String> {
        match self.stopped.as_ref()? {
            Stopped::Unsigned(number) => Some(format!(
                "attempt {} is in a block, and its bytes are not known here yet",
                number.0
            )),
            Stopped::Foreign { detail, .. } | Stopped::Garbage { detail } => Some(detail.clone()),
        }
    }

    /// Why nothing is known of the chain, for people.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.unknown.as_ref().map(unknown_detail)
    }
}

impl Rate {
    fn hear(&mut self, rate: Result<Option<u64>, Unknown>, config: &Config, now: Time) {
        self.asked = false;
        match rate {
            Ok(rate) => {
                let rate = rate.unwrap_or(config.fee_rate_fallback_sat_vb);
                self.sat_vb = Some(rate.clamp(1, config.fee_rate_ceiling_sat_vb));
                self.not_before = now.after_millis(RATE_MILLIS);
                self.backoff = Backoff::NODE;
            }
            // What it was is as good as nothing better.
            Err(_) => self.not_before = self.backoff.fail(now),
        }
    }
}

impl UtxoLane {
    /// What follows from the chain's answer. A foreign spend halts the lane only once the signer's
    /// journal was compared: before, it may be an attempt that this store does not know.
    pub(super) fn draft_blocks(&mut self, now: Time) -> Vec<Change> {
        let changes = match &self.chain.followed {
            None => return Vec::new(),
            Some(Followed::Left { to: None }) => match self.is_halted() {
                true => Vec::new(),
                false => follow::uprooted(),
            },
            Some(Followed::Left { to: Some(to) }) => match self.view.blocks.contains(to) {
                true => follow::rewind(&self.view, to),
                false => Vec::new(),
            },
            Some(Followed::Next { blocks, .. }) => {
                let Matched {
                    mut changes,
                    stopped,
                } = Reader::new(&self.view, &self.keys).read(blocks);
                if changes.is_empty()
                    && self.restore.is_done()
                    && let Some(Stopped::Foreign { changes: halt, .. }) = &stopped
                {
                    changes = self.first_halt(halt);
                }
                self.chain.stopped = stopped.filter(|_| changes.is_empty());
                changes
            }
        };
        if changes.is_empty() {
            let stopped = self.chain.stopped.is_some();
            self.chain.forget();
            if stopped {
                self.chain.not_before = self.chain.backoff.fail(now);
            }
        }
        changes
    }

    /// A lane that is halted stays so for its first reason.
    fn first_halt(&self, changes: &[Change]) -> Vec<Change> {
        let halted = self.is_halted();
        let kept = changes.iter().filter(|change| match change {
            Change::Gate(_) => !halted,
            _ => true,
        });
        kept.cloned().collect()
    }
}
