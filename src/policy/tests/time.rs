//! Invariant 7: `lo` never runs ahead of true time, nothing blocks for ever, nothing expired is
//! taken for good; nor do outsiders move it there, of whom fewer than are needed lie.

use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};
use strongroom_policy::{TimeKeeper, at_least};
use tx::{Interval, Time};

use crate::hostile::runner;

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;
const WALL: u64 = 1_790_000_000_000;

fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn synced() -> TimeKeeper {
    TimeKeeper::restart(Interval {
        lo: at(WALL),
        hi: at(WALL),
    })
}

/// What happens to the clocks between two readings.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Time passes; the boot clock counts it, the wall clock shows it plus its present error.
    Pass(u64),
    /// The wall clock is set wrong by this from here on.
    Wrong(i64),
    /// The daemon is started again: within the boot with the readings known, or knowing nothing.
    Restart { known: bool },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let hour = i64::try_from(HOUR).unwrap();
    let event = prop_oneof![
        8 => (0..3_u64).prop_map(Event::Pass),
        8 => (0..HOUR).prop_map(Event::Pass),
        2 => (DAY..40 * DAY).prop_map(Event::Pass),
        3 => (-6_000..6_000_i64).prop_map(Event::Wrong),
        2 => (-48 * hour..48 * hour).prop_map(Event::Wrong),
        1 => Just(Event::Wrong(100 * 365 * 24 * hour)),
        1 => Just(Event::Wrong(-100 * 365 * 24 * hour)),
        3 => Just(Event::Wrong(0)),
        2 => any::<bool>().prop_map(|known| Event::Restart { known }),
    ];
    vec(event, 1..60)
}

/// Runs the events and holds every answer against the truth.
fn held_against_the_truth(events: Vec<Event>) -> Result<(), TestCaseError> {
    let mut keeper = synced();
    let (mut passed, mut error) = (0_u64, 0_i64);
    let wall = |passed: u64, error: i64| (WALL + passed).saturating_add_signed(error);
    let mut last = keeper.advance(WALL, 0).0;
    for event in events {
        match event {
            Event::Pass(millis) => passed += millis,
            Event::Wrong(millis) => error = millis,
            Event::Restart { known: true } => {
                keeper = TimeKeeper::resume(last, wall(passed, error), passed);
            }
            Event::Restart { known: false } => keeper = TimeKeeper::restart(last),
        }
        let shown = wall(passed, error);
        let (now, _) = keeper.advance(shown, passed);
        prop_assert!(now.lo >= last.lo, "lo goes backwards");
        let most = WALL + passed + passed / 5_000;
        prop_assert!(
            now.lo.millis() <= most,
            "{} is beyond {most}",
            now.lo.millis()
        );
        prop_assert!(now.hi >= now.lo);
        prop_assert!(
            now.hi >= at(shown),
            "what the wall clock says has expired, has"
        );
        last = now;
    }
    Ok(())
}

#[test]
fn lo_never_exceeds_true_time_and_200_ppm() {
    runner(5_000)
        .run(&events(), held_against_the_truth)
        .unwrap();
}

/// A wall clock that goes back by less than a jump, and to where it was: what is charged meanwhile has the `lo` of
/// then, and does not get older by what is made good. Seed 116846 of the journal's simulation was so.
#[test]
fn what_is_charged_while_the_wall_clock_is_back_ages_no_faster_than_time() {
    let mut keeper = synced();
    keeper.advance(WALL, 0);
    let back = WALL + 60 * SECOND - 4_900;
    let (charged, jump) = keeper.advance(back, 60 * SECOND);
    assert_eq!((charged.lo, jump), (at(back), None));
    keeper.count(60 * SECOND);
    let (now, jump) = keeper.advance(WALL + 160 * SECOND, 160 * SECOND);
    assert_eq!(jump, None);
    assert_eq!(now.lo.millis_since(charged.lo), 100_020);
    // Where nothing was charged meanwhile, it is made good.
    let mut keeper = synced();
    keeper.advance(WALL, 0);
    keeper.advance(back, 60 * SECOND);
    let (now, _) = keeper.advance(WALL + 160 * SECOND, 160 * SECOND);
    assert_eq!(now.lo, at(WALL + 160 * SECOND));
}

/// Readings a millisecond apart, with the two clocks rounded differently: neither progress is
/// ever lost.
#[test]
fn frequent_readings_lose_nothing() {
    let mut keeper = synced();
    keeper.advance(WALL, 0);
    for half in 1..20_000_u64 {
        keeper.advance(WALL + half / 2, half.div_ceil(2));
    }
    let lo = keeper.interval().lo.millis() - WALL;
    assert!((9_998..=9_999).contains(&lo), "{lo}");
}

/// Whatever one reading says, a day later everything is as if it had never been.
#[test]
fn one_wild_reading_blocks_for_a_day_at_most() {
    for wild in [
        0,
        WALL - 2 * HOUR,
        WALL + 2 * HOUR,
        WALL + 100 * 365 * DAY,
        u64::MAX,
    ] {
        let mut keeper = synced();
        keeper.advance(WALL, 0);
        let (now, jump) = keeper.advance(wild, SECOND);
        assert!(jump.is_some(), "{wild} is not reported");
        assert_eq!(now.lo, at(WALL), "a jump gives nothing");
        let (after, _) = keeper.advance(WALL + 2 * SECOND, 2 * SECOND);
        assert!(after.hi <= at(WALL + DAY));
        for hour in 1..=25 {
            keeper.advance(WALL + hour * HOUR, hour * HOUR);
        }
        let now = keeper.interval();
        assert_eq!(now.hi, at(WALL + 25 * HOUR), "{wild}");
        let lost = (WALL + 25 * HOUR) - now.lo.millis();
        assert!(lost <= 2 * SECOND, "{wild}: {lost} ms are lost");
    }
}

/// 30 s once a minute, in either direction: nothing comes back early, and it is all reported.
#[test]
fn small_steps_give_nothing_either() {
    for step in [-30_000_i64, 30_000] {
        let mut keeper = synced();
        keeper.advance(WALL, 0);
        let mut jumps = 0;
        for minute in 1..=60_u64 {
            let boot = minute * 60 * SECOND;
            let error = step * i64::try_from(minute).unwrap();
            let (now, jump) = keeper.advance((WALL + boot).saturating_add_signed(error), boot);
            jumps += u32::from(jump == Some(step));
            assert!(now.lo.millis() <= WALL + boot + boot / 5_000);
        }
        assert_eq!(jumps, 60);
    }
}

/// A jump is seen against all of the past, not only against the last reading.
#[test]
fn creeping_is_reported() {
    let mut keeper = synced();
    keeper.advance(WALL, 0);
    let jumps = (1..=10_u64).filter_map(|n| keeper.advance(WALL + n * 2 * SECOND, n * SECOND).1);
    assert_eq!(jumps.collect::<Vec<_>>(), [6_000]);
}

#[test]
fn a_suspended_machine_goes_on() {
    let mut keeper = synced();
    keeper.advance(WALL, 0);
    let (now, jump) = keeper.advance(WALL + 8 * HOUR, 8 * HOUR);
    assert_eq!((now.lo, jump), (at(WALL + 8 * HOUR), None));
}

/// Off for a month: the month is not credited, and what expired in it has expired.
#[test]
fn a_restart_credits_nothing_and_expires_everything() {
    let month = WALL + 30 * DAY;
    let mut keeper = synced();
    let (now, jump) = keeper.advance(month, 5);
    assert_eq!(
        (now, jump),
        (
            Interval {
                lo: at(WALL),
                hi: at(month)
            },
            None
        )
    );
    let (now, _) = keeper.advance(month + HOUR, 5 + HOUR);
    assert_eq!(now.hi, at(month + HOUR));
    // It goes on, and catches up by 200 ppm.
    assert_eq!(now.lo, at(WALL + HOUR + HOUR / 5_000));
}

#[test]
fn a_restart_within_the_boot_goes_on_where_the_readings_are_known() {
    let last = Interval {
        lo: at(WALL),
        hi: at(WALL),
    };
    let (now, _) = TimeKeeper::resume(last, WALL, 100).advance(WALL + HOUR, 100 + HOUR);
    assert_eq!(now.lo, at(WALL + HOUR));
    // What the journal remembered of a wild reading is bounded.
    let wild = Interval {
        lo: at(WALL),
        hi: at(WALL + 400 * DAY),
    };
    let (now, _) = TimeKeeper::restart(wild).advance(WALL, 0);
    assert_eq!(now.hi, at(WALL + DAY));
}

/// How many of three outsiders are needed.
const NEEDED: usize = 2;

/// What happens between two readings, to a signer with three outsiders.
#[derive(Clone, Copy, Debug)]
enum Told {
    Clock(Event),
    /// The machine starts again: its boot clock is at 0, and time has passed.
    Boot(u64),
    /// An honest one says, or somebody brings what it said so long ago, that it is at least so late.
    Say {
        who: usize,
        ago: u64,
    },
    /// The third one says something.
    Lie(u64),
    /// Something is charged.
    Count,
}

fn told(clocks: impl Strategy<Value = Event> + 'static) -> impl Strategy<Value = Vec<Told>> {
    let lie = prop_oneof![Just(0), WALL - DAY..WALL + 400 * DAY, Just(u64::MAX)];
    let event = prop_oneof![
        6 => clocks.prop_map(Told::Clock),
        2 => (0..3 * DAY).prop_map(Told::Boot),
        4 => (0..2_usize, 0..2 * SECOND).prop_map(|(who, ago)| Told::Say { who, ago }),
        1 => (0..2_usize, 0..3 * DAY).prop_map(|(who, ago)| Told::Say { who, ago }),
        2 => lie.prop_map(Told::Lie),
        3 => Just(Told::Count),
    ];
    vec(event, 1..60)
}

/// A machine, and what is true of it.
struct Machine {
    keeper: TimeKeeper,
    passed: u64,
    error: i64,
    booted: u64,
    said: [Option<Time>; 3],
    /// What was charged last, by the time of the signer.
    counted: Interval,
    /// What was charged, in the signer's time and in truth.
    charges: Vec<(Time, u64)>,
}

impl Machine {
    fn new() -> Self {
        let at = Interval {
            lo: at(WALL),
            hi: at(WALL),
        };
        Self {
            keeper: synced(),
            passed: 0,
            error: 0,
            booted: 0,
            said: [None; 3],
            counted: at,
            charges: Vec::new(),
        }
    }

    fn clocks(&self) -> (u64, u64) {
        let wall = (WALL + self.passed).saturating_add_signed(self.error);
        (wall, self.passed - self.booted)
    }

    fn read(&mut self) -> Interval {
        let (wall, boot) = self.clocks();
        self.keeper.advance(wall, boot);
        let said = self.said.iter().flatten().copied().collect();
        if let Some(said) = at_least(said, NEEDED) {
            self.keeper.credit(said, wall, boot);
        }
        self.keeper.interval()
    }

    fn happens(&mut self, event: Told) {
        match event {
            Told::Clock(Event::Pass(millis)) => self.passed += millis,
            Told::Clock(Event::Wrong(millis)) => self.error = millis,
            Told::Clock(Event::Restart { known }) => {
                let (last, (wall, boot)) = (self.keeper.interval(), self.clocks());
                let keeper = match known {
                    true => TimeKeeper::resume(last, wall, boot),
                    false => TimeKeeper::restart(last),
                };
                self.keeper = keeper.counted_at(self.counted);
            }
            Told::Boot(off) => {
                self.passed += off;
                self.booted = self.passed;
                let last = self.keeper.interval();
                self.keeper = TimeKeeper::restart(last).counted_at(self.counted);
            }
            Told::Say { who, ago } => {
                self.said[who] = Some(at((WALL + self.passed).saturating_sub(ago)));
            }
            Told::Lie(time) => self.said[2] = Some(at(time)),
            Told::Count => {
                let now = self.read();
                self.keeper.count(self.clocks().1);
                self.counted = now;
                self.charges.push((now.lo, self.passed));
            }
        }
    }
}

/// Whatever the clocks show and the third one says.
#[test]
fn outsiders_of_whom_one_lies_never_move_lo_ahead_of_true_time() {
    let clocks = events().prop_map(|events| events[0]);
    let held = |events: Vec<Told>| {
        let mut machine = Machine::new();
        let mut last = machine.read();
        for event in events {
            machine.happens(event);
            let now = machine.read();
            prop_assert!(now.lo >= last.lo, "lo goes backwards");
            let most = WALL + machine.passed + machine.passed / 5_000;
            prop_assert!(now.lo.millis() <= most, "{} is beyond {most}", now.lo);
            prop_assert!(now.hi >= now.lo && now.hi >= at(machine.clocks().0));
            let said = machine.said.iter().flatten().copied().collect();
            let said = at_least(said, NEEDED);
            prop_assert!(said.is_none_or(|said| now.hi >= said), "it is later");
            last = now;
        }
        Ok(())
    };
    runner(5_000).run(&told(clocks), held).unwrap();
}

/// No charge is ever older by `lo` than it is, as long as the wall clock was not behind: neither by what is
/// credited in its own run nor by what is credited in a later one.
#[test]
fn no_charge_ages_by_what_is_credited() {
    let ahead = prop_oneof![
        6 => (0..HOUR).prop_map(Event::Pass),
        2 => (0..DAY).prop_map(Event::Pass),
        2 => (0..48 * 3_600_000_i64).prop_map(Event::Wrong),
        1 => Just(Event::Wrong(0)),
        2 => any::<bool>().prop_map(|known| Event::Restart { known }),
    ];
    runner(5_000)
        .run(&told(ahead), no_charge_is_too_old)
        .unwrap();
}

/// Nor by what a wall clock makes good that was behind, while nobody else says how late it is.
#[test]
fn no_charge_ages_by_what_a_wall_clock_makes_good() {
    let clocks = events().prop_map(|events| events[0]);
    let event = prop_oneof![
        6 => clocks.prop_map(Told::Clock),
        1 => (0..3 * DAY).prop_map(Told::Boot),
        3 => Just(Told::Count),
    ];
    let events = vec(event, 1..60);
    runner(5_000).run(&events, no_charge_is_too_old).unwrap();
}

fn no_charge_is_too_old(events: Vec<Told>) -> Result<(), TestCaseError> {
    let mut machine = Machine::new();
    machine.read();
    for event in events {
        machine.happens(event);
        let now = machine.read();
        // What `lo` catches up.
        let slack = 2 * (machine.passed / 5_000) + 1;
        for (lo, passed) in &machine.charges {
            let (by_lo, truly) = (now.lo.millis_since(*lo), machine.passed - passed);
            prop_assert!(by_lo <= truly + slack, "{by_lo} ms of lo, {truly} in truth");
        }
    }
    Ok(())
}

/// A night off, and what different numbers of outsiders say of it.
#[test]
fn a_night_off_is_credited_by_enough_outsiders_and_to_the_millisecond() {
    let morning = WALL + 10 * HOUR;
    let began = |said: &[u64]| {
        let mut machine = Machine::new();
        machine.read();
        machine.happens(Told::Boot(10 * HOUR));
        for (who, time) in said.iter().enumerate() {
            machine.said[who] = Some(at(*time));
        }
        machine.read()
    };
    let stands = Interval {
        lo: at(WALL),
        hi: at(morning),
    };
    assert_eq!(began(&[]), stands);
    assert_eq!(began(&[morning]), stands);
    // What was said before, or of a night ago.
    assert_eq!(began(&[WALL, WALL]), stands);
    assert_eq!(began(&[morning, WALL - DAY]), stands);
    assert_eq!(began(&[morning, u64::MAX]).lo, at(morning));
    assert_eq!(began(&[morning, morning - 5]).lo, at(morning - 5));
    assert_eq!(began(&[morning, morning - 5, u64::MAX]).lo, at(morning));
}

#[test]
fn what_was_charged_before_the_credit_ages_by_the_boot_clock() {
    let mut machine = Machine::new();
    machine.read();
    machine.happens(Told::Boot(10 * HOUR));
    machine.happens(Told::Count);
    machine.passed += HOUR;
    machine.said = [Some(at(WALL + 11 * HOUR)); 3];
    let now = machine.read();
    assert_eq!(now.lo, at(WALL + HOUR + HOUR / 5_000));
    // Nor is it made up for after the next night: of that alone is anything known.
    machine.happens(Told::Boot(10 * HOUR));
    machine.said = [Some(at(WALL + 21 * HOUR)); 3];
    let now = machine.read();
    assert_eq!(now.lo, at(WALL + 11 * HOUR));
}

/// The wall clock comes back an hour behind: `lo` goes no further than it shows, and what expired has expired.
#[test]
fn a_wall_clock_that_is_behind_holds_lo_and_not_hi() {
    let mut machine = Machine::new();
    machine.read();
    machine.happens(Told::Boot(10 * HOUR));
    machine.error = -i64::try_from(HOUR).unwrap();
    machine.said = [Some(at(WALL + 10 * HOUR)); 3];
    let behind = Interval {
        lo: at(WALL + 9 * HOUR),
        hi: at(WALL + 10 * HOUR),
    };
    assert_eq!(machine.read(), behind);
    machine.error = 0;
    let now = machine.read();
    assert_eq!(now.lo, at(WALL + 10 * HOUR));
    assert_eq!(now.hi, at(WALL + 10 * HOUR));
}

/// What is credited does not hide a wall clock that creeps.
#[test]
fn creeping_is_reported_through_credits() {
    let mut keeper = synced();
    keeper.advance(WALL, 0);
    let mut jumps = Vec::new();
    for n in 1..=10_u64 {
        let (wall, boot) = (WALL + n * 2 * SECOND, n * SECOND);
        jumps.extend(keeper.advance(wall, boot).1);
        keeper.credit(at(WALL + boot), wall, boot);
    }
    assert_eq!(jumps, [6_000]);
}
