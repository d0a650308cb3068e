//! The endless sets of the policy's state in the map: the rows of a history's entries, batch by batch,
//! are exactly the sets that the fold has.

use std::{collections::BTreeSet, sync::Arc};

use proptest::{prelude::*, test_runner::TestCaseError};
use strongroom_journal::{
    map::{Map, MapKey, batch},
    segment::LogId,
};
use strongroom_policy::{AttemptId, Record, Row, RowKey, State};

use crate::{
    fixture::{Ask, Signer, policy, stranger},
    hostile::{Hostile, Step, runner, runs},
    memory_disk::MemoryDisk,
};

const LOG: LogId = LogId::new([7; 32]);

/// Folds the records and adds a batch after each of these entries and after the last one.
fn mapped(disk: &MemoryDisk, records: &[Record], ends: &BTreeSet<u64>) -> (Map, State) {
    let mut map = Map::new(Arc::new(disk.clone()), LOG);
    let (mut state, mut rows) = (State::new(), Vec::new());
    for (index, record) in (0..).zip(records) {
        state.apply(index, record).unwrap();
        rows.extend(state.rows_written(index, &record.entry));
        if ends.contains(&index) {
            map = map.extend(&batch(rows.drain(..))).unwrap();
        }
    }
    (map.extend(&batch(rows)).unwrap(), state)
}

/// With empty batches until there is one run, of which it is known how many keys it has.
fn in_one_run(mut map: Map) -> Map {
    while map.head().runs.len() > 1 {
        map = map.extend(&[]).unwrap();
    }
    map
}

fn assert_has_exactly(map: &Map, state: &State) -> Result<(), TestCaseError> {
    let mut count = 0;
    for row in state.rows() {
        let key = row.key();
        let value = map.get(&MapKey::of_row(&key)).unwrap().unwrap();
        prop_assert_eq!(Row::decode(key, &value), Ok(row));
        count += 1;
    }
    prop_assert_eq!(map.head().entries(), count);
    Ok(())
}

#[test]
fn the_rows_of_a_history_are_the_sets_of_its_state() {
    let signer = Signer::new(policy());
    let cases = (
        runs(12),
        prop::collection::btree_set(0_u64..40, 0..6),
        prop::collection::btree_set(0_u64..40, 0..6),
    );
    let run = |(steps, ends, other_ends): (Vec<Step>, BTreeSet<u64>, BTreeSet<u64>)| {
        let mut hostile = Hostile::new(&signer);
        hostile.live(&steps);
        let records = &hostile.signer.records;
        let disk = MemoryDisk::default();
        let (map, state) = mapped(&disk, records, &ends);
        let map = in_one_run(map);
        assert_has_exactly(&map, &state)?;
        // As it is read again, too, and however the history was cut.
        let again = Map::open(Arc::new(disk), LOG, &map.head()).unwrap();
        assert_has_exactly(&again, &hostile.signer.state)?;
        let (other, _) = mapped(&MemoryDisk::default(), records, &other_ends);
        let other = in_one_run(other).head();
        prop_assert_eq!(other.runs[0].entries, map.head().runs[0].entries);
        prop_assert_eq!(other.runs[0].rows, map.head().runs[0].rows);
        Ok(())
    };
    runner(60).run(&cases, run).unwrap();
}

#[test]
fn what_never_was_has_no_row() {
    let mut signer = Signer::new(policy());
    let ask = Ask::utxo("r", [0], 1_000).pay("i", 5, 1);
    let id = signer.charged(&ask);
    let (map, _) = mapped(&MemoryDisk::default(), &signer.records, &BTreeSet::new());
    let has = |key: &RowKey| map.get(&MapKey::of_row(key)).unwrap().is_some();
    assert!(has(&RowKey::Attempt(id)));
    assert!(!has(&RowKey::Attempt(AttemptId(id.0 + 1))));
    let chain = ask.transaction.chain;
    assert!(has(&RowKey::Paid(stranger(chain, 1))));
    assert!(!has(&RowKey::Paid(stranger(chain, 2))));
}
