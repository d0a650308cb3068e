//! The rows of the endless sets: one spelling each, and nothing that is not said.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use strongroom_policy::{AttemptId, Consumed, Digest, Row, RowError, RowKey, State};
use tx::{ConflictKey, IntentId, Name};

use crate::{
    fixture::{BTC, ETH, Signer, name, outpoint, own, policy, stranger},
    hostile::{Hostile, Step, runner, runs},
};

/// The state after each entry, and the rows that the entry wrote.
fn replayed(signer: &Signer, mut each: impl FnMut(&State, Vec<Row>)) -> State {
    let mut state = State::new();
    for (index, record) in (0..).zip(&signer.records) {
        state.apply(index, record).unwrap();
        let rows = state.rows_written(index, &record.entry);
        each(&state, rows);
    }
    state
}

fn by_key(rows: impl IntoIterator<Item = Row>) -> BTreeMap<RowKey, Row> {
    rows.into_iter().map(|row| (row.key(), row)).collect()
}

/// A history in which every kind of row is written more than once.
fn lived() -> Signer {
    let mut hostile = Hostile::new(&Signer::new(policy()));
    let steps = prop::collection::vec(runs(12), 6);
    let steps = steps.new_tree(&mut TestRunner::deterministic());
    let steps = steps.unwrap().current().concat();
    hostile.live(&steps);
    hostile.signer
}

#[test]
fn what_entries_write_is_all_that_there_is() {
    let signer = Signer::new(policy());
    let run = |steps: Vec<Step>| {
        let mut hostile = Hostile::new(&signer);
        hostile.live(&steps);
        let mut written: BTreeMap<RowKey, Row> = BTreeMap::new();
        let mut failed = None;
        let state = replayed(&hostile.signer, |state, rows| {
            written.extend(by_key(rows));
            // After every entry, not only after the last one.
            if by_key(state.rows()) != written {
                failed = failed.or(Some(state.entries()));
            }
        });
        prop_assert_eq!(failed, None);
        prop_assert_eq!(state.rows().count(), written.len(), "each key has one row");
        for (key, row) in &written {
            prop_assert_eq!(state.row(key), Some(row.clone()));
        }
        Ok(())
    };
    runner(300).run(&runs(12), run).unwrap();
}

#[test]
fn a_row_comes_back_and_has_one_spelling() {
    let kinds: BTreeSet<_> = lived()
        .state
        .rows()
        .map(|row| {
            let (key, value) = (row.key(), row.value());
            let again = Row::decode(key.clone(), &value).unwrap();
            assert_eq!((again.key(), again.value()), (key.clone(), value.clone()));
            assert_eq!(again, row);
            for end in 0..value.len() {
                assert!(Row::decode(key.clone(), &value[..end]).is_err(), "{row:?}");
            }
            let longer = [value.as_slice(), &[0]].concat();
            assert!(Row::decode(key.clone(), &longer).is_err(), "{row:?}");
            for bit in 0..value.len() * 8 {
                let mut flipped = value.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                if let Ok(other) = Row::decode(key.clone(), &flipped) {
                    assert_ne!(other, row, "bit {bit} says nothing");
                    assert_eq!(other.value(), flipped, "two spellings");
                }
            }
            key.kind()
        })
        .collect();
    assert_eq!(kinds.len(), 7, "{kinds:?}");
}

#[test]
fn another_version_is_named() {
    let key = RowKey::Attempt(AttemptId(7));
    let refused = Row::decode(key.clone(), &[1, 0, 0]);
    let kind = "attempt";
    assert_eq!(refused, Err(RowError::Version { kind, found: 1 }));
    assert_eq!(Row::decode(key, &[]), Err(RowError::Form { kind }));
}

/// A number of items takes no memory before the items are there.
#[test]
fn a_list_is_as_long_as_its_bytes() {
    let key = RowKey::Consumed(outpoint(0));
    let endless = [3, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1];
    let kind = "consumed";
    assert_eq!(Row::decode(key, &endless), Err(RowError::Form { kind }));
}

/// A space in the JSON of the fee terms would say the same.
#[test]
fn a_value_of_another_spelling_is_refused() {
    let mut signer = Signer::new(policy());
    let id = signer.charged(&crate::fixture::Ask::evm("r", 0, 100).pay("i", 5, 1));
    let row = signer.state.row(&RowKey::Attempt(id)).unwrap();
    let text = r#"{"family":"evm","#;
    let value = row.value();
    let at = value
        .windows(text.len())
        .position(|bytes| bytes == text.as_bytes())
        .unwrap();
    let mut spaced = value;
    spaced.insert(at + 1, b' ');
    // The length before the text, one more.
    spaced[at - 1] += 1;
    let kind = "attempt";
    assert_eq!(
        Row::decode(row.key(), &spaced),
        Err(RowError::Form { kind })
    );
}

fn keys() -> impl Strategy<Value = RowKey> {
    let names = || "[a-c.]{1,3}".prop_map(|text| -> Name { text.parse().unwrap() });
    let numbers = || prop_oneof![0..4_u64, any::<u64>()];
    let conflict = prop_oneof![
        (0..4_u32).prop_map(outpoint),
        numbers().prop_map(|nonce| ConflictKey::Nonce {
            account: own("k1", ETH),
            nonce
        }),
    ];
    let intent = (names(), "[a-c.]{1,3}").prop_map(|(source, id)| IntentId {
        source,
        id: id.parse().unwrap(),
    });
    prop_oneof![
        numbers().prop_map(|id| RowKey::Attempt(AttemptId(id))),
        (names(), "[a-c.]{1,3}")
            .prop_map(|(client, id)| RowKey::Request(client, id.parse().unwrap())),
        (names(), numbers()).prop_map(|(client, number)| RowKey::ClientAttempt(client, number)),
        intent.prop_map(RowKey::Intent),
        conflict.prop_map(RowKey::Consumed),
        (0..4_u8).prop_map(|n| RowKey::R(Digest([n; 32]))),
        (0..4_u8, any::<bool>())
            .prop_map(|(n, evm)| RowKey::Paid(stranger(if evm { ETH } else { BTC }, n))),
    ]
}

proptest! {
    #[test]
    fn no_two_keys_have_one_name(one in keys(), other in keys()) {
        let same = (one.kind(), one.name()) == (other.kind(), other.name());
        prop_assert_eq!(same, one == other);
    }
}

#[test]
fn an_anchor_is_told_beside_those_who_consume_the_key() {
    let mut signer = Signer::new(policy());
    let ask = |id, inputs: [u32; 2], fee| crate::fixture::Ask::utxo(id, inputs, fee);
    let first = signer.charged(&ask("a", [0, 1], 1_000).pay("i", 5, 1));
    let second = ask("b", [1, 2], 2_000).pay("j", 5, 1);
    // Key 1 is anchored to nothing, so that the second attempt begins a set of its own.
    let second = signer.charged(&second.replaces([first]));
    let consumed = |anchors, attempts: &[AttemptId]| Consumed {
        anchors,
        attempts: attempts.to_vec(),
    };
    for (vout, expected) in [
        (0, consumed(Some(first), &[first])),
        (1, consumed(Some(second), &[first, second])),
        (2, consumed(None, &[second])),
    ] {
        let key = outpoint(vout);
        let row = signer.state.row(&RowKey::Consumed(key.clone()));
        assert_eq!(row, Some(Row::Consumed(key, expected)));
    }
    let client = name("walletd");
    let number = |number| {
        signer
            .state
            .row(&RowKey::ClientAttempt(client.clone(), number))
    };
    let row = |number, id| Some(Row::ClientAttempt(client.clone(), number, id));
    assert_eq!((number(0), number(1)), (row(0, first), row(1, second)));
    assert_eq!(number(2), None);
}
