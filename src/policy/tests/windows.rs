//! What limits hold of long histories: to the unit what the formula says, wherever the charges are kept,
//! and whatever was counted before or is counted anew.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use proptest::{prelude::*, sample::Index, test_runner::TestCaseError};
use strongroom_policy::{
    AttemptId, BundleHash, ChargeBlocks, ChargeState, ChargeStateError, ChargesError, ClosedBlock,
    EvaluateError, Group, HotState, KeptBlocks, Limit, Measure, Policy, RestoreError, Row, State,
    StateError, Statement, UnreadBlock, evaluate,
};
use tx::{Amount, EffectKind};

use crate::{
    fixture::{
        Ask, DAY, SECOND, Signer, amount, btc, effects, eth, grouped, limit, name, need, policy,
    },
    hostile::{Hostile, Step, by_formula, in_window, runner, runs},
    restore::fold_under,
};

/// Closed blocks, where nobody loses them.
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<Mutex<BTreeMap<u64, ClosedBlock>>>);

impl ChargeBlocks for Kept {
    fn read(&self, block: u64) -> Result<Arc<[u8]>, UnreadBlock> {
        let blocks = self.0.lock().unwrap();
        let found = blocks.get(&block).map(|block| Arc::clone(&block.charges));
        found.ok_or_else(|| UnreadBlock {
            reason: format!("there is no block {block}"),
        })
    }
}

impl Kept {
    /// Takes what the state has closed.
    pub fn take(&self, state: &mut State) {
        let mut blocks = self.0.lock().unwrap();
        let closed: Vec<ClosedBlock> = state.closed_blocks().cloned().collect();
        let end = closed.last().map_or(0, |last| last.number + 1);
        blocks.extend(closed.into_iter().map(|block| (block.number, block)));
        state.release_blocks(Arc::new(self.clone()), end);
    }

    /// The blocks of a state, which it has in memory or released here.
    pub fn of(&self, state: &ChargeState) -> KeptBlocks<Vec<Arc<[u8]>>> {
        let blocks = self.0.lock().unwrap();
        let needed = blocks.range(state.base()..state.blocks());
        KeptBlocks {
            summaries: needed
                .map(|(_, block)| Arc::clone(&block.summary))
                .collect(),
            reader: Arc::new(self.clone()),
        }
    }
}

/// Through bytes and back.
pub fn again(state: &State, policies: &[Policy]) -> State {
    let kept = Kept::default();
    let mut whole = state.clone();
    kept.take(&mut whole);
    again_from(state, &kept, policies)
}

fn again_from(state: &State, kept: &Kept, policies: &[Policy]) -> State {
    let hot = HotState::decode(&state.hot().encode().unwrap()).unwrap();
    let charges = state.charge_state();
    let charges = ChargeState::decode(&charges.encode()).unwrap();
    let row = |row: Row| Row::decode(row.key(), &row.value()).unwrap();
    let blocks = kept.of(&charges);
    let mut again = State::restore(hot, state.rows().map(row), charges, blocks).unwrap();
    if let Some(policy) = policies
        .iter()
        .find(|policy| state.active() == Some(policy.hash))
    {
        again.activate(Arc::new(policy.clone())).unwrap();
    }
    again
}

/// Short and long windows, all that can be counted apart, and one that people carry over.
fn limits() -> Vec<Statement<Limit>> {
    let mut count = limit("count", btc(), 1 << 40, 60 * SECOND);
    count.says.measure = Measure::Count;
    let mut attended = limit("attended", btc(), 1 << 40, 200 * SECOND);
    attended.says.over = Some(need(1, &["alice"]));
    let mut young = limit("young", btc(), 1 << 40, 300 * SECOND);
    young.selector.age_below = Some(100 * SECOND);
    let mut by_night = limit("by-night", btc(), 1 << 40, 500 * SECOND);
    by_night.selector.hours_except = Some([name("first-day")].into());
    vec![
        young,
        by_night,
        limit("btc", btc(), 1 << 40, 1_000 * SECOND),
        limit("eth", eth(), 1 << 40, DAY),
        grouped(
            limit("to", btc(), 1 << 40, 30 * SECOND),
            &[Group::Destination],
        ),
        grouped(limit("to-long", btc(), 1 << 40, DAY), &[Group::Destination]),
        grouped(
            limit("to-from", eth(), 1 << 40, 2 * DAY),
            &[Group::Destination, Group::Client],
        ),
        grouped(count, &[Group::Client, Group::Account]),
        attended,
    ]
}

/// The policy, and two that replace it: with other limits, and with one limit by destination less.
fn policies() -> [Policy; 3] {
    let sequenced = |sequence: u8, limits| Policy {
        hash: BundleHash([sequence; 32]),
        sequence: u64::from(sequence),
        limits,
        ..policy()
    };
    let mut turned = limits();
    turned.reverse();
    turned.truncate(7);
    [
        sequenced(1, limits()),
        sequenced(2, turned),
        sequenced(3, limits().split_off(7)),
    ]
}

fn rooms_agree(state: &State, hostile: &Hostile) -> Result<(), TestCaseError> {
    let now = hostile.signer.now;
    let rooms = state.room(now).unwrap();
    let mut shown = 0;
    for limit in &state.policy().unwrap().limits {
        for (group, (attempts, weights)) in in_window(limit, &hostile.done, now.lo) {
            let used = by_formula(&attempts, &weights);
            let room = rooms
                .iter()
                .find(|room| room.limit == limit.name && room.group == group);
            prop_assert_eq!(
                room.map_or(Amount::ZERO, |room| room.used),
                used,
                "{:?}",
                group
            );
            shown += usize::from(room.is_some());
        }
    }
    let in_use = rooms.iter().filter(|room| !room.used.is_zero()).count();
    prop_assert!(in_use <= shown);
    Ok(())
}

/// As long a run as there is, of which most is of one window.
fn long() -> impl Strategy<Value = Vec<Step>> {
    let runs = prop::collection::vec(runs(40), 12);
    runs.prop_map(|runs| runs.concat().into_iter().take(250).collect())
}

/// A long life, in which closed blocks are taken away after each step, and the policy changes.
#[test]
fn long_windows_are_the_formula_wherever_charges_are_kept() {
    let charged = AtomicUsize::new(0);
    let run = |(steps, turns, wait): (Vec<Step>, [usize; 2], u64)| {
        let policies = policies();
        let kept = Kept::default();
        let mut hostile = Hostile::new(&Signer::new(policies[0].clone()));
        for (n, step) in steps.iter().enumerate() {
            for (turn, policy) in turns.iter().zip(&policies[1..]) {
                if n == *turn && hostile.signer.state.policy().unwrap().sequence < policy.sequence {
                    hostile.signer.activate(policy.clone());
                }
            }
            let ask = hostile.take(step);
            hostile.charge(&ask);
            kept.take(&mut hostile.signer.state);
            if n % 16 == 0 {
                rooms_agree(&hostile.signer.state, &hostile)?;
            }
        }
        prop_assert!(hostile.signer.state.closed_blocks().next().is_none());
        charged.fetch_add(hostile.done.len(), Ordering::Relaxed);
        // Asked without letting go of what has left, and after: the same.
        hostile.signer.pass(wait);
        rooms_agree(&hostile.signer.state, &hostile)?;
        let lo = hostile.signer.now.lo;
        hostile.signer.state.advance(lo).unwrap();
        rooms_agree(&hostile.signer.state, &hostile)
    };
    let cases = (
        long(),
        [0..400_usize, 0..400],
        prop_oneof![Just(0), 0..100 * SECOND, Just(DAY), Just(91 * DAY)],
    );
    runner(30).run(&cases, run).unwrap();
    let charged = charged.into_inner();
    assert!(charged > 30 * 90, "only {charged} charges");
}

/// Cut anywhere, restored and folded on, it is the fold of all: what it answers, and what it keeps.
#[test]
fn a_long_history_cut_anywhere_is_the_fold_of_all() {
    let run = |(steps, turn, cut, wait): (Vec<Step>, usize, Index, u64)| {
        let policies = policies();
        let mut hostile = Hostile::new(&Signer::new(policies[0].clone()));
        for (n, step) in steps.iter().enumerate() {
            if n == turn {
                hostile.signer.activate(policies[1].clone());
            }
            if n == turn / 2 {
                hostile.signer.pass(wait);
            }
            let ask = hostile.take(step);
            hostile.charge(&ask);
        }
        let records = hostile.signer.records.clone();
        let (early, late) = records.split_at(cut.index(records.len() + 1));
        let kept = Kept::default();
        let mut folded = State::new();
        for record in early {
            fold_under(&mut folded, std::slice::from_ref(record), &policies);
            // As the writer does between entries.
            let half = hostile.signer.now.lo.min(record.time.lo);
            folded.advance(half).unwrap();
            kept.take(&mut folded);
        }
        let mut restored = again_from(&folded, &kept, &policies);
        prop_assert_eq!(restored.charge_state(), folded.charge_state());
        fold_under(&mut restored, late, &policies);
        let lived = &hostile.signer.state;
        prop_assert_eq!(restored.charge_state(), lived.charge_state());
        prop_assert_eq!(restored.charge_state().hash(), lived.charge_state().hash());
        rooms_agree(&restored, &hostile)?;
        Ok(())
    };
    let cases = (
        long(),
        0..300_usize,
        any::<Index>(),
        prop_oneof![Just(0), Just(DAY), Just(89 * DAY), Just(91 * DAY)],
    );
    runner(20).run(&cases, run).unwrap();
}

/// A signer that paid one destination more often than such groups are summed, and others once.
fn paid_often(times: u32, limits: Vec<Statement<Limit>>) -> Signer {
    let mut signer = Signer::new(Policy { limits, ..policy() });
    for n in 0..times {
        let to = if n % 4 == 3 { 50 + (n / 4) as u8 } else { 1 };
        let ask = Ask::utxo(&format!("r{n}"), [n], 1_000);
        signer.charged(&ask.pay(&format!("i{n}"), 2, to));
        signer.pass(SECOND);
    }
    signer
}

#[test]
fn a_destination_with_many_payments_is_counted_and_let_go_of_again() {
    let by_destination = || {
        grouped(
            limit("to", btc(), 1_000, 300 * SECOND),
            &[Group::Destination],
        )
    };
    let mut signer = paid_often(200, vec![by_destination()]);
    let used = |signer: &Signer| {
        let rooms = signer.state.room(signer.now).unwrap();
        rooms.iter().map(|room| room.used).max().unwrap_or_default()
    };
    assert_eq!(used(&signer), amount(300));
    let many = signer.state.charge_state().encode().len();
    // To the last unit, as evaluation sees it.
    let ask = |units| Ask::utxo("last", [900], 1_000).pay("last", units, 1);
    assert!(signer.permit(&ask(700)).is_ok());
    assert!(signer.permit(&ask(701)).is_err());
    signer.pass(150 * SECOND);
    assert_eq!(used(&signer), amount(222));
    signer.pass(300 * SECOND);
    assert_eq!(used(&signer), amount(0));
    signer.charged(&Ask::utxo("b", [901], 1_000).pay("b", 3, 1));
    assert_eq!(used(&signer), amount(3));
    assert!(signer.state.charge_state().encode().len() < many);
}

#[test]
fn a_block_that_is_not_read_is_no_absence() {
    let mut limits = limits();
    limits.push(grouped(
        limit("apart", btc(), 1 << 40, 90 * DAY),
        &[Group::Destination],
    ));
    let mut signer = paid_often(100, limits);
    let kept = Kept::default();
    kept.take(&mut signer.state);
    kept.0.lock().unwrap().clear();
    let ask = Ask::utxo("x", [0], 2_000).pay("x", 1, 50);
    let decoded = ask.transaction.clone().decoded();
    let refused = evaluate(&signer.state, signer.now, &decoded, &ask.request);
    let Err(EvaluateError::Charges(ChargesError::Unread { block: 0, .. })) = refused else {
        panic!("decided without the charges: {refused:?}");
    };
    // Nor is anything else taken for what was there.
    for damage in [&b""[..], b"\x01", &[0; 400]] {
        let damaged = |number| ClosedBlock {
            number,
            summary: Arc::default(),
            charges: damage.into(),
        };
        let blocks = (0..4).map(|number| (number, damaged(number)));
        kept.0.lock().unwrap().extend(blocks);
        let refused = evaluate(&signer.state, signer.now, &decoded, &ask.request);
        let Err(EvaluateError::Charges(ChargesError::Damaged { .. })) = refused else {
            panic!("decided with other charges: {refused:?}");
        };
    }
    kept.0.lock().unwrap().clear();
    signer.pass(2 * DAY);
    let lo = signer.now.lo;
    assert!(matches!(
        signer.state.advance(lo),
        Err(ChargesError::Unread { .. })
    ));
    let policy = Arc::clone(signer.state.policy().unwrap());
    let recount = signer.state.activate(policy);
    assert!(matches!(recount, Err(StateError::Charges(_))));
}

fn restored(charges: ChargeState, kept: &Kept, state: &State) -> Result<State, RestoreError> {
    let blocks = kept.of(&charges);
    State::restore(state.hot(), state.rows(), charges, blocks)
}

#[test]
fn other_blocks_than_those_of_the_state_are_refused() {
    let signer = paid_often(100, limits());
    let kept = Kept::default();
    kept.take(&mut signer.state.clone());
    let charges = signer.state.charge_state();
    assert_eq!(charges.blocks(), 3);
    assert!(restored(charges.clone(), &kept, &signer.state).is_ok());
    let wrong = RestoreError::Charges(ChargeStateError::Blocks);
    let last = kept.0.lock().unwrap().remove(&2);
    assert_eq!(
        restored(charges.clone(), &kept, &signer.state).map(drop),
        Err(wrong.clone())
    );
    kept.0.lock().unwrap().insert(2, last.unwrap());
    // One more, of no charge and no link.
    let mut more = kept.of(&charges);
    more.summaries.push(Arc::from([0; 25]));
    let (hot, rows) = (signer.state.hot(), signer.state.rows());
    let refused = State::restore(hot, rows, charges.clone(), more);
    assert_eq!(refused.map(drop), Err(wrong.clone()));
    let other = paid_often(90, limits());
    let blocks = kept.of(&charges);
    let (hot, rows) = (other.state.hot(), other.state.rows());
    let refused = State::restore(hot, rows, other.state.charge_state(), blocks);
    assert_eq!(refused.map(drop), Err(wrong));
}

#[test]
fn a_charge_state_has_one_spelling_and_every_bit_is_bound() {
    let mut risk = limit("risk", btc(), 1 << 40, DAY);
    risk.says.outstanding = true;
    let asking = limits().into_iter().chain([risk]).collect();
    for (version, limits) in [(1, limits()), (2, asking)] {
        let mut signer = paid_often(70, limits);
        signer.charged(&Ask::evm("e", 0, 100).pay("e", 5, 2).client("other"));
        has_one_spelling(version, &signer.state.charge_state());
    }
}

fn has_one_spelling(version: u8, state: &ChargeState) {
    let bytes = state.encode();
    assert_eq!(bytes[0], version);
    assert_eq!(ChargeState::decode(&bytes), Ok(state.clone()));
    for end in 0..bytes.len() {
        assert!(ChargeState::decode(&bytes[..end]).is_err(), "{end} bytes");
    }
    assert!(ChargeState::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    let other = [&[3 - version], &bytes[1..]].concat();
    assert_eq!(ChargeState::decode(&other), Err(ChargeStateError::Form));
    let newer = [&[3], &bytes[1..]].concat();
    let newest = ChargeStateError::Version { found: 3 };
    assert_eq!(ChargeState::decode(&newer), Err(newest));
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = ChargeState::decode(&flipped) {
            assert_eq!(other.encode(), flipped, "bit {bit}");
            assert_ne!(other.hash(), state.hash(), "bit {bit}");
        }
    }
}

/// After 90 days a charge may belong to a set of which no other charge is kept.
#[test]
fn a_set_goes_on_when_its_first_charges_are_gone() {
    let mut to = limit("to", btc(), 1 << 40, 90 * DAY);
    to = grouped(to, &[Group::Destination]);
    let mut risk = limit("risk", btc(), 1 << 40, DAY);
    risk.says.outstanding = true;
    let mut signer = paid_often(100, vec![to, limit("all", btc(), 1 << 40, DAY), risk]);
    let kept = Kept::default();
    let first = AttemptId(signer.state.entries() - 100);
    let cheaper = Ask::utxo("cheap", [0], 5_000).pay("i0", 2, 1);
    let second = signer.charged(&cheaper.replaces([first]));
    signer.pass(91 * DAY);
    signer.charged(&Ask::utxo("new", [1_000], 1_000).pay("new", 2, 1));
    let lo = signer.now.lo;
    signer.state.advance(lo).unwrap();
    assert_eq!(signer.state.charge_state().base(), 3);
    assert_eq!(signer.state.first_block(), 3);
    let dearer = Ask::utxo("again", [0], 9_000).pay("i0", 2, 1);
    signer.charged(&dearer.replaces([first, second]));
    for n in 0..64_u32 {
        let ask = Ask::utxo(&format!("s{n}"), [2_000 + n], 1_000);
        signer.charged(&ask.pay(&format!("j{n}"), 2, 1));
        kept.take(&mut signer.state);
    }
    let policy = Arc::clone(signer.state.policy().unwrap());
    signer.state.activate(policy).unwrap();
    let rooms = signer.state.room(signer.now).unwrap();
    let used: Vec<Amount> = rooms.iter().map(|room| room.used).collect();
    assert_eq!(used, [amount(2 * 66); 3]);
    // A start begins with the first that is kept.
    let policies = [Policy::clone(signer.state.policy().unwrap())];
    let again = again_from(&signer.state, &kept, &policies);
    assert_eq!(again.room(signer.now), signer.state.room(signer.now));
}

/// A start applies what follows its snapshot, and lets the policy govern then.
#[test]
fn what_was_counted_before_counts_for_nothing_once_more_was_charged() {
    let mut signer = paid_often(60, limits());
    let early = signer.state.clone();
    let kept = Kept::default();
    kept.take(&mut early.clone());
    let mut again = restored(early.charge_state(), &kept, &early).unwrap();
    let cut = signer.records.len();
    for n in 0..8_u32 {
        let ask = Ask::utxo(&format!("s{n}"), [2_000 + n], 1_000);
        signer.charged(&ask.pay(&format!("j{n}"), 2, 1));
    }
    for record in &signer.records[cut..] {
        again.apply(again.entries(), record).unwrap();
    }
    let policy = Arc::clone(signer.state.policy().unwrap());
    again.activate(policy).unwrap();
    assert_eq!(again.room(signer.now), signer.state.room(signer.now));
    assert_eq!(again.charge_state(), signer.state.charge_state());
}

/// A start reads no block for what the snapshot holds.
#[test]
fn what_was_counted_is_not_counted_again() {
    let limits = [300 * SECOND, 90 * DAY].map(|window| limit("all", btc(), 1 << 40, window));
    let mut signer = paid_often(100, limits.to_vec());
    let kept = Kept::default();
    kept.take(&mut signer.state);
    let mut again = restored(signer.state.charge_state(), &kept, &signer.state).unwrap();
    let blocks = std::mem::take(&mut *kept.0.lock().unwrap());
    assert!(blocks.len() > 2);
    let policy = Arc::clone(signer.state.policy().unwrap());
    again.activate(policy).unwrap();
    *kept.0.lock().unwrap() = blocks;
    assert_eq!(again.room(signer.now), signer.state.room(signer.now));
}

/// Though it has as many limits.
#[test]
fn what_was_counted_for_another_bundle_is_counted_anew() {
    let mut signer = paid_often(60, vec![limit("all", btc(), 1 << 40, 20 * SECOND)]);
    let kept = Kept::default();
    kept.take(&mut signer.state);
    let counted = signer.state.charge_state();
    let mut other = Policy::clone(signer.state.policy().unwrap());
    (other.hash, other.sequence) = (BundleHash([2; 32]), 2);
    other.limits = vec![limit("all", btc(), 1 << 40, 40 * SECOND)];
    signer.activate(other.clone());
    let mut again = restored(counted, &kept, &signer.state).unwrap();
    again.activate(Arc::new(other)).unwrap();
    let rooms = signer.state.room(signer.now);
    assert_eq!(again.room(signer.now), rooms);
    let used: Vec<Amount> = rooms.unwrap().iter().map(|room| room.used).collect();
    assert_eq!(used, [amount(2 * 39)]);
}

/// Neither longer than anybody can ask for them, nor shorter.
#[test]
fn closed_blocks_are_held_until_they_are_kept_or_gone() {
    let mut signer = paid_often(64, vec![limit("all", btc(), 1 << 40, DAY)]);
    signer.pass(45 * DAY);
    for n in 0..65_u32 {
        let ask = Ask::utxo(&format!("s{n}"), [2_000 + n], 1_000);
        signer.charged(&ask.pay(&format!("j{n}"), 2, 1));
    }
    signer.pass(46 * DAY);
    let lo = signer.now.lo;
    signer.state.advance(lo).unwrap();
    let held = signer.state.closed_blocks().map(|block| block.number);
    assert_eq!(held.collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(signer.state.first_block(), 1);
    signer.state.release_blocks(Arc::new(Kept::default()), 2);
    let held = signer.state.closed_blocks().map(|block| block.number);
    assert_eq!(held.collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_set_goes_on_when_a_thousand_others_are_gone() {
    let mut fees = limit("fees", btc(), 1 << 40, 90 * DAY);
    fees.selector = effects(&[EffectKind::Fee]);
    let mut signer = paid_often(0, vec![limit("all", btc(), 1 << 40, 90 * DAY), fees]);
    for n in 0..1_100_u32 {
        let ask = Ask::utxo(&format!("r{n}"), [n], 1_000);
        signer.charged(&ask.pay(&format!("i{n}"), 2, 1));
    }
    signer.pass(45 * DAY);
    let mut made = Vec::new();
    for n in 1..4_u64 {
        let ask = Ask::utxo(&format!("s{n}"), [5_000], 1_000 * n).pay("s", 7, 1);
        made.push(signer.charged(&ask.replaces(made.clone())));
        signer.pass(23 * DAY);
        let lo = signer.now.lo;
        signer.state.advance(lo).unwrap();
    }
    assert_eq!(signer.state.first_block(), 34);
    let rooms = signer.state.room(signer.now).unwrap();
    let used: Vec<Amount> = rooms.iter().map(|room| room.used).collect();
    // The largest of the set.
    assert_eq!(used, [amount(7), amount(3_000)]);
}
