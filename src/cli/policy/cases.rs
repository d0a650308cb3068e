//! `strongroom policy test`: cases that say what a bundle shall decide.
//!
//! Nothing of a signer is imitated: a case's transactions are made as a coordinator makes them, decoded
//! and evaluated by the code that `signerd` runs.

pub mod call;
mod coverage;
pub mod decide;
pub mod file;
pub mod transaction;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::{Book, Policy};
use serde::Serialize;
use tx::{Address, Name};

use self::coverage::Unnoticed;
use self::decide::{decide, differences};
pub use self::file::Payment as Paid;
use self::file::{Case, CaseFile, Place};
pub use self::transaction::{Order, make};
use super::error::PolicyError;
use super::offline;
use crate::failure::Failure;
use crate::output::Answer;

/// `strongroom policy test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle's folder.
    folder: PathBuf,
    /// Files of cases; docs/policy.md says what stands in one.
    #[arg(required = true)]
    cases: Vec<PathBuf>,
    /// Also fail where there is a statement that no case notices.
    #[arg(long)]
    all_statements: bool,
    /// The fleet, where the bundle has no manifest yet.
    #[arg(long, default_value = "unsigned")]
    fleet: Name,
}

/// What came of all cases.
#[derive(Debug, Serialize)]
struct Report {
    cases: Vec<Outcome>,
    failed: usize,
    statements: usize,
    unnoticed: Vec<Unnoticed>,
}

/// What came of a case.
#[derive(Debug, Serialize)]
struct Outcome {
    name: Name,
    at: String,
    /// What was otherwise than expected; nothing, if it passed.
    differences: Vec<String>,
}

/// A case, with what its file says of keys.
struct Given {
    place: Place,
    case: Case,
    keys: Arc<BTreeMap<Name, String>>,
    books: Arc<BTreeMap<Name, Book>>,
}

/// Runs the cases.
///
/// # Errors
/// [`PolicyError`] where the bundle or a file of cases cannot be read.
pub fn run(args: &Args) -> Result<Answer, Failure> {
    let policy = Arc::new(offline::policy(&args.folder, &args.fleet)?);
    let mut cases = Vec::new();
    for path in &args.cases {
        let file = CaseFile::read(path)?;
        let books = Arc::new(books(&policy, path, &file.books)?);
        let CaseFile {
            keys, cases: more, ..
        } = file;
        let keys = Arc::new(keys);
        cases.extend(more.into_iter().map(|(place, case)| Given {
            place,
            case,
            keys: Arc::clone(&keys),
            books: Arc::clone(&books),
        }));
    }
    if cases.is_empty() {
        return Err(PolicyError::NoCases.into());
    }
    let outcomes: Vec<Outcome> = cases.iter().map(|given| given.outcome(&policy)).collect();
    let failed = outcomes.iter().filter(|case| !case.differences.is_empty());
    let without = coverage::without_each(&policy);
    let report = Report {
        failed: failed.count(),
        statements: without.len(),
        unnoticed: unnoticed(without, &cases, &outcomes),
        cases: outcomes,
    };
    let missing = args.all_statements && !report.unnoticed.is_empty();
    if report.failed > 0 || missing {
        Answer::refused(&report)
    } else {
        Answer::done(&report)
    }
}

/// The books of a file of cases, as if the bundle listed them: what is in them has cooled.
fn books(
    policy: &Policy,
    path: &Path,
    said: &BTreeMap<Name, Vec<String>>,
) -> Result<BTreeMap<Name, Book>, PolicyError> {
    let wrong = |what: String| PolicyError::Cases {
        path: path.to_owned(),
        what,
    };
    let mut books = BTreeMap::new();
    for (name, addresses) in said {
        let apart = policy.book_apart(name);
        let apart = apart.ok_or_else(|| wrong(format!("no book {name} is loaded apart")))?;
        let parsed = addresses
            .iter()
            .map(|text| Address::parse(apart.chain, text));
        let addresses = parsed.collect::<Result<_, _>>();
        let addresses = addresses.map_err(|error| wrong(format!("book {name}: {error}")))?;
        let book = Book {
            addresses,
            apart: None,
        };
        books.insert(name.clone(), book);
    }
    Ok(books)
}

impl Given {
    /// The policy with the books that the file of the case says.
    fn supposed(&self, policy: &Arc<Policy>) -> Arc<Policy> {
        if self.books.is_empty() {
            return Arc::clone(policy);
        }
        let mut supposed = Policy::clone(policy);
        supposed.books.extend((*self.books).clone());
        Arc::new(supposed)
    }

    fn differences(&self, policy: &Arc<Policy>) -> Vec<String> {
        match decide(&self.supposed(policy), &self.keys, &self.case) {
            Ok(decided) => differences(&decided, &self.case),
            Err(error) => vec![error.to_string()],
        }
    }

    fn outcome(&self, policy: &Arc<Policy>) -> Outcome {
        Outcome {
            name: self.case.name.clone(),
            at: self.place.to_string(),
            differences: self.differences(policy),
        }
    }
}

/// The statements without which every case comes out as it does with them.
fn unnoticed(
    without: Vec<(Unnoticed, Arc<Policy>)>,
    cases: &[Given],
    outcomes: &[Outcome],
) -> Vec<Unnoticed> {
    let is_noticed = |less: &Arc<Policy>| {
        let mut both = cases.iter().zip(outcomes);
        both.any(|(given, outcome)| given.differences(less) != outcome.differences)
    };
    let unnoticed = without.into_iter().filter(|(_, less)| !is_noticed(less));
    unnoticed.map(|(statement, _)| statement).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            let word = if case.differences.is_empty() {
                "ok    "
            } else {
                "FAILED"
            };
            writeln!(f, "{word} {} ({})", case.name, case.at)?;
            for difference in &case.differences {
                writeln!(f, "       {difference}")?;
            }
        }
        for statement in &self.unnoticed {
            writeln!(f, "no case would notice if it were gone: {statement}")?;
        }
        let (cases, failed) = (self.cases.len(), self.failed);
        let held = self.statements - self.unnoticed.len();
        let statements = self.statements;
        writeln!(
            f,
            "{cases} cases, {failed} failed; {held} of {statements} statements are held by them"
        )
    }
}
