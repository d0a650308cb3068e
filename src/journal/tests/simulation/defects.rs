//! Each defect is found within a part of what every test run takes, and its seed finds it again in the
//! same way.

use super::seeds::{run, shown};
use crate::defect::{self, Defect};

/// How many steps a defect may stay hidden: the budget of every test run.
const STEPS: u64 = 1_000_000;

struct Present;

impl Present {
    fn of(defect: Defect) -> Self {
        defect::set(Some(defect));
        Self
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        defect::set(None);
    }
}

/// Finds a defect, twice the same.
fn found(defect: Defect, named: &[&str]) {
    let _present = Present::of(defect);
    let mut steps = 0;
    for seed in 0.. {
        let ended = run(seed, false);
        steps += ended.tally.steps;
        assert!(steps < STEPS, "{defect:?} is not found");
        let Err(violation) = ended.outcome else {
            continue;
        };
        let trace = shown(ended.trace);
        println!(
            "{defect:?}: STRONGROOM_SIMULATION_SEED={seed} trace {trace} after {steps} steps: {violation:?}"
        );
        let again = run(seed, false);
        assert_eq!(shown(again.trace), trace);
        assert_eq!(again.outcome, Err(violation.clone()));
        let right = named.iter().any(|name| violation.0.starts_with(name));
        assert!(right, "{violation:?}");
        return;
    }
}

macro_rules! found {
    ($($test:ident: $defect:ident by $($named:literal)|+;)+) => {
        $(#[test]
        fn $test() {
            found(Defect::$defect, &[$($named),+]);
        })+
    };
}

found! {
    no_flush: NoFlush by "6 " | "a journal does not open";
    flushed_again: FlushedAgain by "6 " | "a journal does not open";
    charge_after_sign: ChargeAfterSign by "6 ";
    group_in_halves: GroupInHalves by "6 ";
    anchor_first: AnchorFirst by "a journal does not open";
    stale_head: StaleHead by "a log of ";
    refund_on_failure: RefundOnFailure by "1 " | "5 ";
    intent_unbound: IntentUnbound by "2 ";
    window_forgets: WindowForgets by "1 " | "5 " | "6 the fold";
    jump_gives_room: JumpGivesRoom by "7 " | "1 " | "5 " | "6 the fold" | "the journal stopped of itself";
    replay_signs_again: ReplaySignsAgain by "6 call" | "the journal stopped of itself";
    late_release: LateRelease by "6 delay";
    freeze_ignored: FreezeIgnored by "10 attempt";
    unwitnessed: Unwitnessed by "10 released";
    signed_unwitnessed: SignedUnwitnessed by "10 signed";
}
