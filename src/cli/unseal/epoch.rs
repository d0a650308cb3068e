//! `strongroom unseal epoch`: the statement by which officers begin a new epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use journal::SealReport;
use policy::Digest;
use policy::statement::{Drain, EpochFound, NewEpoch, NextSequence};
use serde::Serialize;
use tx::{Address, Chain, Name, Time};

use super::error::StatementError;
use super::{Signing, found, report, seen};
use crate::failure::Failure;
use crate::files::{self, Access};
use crate::output::Answer;

#[derive(Debug, ClapArgs)]
pub struct EpochArgs {
    /// The report.
    report: PathBuf,
    /// Where the statement goes; nothing may be there yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The next sequence of a key's address on a chain: above everything that may have been signed and
    /// can still be included, as the chain says. One for each key that the report has one of.
    #[arg(long, num_args = 3, value_names = ["KEY", "CHAIN", "NUMBER"])]
    next: Vec<String>,
    /// The own address to which a key is drained on a chain that has no sequences. One for each such key.
    #[arg(long, num_args = 3, value_names = ["KEY", "CHAIN", "ADDRESS"])]
    drain: Vec<String>,
    /// The highest epoch of a lane that the coordinator knows, as `strongroom lanes` shows it.
    #[arg(long, value_name = "NUMBER")]
    lanes: u64,
    /// The epoch: higher than every one that there ever was, as `walletd` and `strongroom status` showed it
    /// [default: the one after the last that the report knows, where it knows of a journal].
    #[arg(long, value_name = "NUMBER")]
    epoch: Option<u64>,
    /// When it begins: when nothing that is lost can be signed any more [default: now].
    #[arg(long, value_name = "TIME")]
    begins: Option<Time>,
    /// When the statement holds no longer, as 2026-11-20T12:00:00Z, at most 7 days from now
    /// [default: in 24 hours].
    #[arg(long, value_name = "TIME")]
    expires: Option<Time>,
    /// The file of a further checkpoint that somebody has seen and that is lost, too.
    #[arg(long, value_name = "FILE")]
    lost: Vec<PathBuf>,
    /// The id of a log that is gone, 64 hexadecimal digits.
    #[arg(long, value_name = "ID", value_parser = log_id)]
    after: Vec<Digest>,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Composed {
    found: Name,
    epoch: u64,
    begins: Time,
    #[serde(flatten)]
    signing: Signing,
}

/// Composes it.
///
/// # Errors
/// [`StatementError`].
pub(super) fn epoch(args: EpochArgs) -> Result<Answer, Failure> {
    let report = report(&args.report)?;
    let mut stated = EpochFound {
        found: found(&report),
        sequence: report.sequence,
        epoch: report.epoch,
        last: report.last.lo,
    };
    for path in &args.lost {
        stated.found.lost.insert(seen(path)?);
    }
    let begins = args.begins.unwrap_or_else(super::now).max(report.last.lo);
    let expires = args.expires.unwrap_or_else(super::tomorrow);
    let mut statement = NewEpoch::of(&stated, begins, expires);
    if let Some(epoch) = args.epoch {
        statement.epoch = epoch;
    }
    statement.lanes = args.lanes;
    statement.after = args.after.iter().copied().collect();
    statement.next = nexts(&args.next)?;
    statement.drains = drains(&args.drain)?;
    check(&statement, &report, args.epoch)?;
    let text = statement.to_string();
    files::create(&args.out, text.as_bytes(), Access::Public).map_err(StatementError::File)?;
    Answer::done(&Composed {
        signing: Signing {
            statement: args.out,
            fingerprint: format!("sha256:{}", statement.hash()),
            namespace: statement.header().namespace(),
            expires,
            threshold: report.threshold,
            officers: report.officers,
        },
        found: statement.found,
        epoch: statement.epoch,
        begins,
    })
}

fn log_id(text: &str) -> Result<Digest, String> {
    text.parse()
        .map_err(|_| "an id has 64 hexadecimal digits".to_owned())
}

/// `KEY CHAIN VALUE`, as often as it is said.
fn triples(words: &[String]) -> impl Iterator<Item = (&str, &str, &str)> {
    words.chunks(3).filter_map(|words| match words {
        [key, chain, value] => Some((key.as_str(), chain.as_str(), value.as_str())),
        _ => None,
    })
}

fn nexts(words: &[String]) -> Result<BTreeSet<NextSequence>, StatementError> {
    let parsed = triples(words).map(|(key, chain, next)| {
        let refused = || StatementError::Said {
            what: format!("--next {key} {chain} {next}"),
        };
        Ok(NextSequence {
            key: key.parse().map_err(|_| refused())?,
            chain: chain.parse().map_err(|_| refused())?,
            next: next.parse().map_err(|_| refused())?,
        })
    });
    parsed.collect()
}

fn drains(words: &[String]) -> Result<BTreeSet<Drain>, StatementError> {
    let parsed = triples(words).map(|(key, chain, to)| {
        let refused = || StatementError::Said {
            what: format!("--drain {key} {chain} {to}"),
        };
        let chain: Chain = chain.parse().map_err(|_| refused())?;
        Ok(Drain {
            key: key.parse().map_err(|_| refused())?,
            to: Address::parse(chain, to).map_err(|_| refused())?,
        })
    });
    parsed.collect()
}

/// Whether it says something of every key, once, and nothing below what is known.
fn check(
    statement: &NewEpoch,
    report: &SealReport,
    epoch: Option<u64>,
) -> Result<(), StatementError> {
    let mut missing = Vec::new();
    // Nothing that is there remembers an epoch: the intents of one that is begun twice would count again.
    if report.size == 0 && epoch.is_none() {
        missing.push("--epoch NUMBER, 2 if there never was a new epoch".to_owned());
    }
    let mut said: BTreeMap<(&Name, Chain), usize> = BTreeMap::new();
    for next in &statement.next {
        *said.entry((&next.key, next.chain)).or_default() += 1;
    }
    for drain in &statement.drains {
        *said.entry((&drain.key, drain.to.chain())).or_default() += 1;
    }
    if let Some(((key, chain), _)) = said.iter().find(|(_, times)| **times > 1) {
        let what = format!("more than one thing of key {key} on {chain}");
        return Err(StatementError::Said { what });
    }
    for known in &report.keys {
        let of = |key: &Name, chain| *key == known.key && chain == known.chain;
        let (key, chain) = (&known.key, known.chain);
        match known.next {
            Some(least) => match statement.next.iter().find(|next| of(&next.key, next.chain)) {
                Some(next) if next.next >= least => {}
                _ => missing.push(format!("--next {key} {chain} NUMBER, at least {least}")),
            },
            None if statement
                .drains
                .iter()
                .any(|drain| of(&drain.key, drain.to.chain())) => {}
            None => missing.push(format!("--drain {key} {chain} ADDRESS")),
        }
    }
    if !missing.is_empty() {
        return Err(StatementError::Unsaid { missing });
    }
    if statement.epoch <= report.epoch {
        let (said, seen) = (statement.epoch, report.epoch);
        return Err(StatementError::Epoch { said, seen });
    }
    Ok(())
}

impl fmt::Display for Composed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.signing.statement.display(), self.found)?;
        writeln!(f, "  begins      epoch {} at {}", self.epoch, self.begins)?;
        writeln!(
            f,
            "  every limit is full until its window has passed since then"
        )?;
        write!(f, "{}", self.signing)
    }
}
