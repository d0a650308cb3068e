//! The state from its parts: whatever is kept of a history after any of its entries, what follows from
//! it is what follows from the whole history.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::{prelude::*, sample::Index, test_runner::TestCaseError};
use strongroom_policy::{
    BundleHash, Digest, Entry, EvaluateError, Group, NotRecalled, Policy, Record, RestoreError,
    Row, RowKey, State, StateError, evaluate,
};

use tx::{AccountClass, Address, Amount, EffectKind, Interval, Time};

use crate::{
    fixture::{
        Ask, BTC, DAY, ETH, START, Signer, book, btc, eth, grouped, limit, name, need, outpoint,
        policy, stranger,
    },
    hostile::{Hostile, Step, runner, runs},
    rules::Outcome,
    windows::{Kept, again},
};

/// The first policy, and the one that replaces it.
fn policies() -> [Policy; 2] {
    let mut attended = limit("attended", btc(), 12, 100_000);
    attended.says.over = Some(need(1, &["alice"]));
    let first = Policy {
        limits: vec![
            limit("btc", btc(), 20, 100_000),
            grouped(limit("each", eth(), 9, DAY), &[Group::Destination]),
            attended,
        ],
        books: [(name("known"), book([stranger(BTC, 1), stranger(ETH, 1)]))].into(),
        ..policy()
    };
    let second = Policy {
        hash: BundleHash([2; 32]),
        sequence: 2,
        limits: vec![
            grouped(
                limit("apart", btc(), 15, 90 * DAY),
                &[Group::Client, Group::Source],
            ),
            limit("btc", btc(), 40, DAY),
        ],
        ..policy()
    };
    [first, second]
}

/// Goes through the steps, with another policy before one of them and a long time before another.
fn lived(steps: &[Step], turn: usize, wait: (usize, u64)) -> Hostile {
    let [first, second] = policies();
    let mut hostile = Hostile::new(&Signer::new(first));
    for (n, step) in steps.iter().enumerate() {
        if n == turn {
            hostile.signer.activate(second.clone());
        }
        if n == wait.0 {
            hostile.signer.pass(wait.1);
        }
        hostile.live(std::slice::from_ref(step));
    }
    hostile
}

/// Applies the records, and lets those of the policies govern that they name.
pub fn fold_under(state: &mut State, records: &[Record], policies: &[Policy]) {
    for record in records {
        state.apply(state.entries(), record).unwrap();
        if matches!(record.entry, Entry::PolicyActivated { .. }) {
            govern(state, policies);
        }
    }
}

fn fold(state: &mut State, records: &[Record]) {
    fold_under(state, records, &policies());
}

fn govern(state: &mut State, policies: &[Policy]) {
    let active = state.active();
    let mut policies = policies.iter();
    if let Some(policy) = policies.find(|policy| Some(policy.hash) == active) {
        state.activate(Arc::new(policy.clone())).unwrap();
    }
}

fn assert_same(one: &State, other: &State) -> Result<(), TestCaseError> {
    prop_assert_eq!(one.hot(), other.hot());
    prop_assert_eq!(one.charge_state(), other.charge_state());
    prop_assert!(one.closed_blocks().eq(other.closed_blocks()));
    prop_assert_eq!(one.rows().count(), other.rows().count());
    for row in one.rows() {
        prop_assert_eq!(other.row(&row.key()), Some(row));
    }
    Ok(())
}

#[test]
fn a_start_from_any_entry_is_the_fold_of_all() {
    let waits = prop_oneof![Just(0), Just(89 * DAY), Just(90 * DAY), Just(91 * DAY)];
    let cases = (runs(10), 0..10_usize, 0..10_usize, waits, any::<Index>());
    let run = |(steps, turn, at, wait, cut): (Vec<Step>, _, _, _, Index)| {
        let (last, before) = steps.split_last().unwrap();
        let mut hostile = lived(before, turn, (at, wait));
        let records = hostile.signer.records.clone();
        let (early, late) = records.split_at(cut.index(records.len() + 1));
        let mut folded = State::new();
        fold(&mut folded, early);
        let mut restored = again(&folded, &policies());
        assert_same(&restored, &folded)?;
        fold(&mut restored, late);
        assert_same(&restored, &hostile.signer.state)?;
        // And what is decided next, with the room that there is.
        let ask = hostile.take(last);
        let lived = &hostile.signer;
        prop_assert_eq!(
            restored.room(lived.now).unwrap(),
            lived.state.room(lived.now).unwrap()
        );
        let restored = Signer {
            state: restored,
            ..lived.clone()
        };
        prop_assert_eq!(
            Outcome::of(restored.evaluate(&ask)),
            Outcome::of(lived.evaluate(&ask))
        );
        Ok(())
    };
    runner(400).run(&cases, run).unwrap();
}

/// What a decision reads of the endless sets, as its keys say: present or absent.
fn read(state: &State, ask: &Ask) -> BTreeMap<RowKey, Option<Row>> {
    let decoded = ask.transaction.clone().decoded();
    let rows = |keys: BTreeSet<RowKey>| -> BTreeMap<RowKey, Option<Row>> {
        let rows = keys.into_iter().map(|key| (key.clone(), state.row(&key)));
        rows.collect()
    };
    let mut read = rows(RowKey::named_by(&decoded, &ask.request));
    let named = read.values().flatten().flat_map(Row::names);
    read.extend(rows(named.collect()));
    read
}

/// The state with these rows recalled, and nothing else of the endless sets in memory.
fn recalled(state: &State, rows: BTreeMap<RowKey, Option<Row>>) -> State {
    let charges = state.charge_state();
    let blocks = Kept::default().of(&charges);
    let mut few = State::settled_at(state.hot(), charges, blocks).unwrap();
    govern(&mut few, &policies());
    for (key, row) in rows {
        few.recall(key, row);
    }
    few
}

/// What was not recalled is not absent: nothing is decided without it, and nothing is applied.
#[test]
fn what_is_not_recalled_stops_the_decision() {
    let run = |(steps, turn): (Vec<Step>, usize)| {
        let (last, before) = steps.split_last().unwrap();
        let mut hostile = lived(before, turn, (0, 0));
        let ask = hostile.take(last);
        let decoded = ask.transaction.clone().decoded();
        let mut lived = hostile.signer;
        let rows = read(&lived.state, &ask);
        let few = |missing: &RowKey| {
            let mut rows = rows.clone();
            rows.remove(missing).unwrap();
            recalled(&lived.state, rows)
        };
        for missing in rows.keys() {
            let kind = missing.kind();
            let verdict = evaluate(&few(missing), lived.now, &decoded, &ask.request);
            let refused = EvaluateError::NotRecalled(NotRecalled { kind });
            prop_assert_eq!(verdict.unwrap_err(), refused);
        }
        let effects = ask.transaction.effects.iter();
        let payments = effects.filter(|effect| effect.kind == EffectKind::Payment);
        let paid = payments.filter_map(|effect| effect.to.as_ref());
        let paid: BTreeSet<&Address> = paid.map(|to| &to.address).collect();
        let is_written = |key: &&RowKey| match key {
            // Fates are read where something is said to be dead.
            RowKey::Attempt(_) | RowKey::Fate(_) => false,
            // How old a spender is, is read, and an approval does not change it.
            RowKey::Paid(to) => paid.contains(to),
            _ => true,
        };
        let states: Vec<(RowKey, State)> = rows
            .keys()
            .filter(is_written)
            .map(|key| (key.clone(), few(key)))
            .collect();
        let Ok((attempt, _)) = lived.charge(&ask) else {
            return Ok(());
        };
        let record = lived.records.last().unwrap();
        for (missing, mut state) in states {
            let kind = missing.kind();
            let refused = state.apply(attempt.0, record);
            prop_assert_eq!(refused, Err(StateError::NotRecalled(NotRecalled { kind })));
            prop_assert_eq!(state.entries(), attempt.0);
        }
        Ok(())
    };
    let cases = (runs(8), 0..8_usize);
    runner(200).run(&cases, run).unwrap();
}

#[test]
fn what_is_recalled_is_all_that_a_decision_reads() {
    let run = |(steps, turn): (Vec<Step>, usize)| {
        let (last, before) = steps.split_last().unwrap();
        let mut hostile = lived(before, turn, (0, 0));
        let ask = hostile.take(last);
        let mut lived = hostile.signer;
        let mut few = Signer {
            state: recalled(&lived.state, read(&lived.state, &ask)),
            ..lived.clone()
        };
        prop_assert_eq!(
            Outcome::of(few.evaluate(&ask)),
            Outcome::of(lived.evaluate(&ask))
        );
        // And what is written then, with the attempt and with its end.
        let Ok((attempt, _)) = lived.charge(&ask) else {
            return Ok(());
        };
        prop_assert_eq!(few.charge(&ask).unwrap().0, attempt);
        let reason = String::new();
        for signer in [&mut lived, &mut few] {
            let reason = reason.clone();
            signer.push(Entry::Failed { attempt, reason });
        }
        prop_assert_eq!(few.state.hot(), lived.state.hot());
        for (index, record) in (0..).zip(&lived.records).skip(attempt.0 as usize) {
            let written = lived.state.rows_written(index, &record.entry);
            prop_assert_eq!(few.state.rows_written(index, &record.entry), written);
        }
        Ok(())
    };
    let cases = (runs(12), 0..12_usize);
    runner(600).run(&cases, run).unwrap();
}

/// Charges with everything that one can have.
fn charged() -> State {
    let mut signer = Signer::new(policies()[0].clone());
    let first = signer.charged(&Ask::utxo("a", [0], 1_000).pay("i", 5, 1));
    signer.pass(1_000);
    signer.charged(
        &Ask::utxo("b", [0, 1], 2_000)
            .pay("i", 5, 1)
            .replaces([first]),
    );
    signer.pass(1_000);
    let ask = Ask::evm("c", 0, 100).pay("j", 5, 2).client("other");
    signer.charged(&ask);
    let cold = (stranger(BTC, 200), Some(("cold", AccountClass::Cold)));
    let ask = Ask::utxo("d", [2], 1_000).effect(EffectKind::OwnTransfer, 7, Some(cold));
    let mut attempt = signer.permit(&ask).unwrap().into_attempt();
    attempt.carried = [need(1, &["alice"]).fingerprint(), Digest([9; 32])].into();
    for fact in &mut attempt.facts {
        fact.effect.tag = Some("memo 7".into());
        fact.effect.amount = Amount::MAX;
    }
    signer.push(Entry::Attempt(Box::new(attempt)));
    signer.state
}

#[test]
fn a_charge_says_what_it_was_charged_for() {
    let state = charged();
    let bytes = state.charge_state().encode();
    for what in ["known", "other", "own-transfer", "cold", "memo 7"] {
        let mut windows = bytes.windows(what.len());
        assert!(windows.any(|bytes| bytes == what.as_bytes()), "{what}");
    }
    let mut restored = again(&state, &policies());
    // Carried over the one limit with that need, and counted in no other way than before.
    let now = Interval {
        lo: Time::from_millis(START),
        hi: Time::from_millis(START),
    };
    assert_eq!(restored.room(now), state.room(now));
    // And counted anew from what it says.
    govern(&mut restored, &policies());
    assert_eq!(restored.room(now), state.room(now));
    assert_eq!(restored.charge_state(), state.charge_state());
}

fn with_rows(state: &State, rows: Vec<Row>) -> Result<(), RestoreError> {
    let charges = state.charge_state();
    let blocks = Kept::default().of(&charges);
    State::restore(state.hot(), rows, charges, blocks).map(drop)
}

#[test]
fn parts_of_two_states_are_refused_where_they_contradict() {
    let state = charged();
    let without = |gone: &RowKey| {
        let rows = state.rows().filter(|row| row.key() != *gone);
        with_rows(&state, rows.collect())
    };
    let attempts = |client: &str| {
        let client = name(client);
        Err(RestoreError::Attempts { client })
    };
    for (client, number) in [("walletd", 0), ("walletd", 1), ("other", 0)] {
        let gone = RowKey::ClientAttempt(name(client), number);
        assert_eq!(without(&gone), attempts(client), "{client} {number}");
    }
    let nobody = State::new().hot();
    let charges = state.charge_state();
    let blocks = Kept::default().of(&charges);
    let refused = State::restore(nobody, state.rows(), charges, blocks).map(drop);
    assert_eq!(refused, attempts("other"));
    let row = Row::Consumed(outpoint(9), Default::default());
    let refused = with_rows(&state, state.rows().chain([row]).collect());
    assert_eq!(refused, Err(RestoreError::Consumed));
}
