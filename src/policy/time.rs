//! Time as an interval, from two clocks neither of which is believed alone.
//!
//! The wall clock can be moved by whoever controls the time service; the boot clock only counts
//! since boot. `lo` follows the slower of the two, so that no step of the wall clock gives room
//! back early; `hi` follows the wall clock forward, so that nothing expired is taken for good.

use tx::{Interval, Time};

/// How much faster than the boot clock `lo` may go, to catch up with the wall clock: 200 ppm, as
/// one part in this many.
const CATCH_UP_PARTS: u64 = 5_000;
/// Apart by more than this, and by more than the clocks' drift, the wall clock has jumped.
const JUMP_MILLIS: u64 = 5_000;
/// How far beyond `lo` a wall time is remembered.
const HI_MEMORY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// Turns readings of the two clocks into an [`Interval`]. Pure: it reads no clock itself.
#[derive(Clone, Debug)]
pub struct TimeKeeper {
    now: Interval,
    /// The latest wall time that is still held against what expires.
    remembered: Time,
    anchor: Option<Anchor>,
}

/// Since when progress is counted. Were it counted from each reading to the next, the smaller of
/// two progresses that are rounded to milliseconds could be 0 for ever.
#[derive(Clone, Copy, Debug)]
struct Anchor {
    lo: Time,
    wall_millis: u64,
    boot_millis: u64,
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
        }
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

    fn follow(&mut self, anchor: Anchor, wall_millis: u64, boot_millis: u64) -> Option<i64> {
        let wall = wall_millis.saturating_sub(anchor.wall_millis);
        let boot = boot_millis.saturating_sub(anchor.boot_millis);
        let drift = boot.checked_div(CATCH_UP_PARTS).unwrap_or(0);
        let excess = i128::from(wall_millis)
            .saturating_sub(i128::from(anchor.wall_millis))
            .saturating_sub(i128::from(boot));
        if excess.unsigned_abs() > u128::from(JUMP_MILLIS.saturating_add(drift)) {
            self.set_anchor(wall_millis, boot_millis);
            return Some(i64::try_from(excess).unwrap_or(i64::MAX));
        }
        let slower = anchor.lo.after_millis(wall.min(boot));
        let behind = wall_millis.saturating_sub(slower.millis());
        self.now.lo = self.now.lo.max(slower.after_millis(behind.min(drift)));
        None
    }

    fn set_anchor(&mut self, wall_millis: u64, boot_millis: u64) {
        self.anchor = Some(Anchor {
            lo: self.now.lo,
            wall_millis,
            boot_millis,
        });
    }
}
