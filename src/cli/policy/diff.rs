//! `strongroom policy diff`: which requests two bundles decide otherwise, and whether the second is shown to
//! be narrower.

mod called;
mod probes;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::{BundleHash, Policy, Reason, ReasonCode, widenings};
use serde::Serialize;
use tx::Name;

use super::cases::call::UncalledError;
use super::cases::decide::{Bench, UndecidedError, decide};
use super::cases::file::CaseFile;
use super::cases::transaction::UnbuiltError;
use super::changes::{Change, Changes};
use super::decided::Decided;
use super::error::PolicyError;
use super::history::History;
use super::{offline, words};
use crate::failure::Failure;
use crate::output::Answer;

/// `strongroom policy diff`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of the bundle that there is.
    old: PathBuf,
    /// The folder of the one that may replace it.
    new: PathBuf,
    /// Files of cases, whose requests are decided by both.
    #[arg(long, value_name = "FILE")]
    cases: Vec<PathBuf>,
    /// A folder of `strongroom audit export`, whose requests are decided by both.
    #[arg(long, value_name = "FOLDER")]
    journal: Option<PathBuf>,
    /// The fleet, where a bundle has no manifest yet.
    #[arg(long, default_value = "unsigned")]
    fleet: Name,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Report {
    old: BundleHash,
    new: BundleHash,
    /// Whether the new one is shown to be narrower, so that it governs at once.
    narrower: bool,
    /// Why that is not shown.
    widenings: Vec<String>,
    /// How many requests were made up.
    generated: u64,
    /// How many were recorded.
    recorded: u64,
    /// How many cannot be asked of both.
    incomparable: u64,
    /// The books that are loaded apart and of which the log does not say what they held, where some of them are.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    unsure_of: BTreeSet<Name>,
    /// How many requests are decided otherwise.
    changed: u64,
    changes: Vec<Change>,
}

/// Compares them.
///
/// # Errors
/// [`PolicyError`].
pub fn run(args: &Args) -> Result<Answer, Failure> {
    let old = Arc::new(offline::policy(&args.old, &args.fleet)?);
    let new = Arc::new(offline::policy(&args.new, &args.fleet)?);
    let mut compared = Compared::of(&old, &new);
    compared.generate();
    for path in &args.cases {
        compared.cases(&CaseFile::read(path)?);
    }
    if let Some(folder) = &args.journal {
        compared.journal(folder)?;
    }
    let report = compared.report();
    if report.changed > 0 {
        Answer::refused(&report)
    } else {
        Answer::done(&report)
    }
}

/// Two bundles, and what they decided so far.
struct Compared<'a> {
    old: &'a Arc<Policy>,
    new: &'a Arc<Policy>,
    old_bench: Bench,
    new_bench: Bench,
    changes: Changes,
    generated: u64,
    recorded: u64,
    incomparable: u64,
    unsure_of: BTreeSet<Name>,
}

impl<'a> Compared<'a> {
    fn of(old: &'a Arc<Policy>, new: &'a Arc<Policy>) -> Self {
        let keys = BTreeMap::new();
        Self {
            old_bench: Bench::new(old, &keys),
            new_bench: Bench::new(new, &keys),
            old,
            new,
            changes: Changes::default(),
            generated: 0,
            recorded: 0,
            incomparable: 0,
            unsure_of: BTreeSet::new(),
        }
    }

    /// Asks both for all that is made up of them.
    fn generate(&mut self) {
        for (number, probe) in probes::of(self.old, self.new).iter().enumerate() {
            self.generated += 1;
            let asked = (probe.case(self.old, number), probe.case(self.new, number));
            let decided = match &asked {
                (Some(old), Some(new)) => {
                    both(self.old_bench.decide(old), self.new_bench.decide(new))
                }
                _ => None,
            };
            self.note(decided, &|| probe.to_string());
        }
    }

    /// Asks both for what the cases of a file ask.
    fn cases(&mut self, file: &CaseFile) {
        for (place, case) in &file.cases {
            self.recorded += 1;
            let of = |policy: &Arc<Policy>| decide(policy, &file.keys, case);
            let decided = both(of(self.old), of(self.new));
            self.note(decided, &|| format!("case {} ({place})", case.name));
        }
    }

    /// Asks both for what a log says was asked, as things stood then.
    fn journal(&mut self, folder: &Path) -> Result<(), PolicyError> {
        let mut old = History::open(folder, Arc::clone(self.old))?;
        let mut new = History::open(folder, Arc::clone(self.new))?;
        while let (Some(before), Some(after)) = (old.read()?, new.read()?) {
            if let (Some(asked), Some(again)) = (&before.asked, &after.asked) {
                self.recorded += 1;
                let (was, is) = (old.decide(asked)?, new.decide(again)?);
                let example = || asked.to_string();
                self.note(was.zip(is), &example);
            }
            old.apply(&before.record)?;
            new.apply(&after.record)?;
        }
        self.unsure_of.extend(old.unsure.books);
        self.unsure_of.extend(new.unsure.books);
        Ok(())
    }

    fn note(&mut self, decided: Option<(Decided, Decided)>, example: &dyn Fn() -> String) {
        match decided {
            None => self.incomparable += 1,
            Some((old, new)) if old.asks_otherwise(&new) => {
                self.changes.add(&old, &new, &example());
            }
            Some(_) => {}
        }
    }

    fn report(self) -> Report {
        let widenings = widenings(self.old, self.new);
        Report {
            old: self.old.hash,
            new: self.new.hash,
            narrower: widenings.is_empty(),
            widenings: widenings.iter().map(ToString::to_string).collect(),
            generated: self.generated,
            recorded: self.recorded,
            incomparable: self.incomparable,
            unsure_of: self.unsure_of,
            changed: self.changes.count(),
            changes: self.changes.sorted(),
        }
    }
}

fn both(
    old: Result<Decided, UndecidedError>,
    new: Result<Decided, UndecidedError>,
) -> Option<(Decided, Decided)> {
    known(old).zip(known(new))
}

/// What is decided, where that is known. A signer refuses a call of what its bundle does not declare.
fn known(decided: Result<Decided, UndecidedError>) -> Option<Decided> {
    match decided {
        Err(UndecidedError::Unbuilt {
            source: UnbuiltError::Call(error @ UncalledError::Function(..)),
            ..
        }) => {
            let reason = Reason {
                code: ReasonCode::Transaction,
                statement: None,
                at: None,
                detail: error.to_string(),
                remedy: "declare it".to_owned(),
            };
            Some(Decided::not_permitted(&[reason], BTreeSet::new()))
        }
        decided => decided.ok(),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.narrower {
            true => writeln!(f, "shown to be narrower: it governs at once")?,
            false => writeln!(f, "not shown to be narrower: it waits for the delay")?,
        }
        for widening in &self.widenings {
            writeln!(f, "  {widening}")?;
        }
        writeln!(
            f,
            "{} requests made up, {} recorded, {} cannot be asked of both; {} are decided otherwise",
            self.generated, self.recorded, self.incomparable, self.changed
        )?;
        if !self.unsure_of.is_empty() {
            let books = words::names(&self.unsure_of);
            writeln!(
                f,
                "unsure    the log does not say what {books} held, which is loaded apart"
            )?;
        }
        self.changes
            .iter()
            .try_for_each(|change| write!(f, "{change}"))
    }
}
