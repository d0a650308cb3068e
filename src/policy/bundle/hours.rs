//! Weekly hours, and the rules of time zones that they are by.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
    str::FromStr,
};

use thiserror::Error;
use tx::Time;

use super::{
    diagnostic::Report,
    document::Document,
    draft::Draft,
    names::Taken,
    sections::Sections,
    table::{Table, Value, suggestion},
};
use crate::{Clocks, Hours, Stretch, Zone};

/// The one zone that needs no rule.
const UTC: &str = "UTC";
/// The most that a zone's clocks are set.
const CHANGES_MAX: usize = 1_000;
/// The furthest that clocks are from UTC, in minutes: more than any place on earth.
const OFFSET_MAX: u32 = 18 * 60;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Why a text is not what stands there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HoursError {
    /// It is no stretch of the week.
    #[error(
        "{text:?} is no part of the week, such as \"mon-fri 08:00-18:00\" or \"sat 22:00-24:00\""
    )]
    Stretch {
        /// The text.
        text: String,
    },
    /// It is no name of a time zone.
    #[error("{text:?} is no name of a time zone, such as \"Europe/Zurich\"")]
    ZoneName {
        /// The text.
        text: String,
    },
    /// It is no offset from UTC.
    #[error("{text:?} is no offset from UTC, such as \"+01:00\"")]
    Offset {
        /// The text.
        text: String,
    },
    /// It does not say when clocks are set, and to what.
    #[error("{text:?} is no change of clocks, such as \"2026-03-29T01:00:00Z +02:00\"")]
    Change {
        /// The text.
        text: String,
    },
}

/// The name of a time zone, as the database of time zones spells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ZoneName(String);

impl ZoneName {
    /// The name as text. It is a path below the database's folder, and of no other.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ZoneName {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'-');
        let is_part = |part: &str| !part.is_empty() && part.bytes().all(allowed);
        if text.len() <= 64 && text.split('/').all(is_part) && text != UTC {
            Ok(Self(text.into()))
        } else {
            Err(HoursError::ZoneName { text: text.into() })
        }
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The zones that hours anywhere in these files name; what cannot be read names none.
pub fn zones_named(files: &BTreeMap<String, Vec<u8>>) -> BTreeSet<ZoneName> {
    let report = Report::default();
    let documents = super::documents(files, &report);
    let parsed: Vec<_> = documents
        .iter()
        .map(|one| Document::parse(one, &report))
        .collect();
    let mut sections = Sections::default();
    for (document, root) in documents.iter().zip(&parsed) {
        sections.add(document, &report, root);
    }
    let zones = sections.take("hours").into_iter().filter_map(|mut table| {
        let zone = table.optional("zone")?;
        zone.text()?.parse().ok()
    });
    zones.collect()
}

/// The table of a zone's rule, as it stands in a file.
pub fn zone_table(name: &ZoneName, zone: &Zone) -> String {
    let mut text = format!(
        "[[zone]]\nname = \"{name}\"\nfrom = \"{}\"\nuntil = \"{}\"\noffset = \"{}\"\n",
        zone.from,
        zone.until,
        offset_text(zone.offset_minutes),
    );
    if !zone.changes.is_empty() {
        text.push_str("changes = [\n");
        for (at, offset) in &zone.changes {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "    \"{at} {}\",", offset_text(*offset));
        }
        text.push_str("]\n");
    }
    text
}

fn offset_text(minutes: i32) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.unsigned_abs();
    let (hours, rest) = (minutes.checked_div(60), minutes.checked_rem(60));
    format!("{sign}{:02}:{:02}", hours.unwrap_or(0), rest.unwrap_or(0))
}

/// Reads `[[hours]]`, with the `[[zone]]` that they are by.
pub(super) fn hours(hours: Vec<Table<'_>>, zones: Vec<Table<'_>>, draft: &mut Draft) {
    let zones = read_zones(zones);
    let mut taken = Taken::default();
    for mut table in hours {
        let name = table.new_name(&mut taken);
        let clocks = table
            .required("zone")
            .and_then(|zone| clocks(&zone, &zones));
        let open = table.required("open").map(|open| stretches(&open));
        if let Some(name) = name {
            let hours = Hours {
                open: open.unwrap_or_default(),
                clocks: clocks.unwrap_or(Clocks::Utc),
            };
            draft.policy.hours.insert(name, hours);
        }
        table.finish();
    }
}

fn clocks(value: &Value<'_>, zones: &BTreeMap<ZoneName, Zone>) -> Option<Clocks> {
    if value.text()? == UTC {
        return Some(Clocks::Utc);
    }
    let name: ZoneName = value.map(str::parse)?;
    if let Some(zone) = zones.get(&name) {
        return Some(Clocks::Zone(zone.clone()));
    }
    let near = match zones.is_empty() {
        true => String::new(),
        false => format!(
            "; {}",
            suggestion(name.as_str(), zones.keys().map(ZoneName::as_str))
        ),
    };
    value.error_hint(
        format!(
            "the bundle has no rule of the time zone {:?}",
            name.as_str()
        ),
        format!("`strongroom policy zones` writes it into zones.toml{near}"),
    );
    None
}

/// Parts of the week, none of which overlap.
fn stretches(value: &Value<'_>) -> BTreeSet<Stretch> {
    let mut open = BTreeSet::new();
    let parts = value.each(|one| one.map(of_days).map(|stretches| (stretches, one.text())));
    for (stretches, text) in parts {
        for stretch in stretches {
            let meets = |other: &Stretch| other.from < stretch.until && stretch.from < other.until;
            if open.iter().any(meets) {
                value.error(format!(
                    "{:?} overlaps another part",
                    text.unwrap_or_default()
                ));
                break;
            }
            open.insert(stretch);
        }
    }
    open
}

/// `mon-fri 08:00-18:00`, for each of its days.
fn of_days(text: &str) -> Result<BTreeSet<Stretch>, HoursError> {
    let refuse = || HoursError::Stretch { text: text.into() };
    let (days, times) = text.split_once(' ').ok_or_else(refuse)?;
    let (first, last) = days.split_once('-').unwrap_or((days, days));
    let (from, until) = times.split_once('-').ok_or_else(refuse)?;
    let (from, until) = (
        minutes(from, 24).ok_or_else(refuse)?,
        minutes(until, 24).ok_or_else(refuse)?,
    );
    if from >= until {
        return Err(refuse());
    }
    let mut stretches = BTreeSet::new();
    let week = || (0_u32..).zip(DAYS);
    let mut on = week().chain(week()).skip_while(|(_, day)| *day != first);
    loop {
        let (number, day) = on.next().ok_or_else(refuse)?;
        let start = number.saturating_mul(24 * 60);
        stretches.insert(Stretch {
            from: start.saturating_add(from),
            until: start.saturating_add(until),
        });
        if day == last {
            return Ok(stretches);
        }
    }
}

/// `08:30`, up to so many hours, in minutes.
fn minutes(text: &str, hours_max: u32) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |digits: &str| -> Option<u32> {
        let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    let minutes = two(minutes).filter(|minutes| *minutes < 60)?;
    let all = two(hours)?.checked_mul(60)?.checked_add(minutes)?;
    (all <= hours_max.saturating_mul(60)).then_some(all)
}

fn read_zones(tables: Vec<Table<'_>>) -> BTreeMap<ZoneName, Zone> {
    let mut zones = BTreeMap::new();
    for mut table in tables {
        let name: Option<ZoneName> = table.required("name").and_then(|name| name.map(str::parse));
        let zone = zone(&mut table);
        if let (Some(name), Some(zone)) = (name, zone)
            && zones.insert(name.clone(), zone).is_some()
        {
            table.error(format!("there is another rule of {name}"));
        }
        table.finish();
    }
    zones
}

fn zone(table: &mut Table<'_>) -> Option<Zone> {
    let from = table
        .required("from")
        .and_then(|from| from.map(str::parse::<Time>));
    let until = table
        .required("until")
        .and_then(|until| until.map(str::parse::<Time>));
    let offset = table
        .required("offset")
        .and_then(|offset| offset.map(offset_minutes));
    let changes = table
        .optional("changes")
        .map(|changes| changes.each(|one| one.map(change)));
    let written = changes.unwrap_or_default();
    let zone = Zone {
        from: from?,
        until: until?,
        offset_minutes: offset?,
        changes: written.iter().copied().collect(),
    };
    if zone.from >= zone.until {
        table.error("ends before it begins");
    }
    let within = |at: &Time| *at > zone.from && *at < zone.until;
    if !zone.changes.keys().all(within) {
        table.error("has a change that is not between from and until");
    }
    if zone.changes.len() < written.len() {
        table.error("sets the clocks to two offsets at once");
    }
    if zone.changes.len() > CHANGES_MAX {
        table.error(format!("there can be {CHANGES_MAX} changes at the most"));
    }
    Some(zone)
}

fn change(text: &str) -> Result<(Time, i32), HoursError> {
    let refuse = || HoursError::Change { text: text.into() };
    let (at, offset) = text.split_once(' ').ok_or_else(refuse)?;
    let at = at.parse().map_err(|_| refuse())?;
    Ok((at, offset_minutes(offset).map_err(|_| refuse())?))
}

/// `+05:45`, in one spelling.
fn offset_minutes(text: &str) -> Result<i32, HoursError> {
    let refuse = || HoursError::Offset { text: text.into() };
    let (sign, digits) = text.split_at_checked(1).ok_or_else(refuse)?;
    let minutes = minutes(digits, OFFSET_MAX / 60).and_then(|minutes| i32::try_from(minutes).ok());
    match (sign, minutes.ok_or_else(refuse)?) {
        ("+", minutes) => Ok(minutes),
        ("-", minutes) if minutes > 0 => Ok(minutes.saturating_neg()),
        _ => Err(refuse()),
    }
}
