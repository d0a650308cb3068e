//! Clocks: a boot clock that only the kernel moves, and a wall clock that anyone moves.

use std::sync::Mutex;

use super::random::Random;
use crate::{Clock, Reading};

/// The clocks of one machine. True time is told to them.
pub struct SimClock(Mutex<Hands>);

#[derive(Clone, Copy, Debug)]
struct Hands {
    now: u64,
    booted: u64,
    /// By how many millionths the boot clock is fast.
    drift: i64,
    /// By how much the wall clock is wrong.
    error: i64,
    /// Where it stands, if it does.
    frozen: Option<u64>,
}

const HOUR: i64 = 3_600_000;
const YEAR: i64 = 365 * 24 * HOUR;

/// By how many millionths a boot clock is fast or slow at the most: a crystal that nobody disciplines.
pub const DRIFT: u64 = 50;

impl SimClock {
    pub fn new(now: u64) -> Self {
        Self(Mutex::new(Hands {
            now,
            booted: now.saturating_sub(1_000),
            drift: 0,
            error: 0,
            frozen: None,
        }))
    }

    /// It may have been told a later one, by a turn that took a while.
    pub fn tell(&self, now: u64) {
        let mut hands = self.0.lock().unwrap();
        hands.now = hands.now.max(now);
    }

    /// The wall clock is set to what is wrong by so much.
    pub fn set_wrong_by(&self, millis: i64) {
        self.0.lock().unwrap().error = millis;
    }

    /// The true time, as it was told last.
    pub fn now(&self) -> u64 {
        self.0.lock().unwrap().now
    }

    /// The machine is started again; a wall clock without a battery begins anywhere.
    pub fn boot(&self, random: &mut Random) {
        let mut hands = self.0.lock().unwrap();
        hands.booted = hands.now;
        hands.drift = random.below(2 * DRIFT + 1) as i64 - DRIFT as i64;
        hands.frozen = None;
        if random.once_in(3) {
            hands.error = 0;
        }
        if random.once_in(8) {
            hands.error = -i64::try_from(hands.now).unwrap();
        }
    }

    /// Somebody sets the wall clock; gives what was done.
    pub fn disturb(&self, random: &mut Random) -> String {
        let mut hands = self.0.lock().unwrap();
        hands.frozen = None;
        let signed = |n: u64| if n.is_multiple_of(2) { 1 } else { -1 };
        let sign = signed(random.number());
        hands.error = match random.below(8) {
            0 => 0,
            1 => sign * 2 * HOUR,
            2 => sign * 30_000,
            3 => sign * random.between(1, 6_000) as i64,
            4 => sign * random.between(1, 48 * 3_600_000) as i64,
            5 => sign * 20 * YEAR,
            6 => hands.error + sign * 40_000,
            _ => {
                hands.frozen = Some(hands.now.saturating_add_signed(hands.error));
                hands.error
            }
        };
        format!("error {} frozen {:?}", hands.error, hands.frozen)
    }
}

impl Hands {
    /// What the boot clock makes of a time.
    fn drifted(&self, millis: u64) -> u64 {
        let millis = i128::from(millis);
        let fast = millis * i128::from(self.drift) / 1_000_000;
        u64::try_from(millis + fast).unwrap()
    }
}

impl Clock for SimClock {
    fn read(&self) -> Reading {
        let hands = self.0.lock().unwrap();
        let shown = hands.now.saturating_add_signed(hands.error);
        Reading {
            wall_millis: hands.frozen.unwrap_or(shown),
            boot_millis: hands.drifted(hands.now - hands.booted),
        }
    }

    fn boot_id(&self) -> &str {
        "boot"
    }
}
