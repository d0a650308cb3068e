//! The recovery set: who may replace people, slowly and under a freeze, where the officers cannot.

use super::{draft::Draft, people, table::Table, units};
use crate::Recovery;

/// Reads `[recovery]`, once it is known who the officers are and who must say that they are there.
pub(super) fn recovery(mut table: Table<'_>, draft: &mut Draft) {
    let delay = table.required("delay");
    let delay_millis = delay.and_then(|delay| delay.map(units::recovery));
    let quorum = people::quorum(&mut table, "people", &draft.policy);
    if let (Some(delay_millis), Some((threshold, people))) = (delay_millis, quorum) {
        let recovery = Recovery {
            threshold,
            people,
            delay_millis,
        };
        judge(&table, &recovery, draft);
        draft.policy.recovery = Some(recovery);
    }
    table.finish();
}

/// Whether it could do what it is for, and no less than that.
fn judge(table: &Table<'_>, recovery: &Recovery, draft: &Draft) {
    let Recovery {
        threshold, people, ..
    } = recovery;
    let there_are = u64::try_from(people.len()).unwrap_or(u64::MAX);
    let twice = u64::from(*threshold).saturating_mul(2);
    if (*threshold < 2 || twice <= there_are) && !people.is_empty() {
        table.error(format!(
            "threshold {threshold} of {there_are} is not more than half, or not at least 2"
        ));
    }
    people::have_keys(table, "people", people, &draft.policy);
    let officers = &draft.policy.governance.officers;
    let shared: Vec<&str> = people
        .intersection(officers)
        .map(tx::Name::as_str)
        .collect();
    if people == officers && !people.is_empty() {
        table.error("has the officers themselves: whoever is lost here is lost there");
    } else if !shared.is_empty() {
        let shared = shared.join(", ");
        table.warn(format!(
            "shares {shared} with the officers: whoever is lost here is lost there"
        ));
    }
    if draft.policy.heartbeat.is_none() {
        table.warn(
            "acts under a freeze of everything alone, and without [heartbeat] nobody but an officer freezes",
        );
    }
}
