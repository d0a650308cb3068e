//! What both families have in common: how long to wait before trying again, and how to say why.

use api::signing::Reason;
use tx::Time;

use crate::{
    evidence::Unknown,
    signer::SignOutcome,
    text::shown,
    withdrawal::{Waiting, WaitingReason},
};

/// Waiting times that double with every failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first_millis: u64,
    longest_millis: u64,
    failures: u32,
}

impl Backoff {
    /// For a policy's refusals: 5 s, doubling to 5 min.
    pub const REFUSAL: Self = Self::new(5_000, 300_000);
    /// For a signer whose answer is missing, or that is not used just now: 0.5 s to 1 min.
    pub const SIGNER: Self = Self::new(500, 60_000);
    /// For nodes that do not take a transaction: 2 s to 1 min.
    pub const NODE: Self = Self::new(2_000, 60_000);
    /// For a database that does not write: 0.25 s to 10 s.
    pub const STORE: Self = Self::new(250, 10_000);

    const fn new(first_millis: u64, longest_millis: u64) -> Self {
        Self {
            first_millis,
            longest_millis,
            failures: 0,
        }
    }

    /// Counts a failure, and says when to try again.
    pub fn fail(&mut self, now: Time) -> Time {
        let shift = self.failures.min(30);
        self.failures = self.failures.saturating_add(1);
        let doubled = self.first_millis.saturating_mul(1 << shift);
        now.after_millis(doubled.min(self.longest_millis))
    }

    /// Whether both wait for the same kind of thing.
    pub fn is_like(&self, other: &Self) -> bool {
        (self.first_millis, self.longest_millis) == (other.first_millis, other.longest_millis)
    }

    /// Begins anew: it worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// When a withdrawal that waits is looked at again: as long from now as it has waited, within the
/// bounds of [`Backoff::REFUSAL`]. What is stored is enough for it, so that no restart shortens it.
pub fn not_before(waiting: &Waiting, now: Time) -> Time {
    let Backoff {
        first_millis,
        longest_millis,
        ..
    } = Backoff::REFUSAL;
    let waited = now.millis_since(waiting.since);
    now.after_millis(waited.clamp(first_millis, longest_millis))
}

/// Why a withdrawal waits; since when is taken over from what was said before, if it is the same
/// reason.
pub fn waiting(
    before: Option<&Waiting>,
    reason: WaitingReason,
    detail: &str,
    now: Time,
) -> Waiting {
    let same = before.filter(|before| before.reason == reason);
    Waiting {
        reason,
        detail: shown(detail),
        reasons: Vec::new(),
        needs: Vec::new(),
        since: same.map_or(now, |before| before.since),
    }
}

/// What a call of the signer that brought no signature says to those who wait; `None` for one that
/// did.
pub fn signer_says(before: Option<&Waiting>, outcome: &SignOutcome, now: Time) -> Option<Waiting> {
    let plain = |reason, detail: &str| waiting(before, reason, detail, now);
    let said = match outcome {
        SignOutcome::Signed(_) => return None,
        SignOutcome::Refused { reasons, .. } if is_past(reasons) => Waiting {
            reasons: reasons.clone(),
            ..plain(
                WaitingReason::Epoch,
                "the signer is in another epoch: it may have been paid",
            )
        },
        SignOutcome::Refused { reasons, needs } => Waiting {
            reasons: reasons.clone(),
            needs: needs.clone(),
            ..plain(WaitingReason::SignerRefused, "the signer refuses it")
        },
        SignOutcome::Pending { needs } => Waiting {
            needs: needs.clone(),
            ..plain(
                WaitingReason::SignerNeeds,
                "the signer's policy asks for people",
            )
        },
        SignOutcome::NotNow {
            sealed: true,
            detail,
        } => plain(WaitingReason::SignerSealed, detail),
        SignOutcome::NotNow { detail, .. } => plain(WaitingReason::SignerUnavailable, detail),
        SignOutcome::Unknown { detail } => plain(WaitingReason::SignerUnknown, detail),
        SignOutcome::Contradiction { detail } => plain(WaitingReason::LaneClosed, detail),
    };
    Some(said)
}

/// Whether the signer refused for its epoch.
pub fn is_of_another_epoch(outcome: &SignOutcome) -> bool {
    matches!(outcome, SignOutcome::Refused { reasons, .. } if is_past(reasons))
}

/// Whether an intent of another epoch is among what speaks against it.
fn is_past(reasons: &[Reason]) -> bool {
    reasons.iter().any(|reason| reason.code == "intent-epoch")
}

/// What is not known, for people.
pub fn unknown_detail(unknown: &Unknown) -> &str {
    match unknown {
        Unknown::NoAnswer { detail }
        | Unknown::Disagreement { detail }
        | Unknown::Lagging { detail } => detail,
    }
}

/// Whether two say the same to a person: a commit that changes no word is not worth its flush.
pub fn says_the_same(a: Option<&Waiting>, b: Option<&Waiting>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            (a.reason, &a.detail, &a.reasons, &a.needs)
                == (b.reason, &b.detail, &b.reasons, &b.needs)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backoff_doubles_to_its_longest() {
        let now = Time::from_millis(1_000);
        let mut backoff = Backoff::REFUSAL;
        let waits: Vec<u64> = (0..8)
            .map(|_| backoff.fail(now).millis_since(now))
            .collect();
        let doubled = [
            5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000,
        ];
        assert_eq!(waits, doubled);
        backoff.reset();
        assert_eq!(backoff.fail(now).millis_since(now), 5_000);
    }

    #[test]
    fn a_reason_that_stays_keeps_its_beginning() {
        let (early, late) = (Time::from_millis(1_000), Time::from_millis(41_000));
        let first = waiting(None, WaitingReason::Fee, "dear", early);
        let second = waiting(Some(&first), WaitingReason::Fee, "dearer", late);
        assert_eq!(second.since, early);
        assert_eq!(not_before(&second, late).millis_since(late), 40_000);
        let other = waiting(Some(&second), WaitingReason::Funds, "empty", late);
        assert_eq!(other.since, late);
        assert_eq!(not_before(&other, late).millis_since(late), 5_000);
    }
}
