//! `strongroom policy zones`: the rules of the time zones that a bundle names, written into it.
//!
//! `signerd` has no database of time zones, and none could be updated under a signed bundle without
//! changing what it says: so the rules are files of the bundle, reviewed and signed with all else.

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use policy::Zone;
use policy::bundle::{self, ZoneName};
use serde::Serialize;
use tx::Time;

use super::error::PolicyError;
use super::folder;
use crate::failure::Failure;
use crate::files::{self, Access};
use crate::output::Answer;

/// Where machines have the database of time zones.
const DATABASE: &str = "/usr/share/zoneinfo";
/// The file of the bundle that is written.
const FILE: &str = "zones.toml";
/// The largest file of a time zone.
const ZONE_MAX_BYTES: u64 = 1024 * 1024;
/// For how many years rules are written. Who has not signed a bundle by then has other things to review.
const YEARS: i16 = 10;

/// `strongroom policy zones`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle's folder.
    folder: PathBuf,
    /// The folder of the database of time zones, in TZif files.
    #[arg(long, value_name = "FOLDER", default_value = DATABASE)]
    database: PathBuf,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Report {
    /// The file, where a zone is named.
    file: Option<PathBuf>,
    zones: Vec<Written>,
}

/// A rule that stands in the file now.
#[derive(Debug, Serialize)]
struct Written {
    name: String,
    from: Time,
    until: Time,
    changes: usize,
}

/// Writes the rules of the zones that the bundle's hours name.
///
/// # Errors
/// See [`PolicyError`].
pub fn run(args: &Args) -> Result<Answer, Failure> {
    let zones = write(&args.folder, &args.database)?;
    Answer::done(&Report {
        file: (!zones.is_empty()).then(|| args.folder.join(FILE)),
        zones: zones.iter().map(Written::of).collect(),
    })
}

/// As [`run`], by the database of this machine: before a manifest is made. A bundle without zones is
/// left as it is.
///
/// # Errors
/// See [`PolicyError`].
pub fn refresh(folder: &Path) -> Result<(), PolicyError> {
    write(folder, Path::new(DATABASE)).map(drop)
}

fn write(folder: &Path, database: &Path) -> Result<Vec<(ZoneName, Zone)>, PolicyError> {
    let named = bundle::zones_named(&folder::read(folder)?);
    let year = Timestamp::now().to_zoned(TimeZone::UTC).year();
    let rule = |name: ZoneName| {
        let zone = zone(&name, database, year)?;
        Ok((name, zone))
    };
    let zones: Vec<_> = named
        .into_iter()
        .map(rule)
        .collect::<Result<_, PolicyError>>()?;
    if zones.is_empty() {
        return Ok(zones);
    }
    let mut text = String::from(
        "# Written by `strongroom policy zones` and `strongroom policy sign` from the database of time\n\
         # zones of the machine. Behind `until` nothing is known: what gives in such hours gives nothing.\n",
    );
    for (name, zone) in &zones {
        text.push('\n');
        text.push_str(&bundle::zone_table(name, zone));
    }
    files::replace(&folder.join(FILE), text.as_bytes(), Access::Public)
        .map_err(PolicyError::File)?;
    Ok(zones)
}

/// The rule of a zone for some years from the beginning of this one.
fn zone(name: &ZoneName, database: &Path, year: i16) -> Result<Zone, PolicyError> {
    let unknown = |source| PolicyError::Zone {
        name: name.to_string(),
        source,
    };
    let path = database.join(name.as_str());
    let bytes = files::read(&path, ZONE_MAX_BYTES).map_err(PolicyError::File)?;
    let clocks = TimeZone::tzif(name.as_str(), &bytes).map_err(unknown)?;
    let (from, until) = (
        begin(year).map_err(unknown)?,
        begin(year.saturating_add(YEARS)).map_err(unknown)?,
    );
    let mut offset = minutes(name, clocks.to_offset(from))?;
    let mut zone = Zone {
        from: time(from),
        until: time(until),
        offset_minutes: offset,
        changes: std::collections::BTreeMap::new(),
    };
    for change in clocks
        .following(from)
        .take_while(|change| change.timestamp() < until)
    {
        // What only gives the clocks another name changes nothing.
        let shown = minutes(name, change.offset())?;
        if shown != offset {
            offset = shown;
            zone.changes.insert(time(change.timestamp()), shown);
        }
    }
    Ok(zone)
}

/// When a year begins in UTC.
fn begin(year: i16) -> Result<Timestamp, jiff::Error> {
    let first = civil::Date::new(year, 1, 1)?;
    Ok(first.to_zoned(TimeZone::UTC)?.timestamp())
}

fn time(timestamp: Timestamp) -> Time {
    Time::from_millis(u64::try_from(timestamp.as_millisecond()).unwrap_or(0))
}

/// Whole minutes: no zone has had others since 1972.
fn minutes(name: &ZoneName, offset: jiff::tz::Offset) -> Result<i32, PolicyError> {
    let seconds = offset.seconds();
    if seconds % 60 == 0 {
        Ok(seconds / 60)
    } else {
        Err(PolicyError::ZoneSeconds {
            name: name.to_string(),
            seconds,
        })
    }
}

impl Written {
    fn of((name, zone): &(ZoneName, Zone)) -> Self {
        Self {
            name: name.to_string(),
            from: zone.from,
            until: zone.until,
            changes: zone.changes.len(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(file) = &self.file else {
            return writeln!(f, "the bundle's hours name no time zone");
        };
        writeln!(f, "{}:", file.display())?;
        for zone in &self.zones {
            let Written {
                name,
                from,
                until,
                changes,
            } = zone;
            writeln!(
                f,
                "  {name} from {from} until {until}, {changes} changes of the clocks"
            )?;
        }
        Ok(())
    }
}
