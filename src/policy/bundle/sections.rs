//! All tables of all files, by kind: which file a table stands in means nothing.

use std::{collections::BTreeMap, ops::Range};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    diagnostic::{Diagnostic, Place, Report},
    document::Document,
    table::{Table, suggestion},
};

/// What a file can hold.
const KINDS: [&str; 27] = [
    "account",
    "allow",
    "approval_page",
    "asset",
    "attested",
    "attester",
    "book",
    "chain",
    "client",
    "deny",
    "devices",
    "edge",
    "evacuate",
    "function",
    "governance",
    "group",
    "heartbeat",
    "hours",
    "limit",
    "person",
    "price",
    "recovery",
    "require",
    "sequence",
    "source",
    "witnesses",
    "zone",
];

/// The one kind of which a bundle has exactly one.
const GOVERNANCE: &str = "governance";
/// Those of which it has one or none.
const WITNESSES: &str = "witnesses";
const DEVICES: &str = "devices";
const APPROVAL_PAGE: &str = "approval_page";
const ATTESTED: &str = "attested";
const HEARTBEAT: &str = "heartbeat";
const RECOVERY: &str = "recovery";
/// All of these.
const ONCE: [&str; 7] = [
    GOVERNANCE,
    WITNESSES,
    DEVICES,
    APPROVAL_PAGE,
    ATTESTED,
    HEARTBEAT,
    RECOVERY,
];

/// All tables of a bundle.
#[derive(Debug, Default)]
pub(super) struct Sections<'d>(BTreeMap<&'static str, Vec<Table<'d>>>);

impl<'d> Sections<'d> {
    /// Sorts a file's tables in.
    pub fn add(
        &mut self,
        document: &'d Document<'d>,
        report: &'d Report,
        root: &'d Spanned<DeTable<'d>>,
    ) {
        for (key, value) in root.get_ref() {
            let place = document.place(key.span().start);
            let name = key.get_ref().as_ref();
            match KINDS.into_iter().find(|kind| *kind == name) {
                None => {
                    let message = format!("a bundle has no table {name:?}");
                    let hint = suggestion(name, KINDS.into_iter());
                    report.add(Diagnostic::error(place, message).key(name).hint(hint));
                }
                Some(kind) => match tables(kind, value) {
                    Err(message) => report.add(Diagnostic::error(place, message).key(kind)),
                    Ok(found) => self.0.entry(kind).or_default().extend(
                        found
                            .into_iter()
                            .map(|table| Table::new(document, report, kind, table)),
                    ),
                },
            }
        }
    }

    /// The tables of a kind.
    pub fn take(&mut self, kind: &'static str) -> Vec<Table<'d>> {
        debug_assert!(KINDS.contains(&kind), "{kind}");
        self.0.remove(kind).unwrap_or_default()
    }

    /// The one table that says who may change the bundle.
    pub fn take_governance(&mut self, report: &Report) -> Option<Table<'d>> {
        let mut found = self.take(GOVERNANCE).into_iter();
        let Some(first) = found.next() else {
            let message = "no file of the bundle has a [governance] table";
            let hint = "say who may change the bundle: [governance] with officers and threshold";
            report.add(Diagnostic::error(Place::file("manifest"), message).hint(hint));
            return None;
        };
        for other in found {
            other.error(format!("governance stands already at {}", first.place()));
        }
        Some(first)
    }

    /// The one table that names the witnesses, if there is one.
    pub fn take_witnesses(&mut self) -> Option<Table<'d>> {
        self.take_one(WITNESSES, "witnesses stand")
    }

    /// The one table that names the devices, if there is one.
    pub fn take_devices(&mut self) -> Option<Table<'d>> {
        self.take_one(DEVICES, "the devices stand")
    }

    /// The one table that names the approval page, if there is one.
    pub fn take_approval_page(&mut self) -> Option<Table<'d>> {
        self.take_one(APPROVAL_PAGE, "the approval page stands")
    }

    /// The one table that says what is asked of attesters, if there is one.
    pub fn take_attested(&mut self) -> Option<Table<'d>> {
        self.take_one(ATTESTED, "what is attested stands")
    }

    /// The one table that says how often people must say that they are there, if there is one.
    pub fn take_heartbeat(&mut self) -> Option<Table<'d>> {
        self.take_one(HEARTBEAT, "the heartbeat stands")
    }

    /// The one table that says who may replace people under a freeze, if there is one.
    pub fn take_recovery(&mut self) -> Option<Table<'d>> {
        self.take_one(RECOVERY, "the recovery set stands")
    }

    fn take_one(&mut self, kind: &'static str, stands: &str) -> Option<Table<'d>> {
        let mut found = self.take(kind).into_iter();
        let first = found.next()?;
        for other in found {
            other.error(format!("{stands} already at {}", first.place()));
        }
        Some(first)
    }
}

/// A table's place and content, or those of all in a list of tables.
fn tables<'d>(
    kind: &str,
    value: &'d Spanned<DeValue<'d>>,
) -> Result<Vec<(Range<usize>, &'d DeTable<'d>)>, String> {
    let table = |value: &'d Spanned<DeValue<'d>>| Some((value.span(), value.get_ref().as_table()?));
    let one = ONCE.contains(&kind);
    let form = value.get_ref();
    match form {
        DeValue::Table(_) if one => Ok(table(value).into_iter().collect()),
        DeValue::Array(list) if !one => {
            let found: Option<Vec<_>> = list.iter().map(table).collect();
            found.ok_or_else(|| format!("write [[{kind}]] above each {kind}"))
        }
        _ if one => Err(format!("write [{kind}] once")),
        _ => Err(format!("write [[{kind}]], in two pairs of brackets")),
    }
}
