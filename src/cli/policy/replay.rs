//! `strongroom policy replay`: a candidate over what really happened.
//!
//! Every request that was recorded is decided again by the candidate, as things stood then: what was signed
//! is charged, whichever bundle allowed it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::{BundleHash, Entry, EvaluateError, Group, Policy, Record, Room};
use serde::Serialize;
use tx::{Amount, Interval, Name, Time};

use super::changes::{Change, Changes};
use super::error::PolicyError;
use super::history::History;
use super::{offline, words};
use crate::failure::Failure;
use crate::output::Answer;

/// `strongroom policy replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The candidate's folder.
    folder: PathBuf,
    /// A folder of `strongroom audit export`, verified by `strongroom audit verify`.
    #[arg(long, value_name = "FOLDER")]
    journal: PathBuf,
    /// The fleet, where the bundle has no manifest yet.
    #[arg(long, default_value = "unsigned")]
    fleet: Name,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    bundle: BundleHash,
    entries: u64,
    /// How many requests were decided again.
    decided: u64,
    /// How many of them otherwise.
    changed: u64,
    /// How many were not: not all that was asked is recorded.
    unseen: u64,
    /// How many were not: the log does not say what these books hold that are loaded apart.
    unsure: u64,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    unsure_of: BTreeSet<Name>,
    /// How many entries say nothing: a freeze held them, or they were pruned.
    withheld: u64,
    changes: Vec<Change>,
    peaks: Vec<Peak>,
}

/// The most that a limit ever held.
#[derive(Debug, Serialize)]
struct Peak {
    limit: Name,
    cap: Amount,
    used: Amount,
    /// The group that held it.
    group: Vec<(Group, String)>,
    /// When, and by which entry; nothing where it never held anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<(Time, u64)>,
    #[serde(skip)]
    text: String,
}

/// Decides everything again.
///
/// # Errors
/// [`PolicyError`].
pub fn run(args: &Args) -> Result<Answer, Failure> {
    let policy = Arc::new(offline::policy(&args.folder, &args.fleet)?);
    let report = replay(&policy, &args.journal)?;
    if report.changed > 0 {
        Answer::refused(&report)
    } else {
        Answer::done(&report)
    }
}

/// Decides everything in a folder again.
///
/// # Errors
/// [`PolicyError`].
pub fn replay(policy: &Arc<Policy>, folder: &Path) -> Result<Report, PolicyError> {
    let mut history = History::open(folder, Arc::clone(policy))?;
    let (mut changes, mut peaks) = (Changes::default(), Peaks::default());
    let mut decided = 0;
    while let Some(step) = history.read()? {
        if let Some(asked) = &step.asked {
            let now = history.decide(asked)?;
            decided += u64::from(now.is_some());
            if let Some(now) = now.filter(|now| now.word != asked.decided.word) {
                changes.add(&asked.decided, &now, &asked.to_string());
            }
        }
        history.apply(&step.record)?;
        peaks.see(&history, &step.record)?;
    }
    let entries = history.supposed().state().entries();
    Ok(Report {
        bundle: policy.hash,
        entries,
        decided,
        changed: changes.count(),
        unseen: history.unseen,
        unsure: history.unsure.requests,
        unsure_of: history.unsure.books,
        withheld: history.withheld,
        changes: changes.sorted(),
        peaks: peaks.of(policy),
    })
}

/// The most that each limit held so far.
#[derive(Default)]
struct Peaks(BTreeMap<Name, (Room, Time, u64)>);

impl Peaks {
    /// A limit is fullest right behind a charge.
    fn see(&mut self, history: &History, record: &Record) -> Result<(), PolicyError> {
        let Entry::Attempt(attempt) = &record.entry else {
            return Ok(());
        };
        let state = history.supposed().state();
        let entry = state.entries().saturating_sub(1);
        let Interval { lo, .. } = record.time;
        let rooms = state.room_of(attempt, record.time);
        let rooms = rooms.map_err(|error| PolicyError::Evaluate(EvaluateError::Charges(error)))?;
        for room in rooms {
            let peak = self.0.entry(room.limit.clone());
            let peak = peak.or_insert_with(|| (room.clone(), lo, entry));
            if room.used > peak.0.used {
                *peak = (room, lo, entry);
            }
        }
        Ok(())
    }

    /// By the names of all limits.
    fn of(mut self, policy: &Policy) -> Vec<Peak> {
        let peaks = policy.limits.iter().map(|limit| {
            let held = self.0.remove(&limit.name);
            let used = held.as_ref().map_or(Amount::ZERO, |(room, ..)| room.used);
            let text = format!(
                "{} of {} in {}",
                words::measured(policy, limit, used),
                words::measured(policy, limit, limit.says.cap),
                words::length(limit.says.window_millis)
            );
            Peak {
                limit: limit.name.clone(),
                cap: limit.says.cap,
                used,
                at: held.as_ref().map(|(_, at, entry)| (*at, *entry)),
                group: held.map(|(room, ..)| room.group).unwrap_or_default(),
                text,
            }
        });
        let mut peaks: Vec<Peak> = peaks.collect();
        peaks.sort_by(|one, other| one.limit.cmp(&other.limit));
        peaks
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "bundle    {}", self.bundle)?;
        writeln!(
            f,
            "entries   {}, {} of which say nothing here",
            self.entries, self.withheld
        )?;
        writeln!(
            f,
            "requests  {} decided again, {} otherwise; {} are not recorded in full",
            self.decided, self.changed, self.unseen
        )?;
        if self.unsure > 0 {
            writeln!(
                f,
                "unsure    {} requests: the log does not say what {} held, which is loaded apart",
                self.unsure,
                words::names(&self.unsure_of)
            )?;
        }
        for change in &self.changes {
            write!(f, "{change}")?;
        }
        if !self.peaks.is_empty() {
            writeln!(f, "the most that each limit held:")?;
        }
        for peak in &self.peaks {
            write!(f, "  {}: {}", peak.limit, peak.text)?;
            for (group, which) in &peak.group {
                write!(f, ", {group} {which}")?;
            }
            match peak.at {
                Some((at, entry)) => writeln!(f, ", at {at} (entry {entry})")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
