//! Time as an interval, from two clocks neither of which is believed alone.
//!
//! The wall clock can be moved by whoever controls the time service; the boot clock only counts
//! since boot. `lo` follows the slower of the two, so that no step of the wall clock gives room
//! back early; `hi` follows the wall clock forward, so that nothing expired is taken for good.
//!
//! Neither clock knows how long a machine was off. Outsiders do, who sign that it is at least so late: what
//! enough of them say moves `lo` on ([`TimeKeeper::credit`]).

use tx::{Interval, Time};

/// How much faster than the boot clock `lo` may go, to catch up with the wall clock: 200 ppm, as
/// one part in this many.
const CATCH_UP_PARTS: u64 = 5_000;
/// Apart by more than this, and by more than the clocks' drift, the wall clock has jumped.
const JUMP_MILLIS: u64 = 5_000;
/// How far beyond `lo` a wall time is remembered, and one attester's word on the time taken.
pub(crate) const HI_MEMORY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// Turns readings of the two clocks into an [`Interval`]. Pure: it reads no clock itself.
#[derive(Clone, Debug)]
pub struct TimeKeeper {
    now: Interval,
    /// The latest wall time that is still held against what expires.
    remembered: Time,
    anchor: Option<Anchor>,
    counted: Counted,
}

/// Since when progress is counted. Were it counted from each reading to the next, the smaller of
/// two progresses that are rounded to milliseconds could be 0 for ever.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    lo: Time,
    from: Clocks,
    /// Against which the wall clock is seen to jump: what is credited does not hide a creeping one.
    steady: Clocks,
}

/// What both clocks showed.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    wall_millis: u64,
    boot_millis: u64,
}

/// The last thing that time is counted from, such as a charge: `lo` must not move further from it than
/// time has passed.
#[derive(Clone, Copy, Debug)]
enum Counted {
    /// Before this start: it was no later than its `hi`.
    Earlier(Interval),
    /// In this run: the boot clock says how long ago it was.
    Here { lo: Time, boot_millis: u64 },
}

impl Counted {
    /// As much of `lo` as lets what was counted in this run be no older than it is. A wall clock that was behind when
    /// something was charged, and makes good what it lacked, would age it by that.
    fn not_older(self, lo: Time, boot_millis: u64) -> Time {
        match self {
            Self::Earlier(_) => lo,
            Self::Here {
                lo: counted_lo,
                boot_millis: counted,
            } => {
                let since = boot_millis.saturating_sub(counted);
                let drift = since.checked_div(CATCH_UP_PARTS).unwrap_or(0);
                lo.min(counted_lo.after_millis(since.saturating_add(drift)))
            }
        }
    }
}

/// The latest time that at least `needed` of those say it is at least.
pub fn at_least(mut said: Vec<Time>, needed: usize) -> Option<Time> {
    said.sort_unstable_by(|one, other| other.cmp(one));
    said.get(needed.checked_sub(1)?).copied()
}

impl TimeKeeper {
    /// Time where nothing is known but the journal's last entry: `lo` stands where it stood and
    /// goes on from the first reading; the time in between is not credited.
    pub fn restart(last: Interval) -> Self {
        let remembered = last.hi.min(last.lo.after_millis(HI_MEMORY_MILLIS));
        Self {
            now: Interval {
                lo: last.lo,
                hi: last.lo.max(remembered),
            },
            remembered,
            anchor: None,
            counted: Counted::Earlier(last),
        }
    }

    /// The same, where the last entry that time is counted from was written then, and not last.
    #[must_use]
    pub fn counted_at(self, counted: Interval) -> Self {
        let counted = Counted::Earlier(counted);
        Self { counted, ..self }
    }

    /// Time is counted from now on, and not only from before: `lo` moves no further than the boot clock and 200 ppm
    /// from here on, whatever is credited or made good.
    pub fn count(&mut self, boot_millis: u64) {
        let lo = self.now.lo;
        self.counted = Counted::Here { lo, boot_millis };
    }

    /// Time after a restart within one boot of the machine, where the readings that belong to the
    /// journal's last entry are known: progress since then counts.
    pub fn resume(last: Interval, wall_millis: u64, boot_millis: u64) -> Self {
        let mut keeper = Self::restart(last);
        keeper.set_anchor(wall_millis, boot_millis);
        keeper
    }

    /// The interval as of the last reading.
    pub fn interval(&self) -> Interval {
        self.now
    }

    /// Takes a reading: milliseconds since the epoch by the wall clock, and milliseconds since
    /// boot, suspension included. Returns the time and, when the wall clock moved otherwise than
    /// the boot clock explains, by how many milliseconds more: such a jump gives nothing, blocks
    /// nothing, and is journalled.
    pub fn advance(&mut self, wall_millis: u64, boot_millis: u64) -> (Interval, Option<i64>) {
        let jump = match self.anchor {
            None => {
                self.set_anchor(wall_millis, boot_millis);
                None
            }
            Some(anchor) => self.follow(anchor, wall_millis, boot_millis),
        };
        let lo = self.now.lo;
        let horizon = lo.after_millis(HI_MEMORY_MILLIS);
        // What is answered is not bounded: a wall clock that stands far ahead because the machine
        // was off for a month is right about what has expired. What is remembered is, so that one
        // wild reading does not block for longer than a day.
        let hi = lo
            .max(Time::from_millis(wall_millis))
            .max(self.remembered.min(horizon));
        self.remembered = hi.min(horizon);
        self.now = Interval { lo, hi };
        (self.now, jump)
    }

    /// Takes that it is at least so late, as enough outsiders signed, at a reading that was taken. Returns by how
    /// many milliseconds `lo` moved on.
    ///
    /// What is true once stays so: an old statement only gives less. `lo` goes up to it at most, up to the wall
    /// clock at most, and away from whatever time is counted from by no more than has passed since: of what was
    /// charged before the start the latest that it can have been is known, since then the boot clock goes. What
    /// was charged while `lo` was behind would else be older by what is made up for.
    ///
    /// `hi` is no earlier. What expires has expired by then, even where the wall clock is behind.
    pub fn credit(&mut self, at_least: Time, wall_millis: u64, boot_millis: u64) -> u64 {
        let most = match self.counted {
            Counted::Earlier(last) => last.lo.after_millis(at_least.millis_since(last.hi)),
            Counted::Here {
                lo,
                boot_millis: counted,
            } => lo.after_millis(boot_millis.saturating_sub(counted)),
        };
        let lo = at_least.min(Time::from_millis(wall_millis)).min(most);
        let credited = lo.millis_since(self.now.lo);
        if credited > 0 {
            self.now.lo = lo;
            self.go_on_from(wall_millis, boot_millis);
        }
        self.now.hi = self.now.hi.max(at_least).max(self.now.lo);
        let horizon = self.now.lo.after_millis(HI_MEMORY_MILLIS);
        self.remembered = self.now.hi.min(horizon);
        credited
    }

    fn follow(&mut self, anchor: Anchor, wall_millis: u64, boot_millis: u64) -> Option<i64> {
        let Anchor { lo, from, steady } = anchor;
        let boot = boot_millis.saturating_sub(steady.boot_millis);
        let drift = boot.checked_div(CATCH_UP_PARTS).unwrap_or(0);
        let excess = i128::from(wall_millis)
            .saturating_sub(i128::from(steady.wall_millis))
            .saturating_sub(i128::from(boot));
        if excess.unsigned_abs() > u128::from(JUMP_MILLIS.saturating_add(drift)) {
            self.set_anchor(wall_millis, boot_millis);
            return Some(i64::try_from(excess).unwrap_or(i64::MAX));
        }
        let wall = wall_millis.saturating_sub(from.wall_millis);
        let boot = boot_millis.saturating_sub(from.boot_millis);
        let drift = boot.checked_div(CATCH_UP_PARTS).unwrap_or(0);
        let slower = lo.after_millis(wall.min(boot));
        let behind = wall_millis.saturating_sub(slower.millis());
        let lo = slower.after_millis(behind.min(drift));
        self.now.lo = self.now.lo.max(self.counted.not_older(lo, boot_millis));
        None
    }

    fn set_anchor(&mut self, wall_millis: u64, boot_millis: u64) {
        let from = Clocks {
            wall_millis,
            boot_millis,
        };
        self.anchor = Some(Anchor {
            lo: self.now.lo,
            from,
            steady: from,
        });
    }

    /// Counts progress from here on; what the wall clock did before is not forgotten.
    fn go_on_from(&mut self, wall_millis: u64, boot_millis: u64) {
        let steady = self.anchor.map(|anchor| anchor.steady);
        self.set_anchor(wall_millis, boot_millis);
        if let (Some(anchor), Some(steady)) = (&mut self.anchor, steady) {
            anchor.steady = steady;
        }
    }
}
