//! What `status` answers.

use std::collections::BTreeMap;
use std::fmt;

use api::journal::{Exposure, LogStatus};
use api::signing::{KeyAddress, KeysAnswer, TimeCredit};
use serde::Serialize;
use tx::Amount;

use super::devices::Devices;
use crate::client::plain;

/// The answer of `status`.
#[derive(Debug, Serialize)]
pub struct Status {
    #[serde(skip_serializing_if = "Option::is_none")]
    readiness: Option<Readiness>,
    #[serde(flatten)]
    devices: Option<Devices>,
    #[serde(flatten)]
    keys: KeysAnswer,
    /// The room of each limit as people write it, in the order of `limits`.
    #[serde(skip)]
    room: Vec<String>,
}

/// What the health listener says.
#[derive(Debug, Serialize)]
pub struct Readiness {
    /// Whether a request would be carried out now.
    pub ready: bool,
    /// The name of what seals it (`docs/sealed.md`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
    /// In words.
    pub text: String,
}

/// How people write an asset's amounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The unit.
    pub name: String,
    /// How many decimal places one has.
    pub decimals: u8,
}

impl Unit {
    /// `1500` with 3 decimals is `1.5 unit`.
    pub fn write(&self, amount: Amount) -> String {
        format!("{} {}", self.number(amount), self.name)
    }

    /// The same without the unit.
    pub fn number(&self, amount: Amount) -> String {
        let decimals = usize::from(self.decimals);
        let digits = format!("{:0>width$}", amount.to_string(), width = decimals + 1);
        // The width is more than the decimals, so that there is always a whole part.
        let (whole, fraction) = digits
            .split_at_checked(digits.len() - decimals)
            .unwrap_or_default();
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{whole}{point}{fraction}")
    }
}

impl Status {
    /// What the signer said, with the units that are known.
    pub fn new(
        keys: KeysAnswer,
        readiness: Option<Readiness>,
        devices: Option<Devices>,
        units: &BTreeMap<String, Unit>,
    ) -> Self {
        let room = keys.limits.iter().map(|limit| {
            let write = |amount: Amount| match units.get(&limit.limit) {
                Some(unit) => unit.write(amount),
                None => amount.to_string(),
            };
            format!(
                "{} of {} in {}",
                write(limit.left),
                write(limit.cap),
                span(limit.window_secs)
            )
        });
        Self {
            room: room.collect(),
            readiness,
            devices,
            keys,
        }
    }
}

/// A window as people write it.
fn span(seconds: u64) -> String {
    match seconds {
        s if s % 86_400 == 0 && s > 86_400 => format!("{} days", s / 86_400),
        s if s % 3600 == 0 => format!("{} h", s / 3600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.ready { "ready" } else { "NOT READY" };
        match self.text.as_str() {
            "ready" | "" => writeln!(f, "{word}"),
            told => writeln!(f, "{word}: {told}"),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(readiness) = &self.readiness {
            write!(f, "{readiness}")?;
        }
        writeln!(f, "policy {}", plain(&self.keys.policy))?;
        writeln!(f, "epoch  {}", self.keys.epoch)?;
        writeln!(f, "time   {} to {}", self.keys.time.lo, self.keys.time.hi)?;
        if let Some(TimeCredit { by, lo, millis, .. }) = &self.keys.credited {
            let (by, secs) = (plain(by), millis / 1000);
            writeln!(f, "  moved on    to {lo}, by {secs} s, as {by} signed")?;
        }
        if let Some(log) = &self.keys.journal {
            write_log(f, log)?;
        }
        if let Some(devices) = &self.devices {
            write!(f, "{devices}")?;
        }
        for key in &self.keys.keys {
            let class = serde_json::to_value(key.class).ok();
            let class = class
                .as_ref()
                .and_then(|class| class.as_str())
                .unwrap_or_default();
            let assurance = plain(&key.assurance);
            writeln!(
                f,
                "key {} of {} ({class}, {assurance})",
                key.name, key.account
            )?;
            writeln!(f, "  public      {}", plain(&key.public_key))?;
            for KeyAddress {
                chain,
                address,
                lane_epoch,
                next_sequence,
            } in &key.addresses
            {
                writeln!(f, "  {chain} {}", plain(address))?;
                write!(f, "    lane epoch {lane_epoch}")?;
                if let Some(next) = next_sequence {
                    write!(f, ", next sequence {next}")?;
                }
                writeln!(f)?;
            }
        }
        for (limit, room) in self.keys.limits.iter().zip(&self.room) {
            let group = plain(&limit.group.join(", "));
            let open = if group.is_empty() { "" } else { " for " };
            writeln!(f, "limit {}{open}{group}", plain(&limit.limit))?;
            writeln!(f, "  left        {room}")?;
        }
        Ok(())
    }
}

fn write_log(f: &mut fmt::Formatter<'_>, log: &LogStatus) -> fmt::Result {
    writeln!(f, "log    {}", plain(&log.origin))?;
    let covered = match log.checkpoint {
        Some(covered) => format!(
            "{covered} of {} covered by a signed checkpoint",
            log.entries
        ),
        None => format!("{}, no signed checkpoint", log.entries),
    };
    writeln!(f, "  entries     {covered}")?;
    match &log.log_key {
        Some(key) => writeln!(f, "  key         {}", plain(key))?,
        None => writeln!(
            f,
            "  key         NONE: nothing that was decided can be proved"
        )?,
    }
    if let Some(witnesses) = &log.witnesses {
        let (needed, named) = (witnesses.needed, witnesses.named);
        let witnessed = witnesses.witnessed;
        writeln!(
            f,
            "  witnesses   {needed} of {named} needed; {witnessed} entries witnessed since the start"
        )?;
    }
    if let Some(Exposure { entries, secs }) = &log.exposure
        && *entries > 0
    {
        writeln!(
            f,
            "  exposed     {entries} entries since {secs} s: nobody outside is known to have seen them"
        )?;
    }
    if let Some(scrub) = &log.scrub {
        let finished = match scrub.finished {
            Some(time) => format!("whole by {time}"),
            None => "not whole yet".to_owned(),
        };
        let entries = scrub.entries;
        writeln!(
            f,
            "  read again  {finished}; {entries} entries since the start"
        )?;
    }
    match &log.trouble {
        Some(trouble) => writeln!(f, "  trouble     {}", plain(trouble)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_as_people_write_them() {
        let unit = |decimals| Unit {
            name: "eth".into(),
            decimals,
        };
        let write = |decimals, amount: u64| unit(decimals).write(amount.into());
        assert_eq!(write(18, 1), "0.000000000000000001 eth");
        assert_eq!(write(18, 20_000_000_000_000_000), "0.02 eth");
        assert_eq!(write(3, 1500), "1.5 eth");
        assert_eq!(write(3, 20_000), "20 eth");
        assert_eq!(write(3, 0), "0 eth");
        assert_eq!(write(0, 7), "7 eth");
    }

    #[test]
    fn windows_as_people_write_them() {
        assert_eq!(span(86_400), "24 h");
        assert_eq!(span(604_800), "7 days");
        assert_eq!(span(90), "90 s");
        assert_eq!(span(300), "5 min");
    }
}
