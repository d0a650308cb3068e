//! Whether a token is asked at all: a circuit breaker.
//!
//! Closed, it is. After [`FAILURES`] failures with no released signature between them it opens: nothing
//! is asked of the token, and what would be is refused at once or goes to another one. When its time is
//! over one probe is made, which signs nothing ([`State::HalfOpen`]); answered well it closes the
//! breaker on probation, so that the next failure opens it again, for twice as long.

use std::time::Duration;

use tokio::time::Instant;

/// So many failures in a row open it.
pub(super) const FAILURES: u32 = 5;
/// How long it is open the first time.
const OPEN_FIRST: Duration = Duration::from_millis(250);
/// How long it is open at most.
const OPEN_MOST: Duration = Duration::from_secs(10);
/// How long after a failure others are asked first, where there are any.
const SUSPECT: Duration = Duration::from_secs(1);

/// The breaker of one token. It lives longer than the token's children.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: State,
    /// In a row: a released signature ends it.
    failures: u32,
    /// How often it opened in that row.
    openings: u32,
    failed_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
    },
    /// A probe is under way.
    HalfOpen,
}

/// A breaker as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// The token is asked.
    Closed,
    /// It is not, for so long at least.
    Open {
        /// How long.
        left: Duration,
    },
    /// It is not, but for one probe.
    HalfOpen,
}

/// How a probe went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    Answered,
    Failed,
}

impl Breaker {
    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::HalfOpen => BreakerState::HalfOpen,
            State::Open { until } => BreakerState::Open {
                left: until.saturating_duration_since(now),
            },
        }
    }

    /// Whether there is nothing that a signature would end.
    pub(super) fn is_spotless(&self) -> bool {
        self.is_closed() && self.failures == 0
    }

    /// Whether it failed so lately that others are asked first.
    pub(super) fn is_suspect(&self, now: Instant) -> bool {
        let since = self.failed_at.map(|at| now.saturating_duration_since(at));
        since.is_some_and(|since| since < SUSPECT)
    }

    /// A child ended, by its own failure or not. A probe that it had is not answered any more.
    pub(super) fn child_ended(&mut self, by_failure: bool, now: Instant) {
        if by_failure || self.state == State::HalfOpen {
            self.failed(now);
        }
    }

    /// A call failed.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failed_at = Some(now);
        match self.state {
            State::Closed => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= FAILURES {
                    self.open(now);
                }
            }
            State::HalfOpen => self.open(now),
            // A call that was under way when it opened.
            State::Open { .. } => {}
        }
    }

    /// A signature was released. One that was under way when the breaker opened proves nothing of now.
    pub(super) fn signed(&mut self) {
        if self.is_closed() {
            *self = Self::default();
        }
    }

    /// Whether the one probe is to be made, which it then is.
    pub(super) fn take_probe(&mut self, now: Instant) -> bool {
        let due = matches!(self.state, State::Open { until } if until <= now);
        if due {
            self.state = State::HalfOpen;
        }
        due
    }

    /// The probe was answered.
    pub(super) fn probed(&mut self, probe: Probe, now: Instant) {
        match (self.state, probe) {
            (State::HalfOpen, Probe::Answered) => {
                self.state = State::Closed;
                self.failures = FAILURES.saturating_sub(1);
            }
            (State::HalfOpen, Probe::Failed) => self.open(now),
            // Opened anew in the meantime.
            (State::Closed | State::Open { .. }, _) => {}
        }
    }

    fn open(&mut self, now: Instant) {
        let factor = 1u32.checked_shl(self.openings).unwrap_or(u32::MAX);
        let open = OPEN_FIRST.saturating_mul(factor).min(OPEN_MOST);
        self.openings = self.openings.saturating_add(1);
        self.state = State::Open {
            until: now.checked_add(open).unwrap_or(now),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(now: Instant, millis: u64) -> Instant {
        now + Duration::from_millis(millis)
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert!(breaker.is_closed());
            breaker.failed(now);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_signature_ends_the_row() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 1..FAILURES {
            breaker.failed(now);
        }
        breaker.signed();
        assert!(!breaker.is_suspect(now));
        for _ in 1..FAILURES {
            breaker.failed(now);
            assert!(breaker.is_closed());
        }
        breaker.failed(now);
        let left = OPEN_FIRST;
        assert_eq!(breaker.state(now), BreakerState::Open { left });
        // One that was under way.
        breaker.signed();
        breaker.failed(after(now, 1));
        assert_eq!(breaker.state(now), BreakerState::Open { left });
    }

    #[test]
    fn one_probe_is_made_and_its_success_is_probation() {
        let now = Instant::now();
        let mut breaker = opened(now);
        assert!(!breaker.take_probe(after(now, 249)));
        let due = after(now, 250);
        assert!(breaker.take_probe(due));
        assert!(!breaker.take_probe(due));
        assert_eq!(breaker.state(due), BreakerState::HalfOpen);
        breaker.probed(Probe::Answered, due);
        assert!(breaker.is_closed());
        breaker.failed(due);
        let left = 2 * OPEN_FIRST;
        assert_eq!(breaker.state(due), BreakerState::Open { left });
    }

    #[test]
    fn it_is_open_for_longer_each_time_up_to_a_bound_and_forgets_by_a_signature() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        let mut open = Vec::new();
        for _ in 0..40 {
            let BreakerState::Open { left } = breaker.state(now) else {
                panic!("it is not open");
            };
            open.push(left);
            now += left;
            assert!(breaker.take_probe(now));
            breaker.probed(Probe::Failed, now);
        }
        assert!(open.is_sorted());
        assert_eq!((open[0], open[39]), (OPEN_FIRST, OPEN_MOST));
        let BreakerState::Open { left } = breaker.state(now) else {
            panic!("it is not open");
        };
        now += left;
        assert!(breaker.take_probe(now));
        breaker.probed(Probe::Answered, now);
        breaker.signed();
        for _ in 0..FAILURES {
            breaker.failed(now);
        }
        let left = OPEN_FIRST;
        assert_eq!(breaker.state(now), BreakerState::Open { left });
    }

    #[test]
    fn a_child_that_is_lost_under_the_probe_opens_it_again_and_a_late_answer_does_not_close_it() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let due = after(now, 250);
        assert!(breaker.take_probe(due));
        // Even one that was given up.
        breaker.child_ended(false, due);
        breaker.probed(Probe::Answered, due);
        let left = 2 * OPEN_FIRST;
        assert_eq!(breaker.state(due), BreakerState::Open { left });
    }
}
