//! From the store's numbers to the names that clients know withdrawals by.

use std::collections::{BTreeMap, BTreeSet};

use tx::{IntentId, Name};

use super::{App, fault::Fault};
use crate::{store::Filter, withdrawal::WithdrawalNumber};

/// The most withdrawals that are read at a time.
const CHUNK: u32 = 100;

/// The names of those of these withdrawals that are of a source, or of any.
pub(super) async fn names(
    app: &App,
    numbers: BTreeSet<WithdrawalNumber>,
    source: Option<&Name>,
) -> Result<BTreeMap<WithdrawalNumber, IntentId>, Fault> {
    let filter = Filter {
        source: source.cloned(),
        ..Filter::default()
    };
    let mut left = numbers;
    let mut names = BTreeMap::new();
    while let Some(first) = left.first().copied() {
        let after = first.0.checked_sub(1).map(WithdrawalNumber);
        let found = app.store.withdrawals(&filter, after, CHUNK).await?;
        let Some(last) = found.last().map(|withdrawal| withdrawal.number) else {
            break;
        };
        for withdrawal in found {
            if left.contains(&withdrawal.number) {
                names.insert(withdrawal.number, withdrawal.intent.id);
            }
        }
        // What was not found up to here is of another source.
        left.retain(|number| *number > last);
    }
    Ok(names)
}
