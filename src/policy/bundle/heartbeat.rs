//! The heartbeat: how often people must say that they are there, and who.

use super::{draft::Draft, groups, people, table::Table, units};
use crate::Heartbeat;

/// Reads `[heartbeat]`, once it is known who the officers are.
pub(super) fn heartbeat(mut table: Table<'_>, draft: &mut Draft) {
    let within = table.required("within");
    let within_millis = within.and_then(|within| within.map(units::within));
    let people = match table.optional("people") {
        Some(people) => groups::people(&people, &draft.policy),
        None => draft.policy.governance.officers.clone(),
    };
    let threshold = match table.optional("threshold") {
        None => Some(1),
        Some(value) => {
            let threshold: Option<u32> = value.number();
            if threshold == Some(0) {
                value.error("must be at least 1: 0 people are always there");
            }
            let wanted = threshold.and_then(|wanted| usize::try_from(wanted).ok());
            if wanted.is_some_and(|wanted| wanted > people.len()) && !people.is_empty() {
                value.error(format!("is above the number of people, {}", people.len()));
            }
            threshold
        }
    };
    people::have_keys(&table, "people", &people, &draft.policy);
    if let (Some(within_millis), Some(threshold)) = (within_millis, threshold) {
        draft.policy.heartbeat = Some(Heartbeat {
            within_millis,
            threshold,
            people,
        });
    }
    table.finish();
}
