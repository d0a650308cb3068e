//! From what entries wrote to a batch of the map.

use std::{borrow::Borrow, mem};

use policy::{Row, RowKey};

use super::MapKey;

impl MapKey {
    /// Where the row of this key is.
    pub fn of_row(key: &RowKey) -> Self {
        Self::of(key.kind(), &key.name())
    }
}

/// The batch of these rows, in the order in which they were written: of a key that was written more
/// than once, the last row counts.
pub fn batch(rows: impl IntoIterator<Item = impl Borrow<Row>>) -> Vec<(MapKey, Vec<u8>)> {
    let (mut name, mut value) = (Vec::new(), Vec::new());
    let changes = rows.into_iter().map(|row| {
        let row: &Row = row.borrow();
        let key = row.key();
        name.clear();
        key.write_name(&mut name);
        value.clear();
        row.write_value(&mut value);
        // As long as it is: there are a hundred thousand of them.
        (MapKey::of(key.kind(), &name), value.as_slice().to_vec())
    });
    let mut changes: Vec<_> = changes.collect();
    // Those of one key stay in their order.
    changes.sort_by_key(|(key, _)| *key);
    changes.dedup_by(|(key, newer), (kept, value)| {
        let is_same = key == kept;
        if is_same {
            mem::swap(newer, value);
        }
        is_same
    });
    changes
}
