//! Invariant 7: `lo` never runs ahead of true time, nothing blocks for ever, nothing expired is
//! taken for good.

use proptest::{collection::vec, prelude::*, test_runner::TestCaseError};
use strongroom_policy::TimeKeeper;
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
