//! The devices that may be used, by their serial numbers.

use std::collections::BTreeSet;

use super::{
    draft::Draft,
    table::{Table, Value},
};

/// The most devices: a pool has eight, and those that take their place are named beforehand.
const DEVICES_MAX: usize = 64;
/// As long as a token's serial number is at the most (`CK_TOKEN_INFO`).
const SERIAL_MAX_BYTES: usize = 16;

/// Reads `[devices]`.
pub(super) fn devices(mut table: Table<'_>, draft: &mut Draft) {
    if let Some(serials) = table.required("serials") {
        draft.policy.devices = Some(named(&serials));
    }
    table.finish();
}

fn named(serials: &Value<'_>) -> BTreeSet<String> {
    let named = serials.each(|one| one.map(serial));
    if named.len() > DEVICES_MAX {
        serials.error(format!("there can be {DEVICES_MAX} at the most"));
    }
    named
}

/// As the device says it, without the spaces that a token fills it up with.
fn serial(text: &str) -> Result<String, String> {
    let fits = (1..=SERIAL_MAX_BYTES).contains(&text.len()) && text.trim() == text;
    let printable = text
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic());
    match fits && printable {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is no serial number: 1 to {SERIAL_MAX_BYTES} printable characters of ASCII"
        )),
    }
}
