//! From what entries wrote to a batch of the map.

use std::{borrow::Borrow, collections::BTreeMap};

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
    let changes: BTreeMap<MapKey, Vec<u8>> = rows
        .into_iter()
        .map(|row| {
            let row: &Row = row.borrow();
            (MapKey::of_row(&row.key()), row.value())
        })
        .collect();
    changes.into_iter().collect()
}
