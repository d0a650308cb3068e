//! A whole exported log, verified from its files and the pinned key: every leaf from salt and body, every
//! tile, the root, the signature, and every decision once more.

mod again;
mod tree;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use api::journal::JournalBody;
use journal::{BookStore, Replay};
use policy::{Entry, Record, State};
use serde::Serialize;
use tlog::{TreeHead, checkpoint::SignedCheckpoint};
use tx::Time;

use self::again::Again;
use self::tree::TreeFiles;
pub use self::tree::{known_leaf, leaves};
use super::error::AuditError;
use super::folder::{BODIES, BadLine, CHECKPOINT, Lines, bundles, leaf, opens};
use super::signed::LogKeys;
use super::tiles::TileMaker;
use crate::client::plain;

/// Most findings that are listed.
const FINDINGS_MAX: usize = 100;

/// An entry that was verified, with what follows from it and those before it.
pub struct Seen<'a> {
    /// The entry.
    pub index: u64,
    /// What it says; nothing where a freeze held it when it was exported.
    pub record: Option<&'a Record>,
    /// The state behind it.
    pub state: &'a State,
}

/// What an audit of a folder came to.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The log.
    pub origin: String,
    /// How many entries its key signed.
    pub size: u64,
    /// Their root.
    pub root: String,
    /// How many of them say what they are.
    pub opened: u64,
    /// How many a freeze held when they were exported: their leaves alone are verified.
    pub withheld: u64,
    /// How many authorisations were decided again, and came out the same.
    pub decided_again: u64,
    /// How many refusals were decided again, and came out the same.
    pub refused_again: u64,
    /// How many were not: they are summarised, or not all that was asked is recorded.
    pub refused_unseen: u64,
    /// How many signatures were verified under the registered keys.
    pub signatures: u64,
    /// How many checkpoints in the log have the root of the entries before them.
    pub checkpoints: u64,
    /// Who cosigned the checkpoint, of the witnesses that the last policy names; nothing where it names
    /// none, and where what the entries say was not exported.
    pub witnesses: Option<Cosigned>,
    /// How many state roots in the log follow from the entries before them.
    pub state_roots: u64,
    /// How many could not be computed, because an entry before them is withheld.
    pub unchecked_roots: u64,
    /// When the first and the last entry were decided.
    pub from: Option<Time>,
    /// The same of the last.
    pub to: Option<Time>,
    /// What is wrong, in the order of the log; the first is what to look at.
    pub findings: Vec<Finding>,
}

/// How many witnesses cosigned a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cosigned {
    /// How many did.
    pub cosigned: usize,
    /// How many have to.
    pub needed: usize,
    /// How many the policy names.
    pub named: usize,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The first entry that it is about, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// Verifies a folder, and shows every entry as far as all before it are right.
///
/// # Errors
/// [`AuditError`] when it cannot be read, or its checkpoint is not the log's. What is wrong with the
/// rest is in the report.
pub fn verify(
    folder: &Path,
    keys: &LogKeys,
    visit: &mut dyn FnMut(&Seen<'_>) -> Result<(), AuditError>,
) -> Result<Report, AuditError> {
    let checkpoint = keys.read(&folder.join(CHECKPOINT))?;
    let head = *checkpoint.head();
    let mut audit = Audit {
        report: Report::of(keys, &head),
        checkpoint,
        head,
        maker: TileMaker::default(),
        files: TreeFiles::list(folder)?,
        made: Vec::new(),
    };
    if folder.join(BODIES).exists() {
        audit.bodies(folder, visit)?;
    } else {
        audit.commitments(folder)?;
    }
    audit.finish(folder)
}

impl Report {
    fn of(keys: &LogKeys, head: &TreeHead) -> Self {
        Self {
            origin: keys.origin().to_string(),
            size: head.size,
            root: head.root.to_string(),
            opened: 0,
            withheld: 0,
            decided_again: 0,
            refused_again: 0,
            refused_unseen: 0,
            signatures: 0,
            checkpoints: 0,
            witnesses: None,
            state_roots: 0,
            unchecked_roots: 0,
            from: None,
            to: None,
            findings: Vec::new(),
        }
    }

    /// Whether nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, entry: Option<u64>, what: impl Into<String>) {
        let what = what.into();
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { entry, what });
        }
    }
}

/// An audit on its way through a folder.
struct Audit {
    report: Report,
    checkpoint: SignedCheckpoint,
    head: TreeHead,
    maker: TileMaker,
    files: TreeFiles,
    made: Vec<super::tiles::Made>,
}

impl Audit {
    /// Goes through all that the entries say.
    fn bodies(
        &mut self,
        folder: &Path,
        visit: &mut dyn FnMut(&Seen<'_>) -> Result<(), AuditError>,
    ) -> Result<(), AuditError> {
        let store = bundles(folder);
        let mut replay = Some(Replay::new(&store).with_books(BookStore::of(folder)));
        let mut again = Again::new(&store);
        let mut lines = Lines::open(folder)?;
        while let Some(line) = lines.entry()? {
            let expected = self.maker.tree().size();
            let body = match self.in_order(line, expected) {
                Ok(body) => body,
                Err(wrong) => {
                    self.report.find(Some(expected), wrong);
                    break;
                }
            };
            let Some(leaf) = leaf(&body) else {
                self.report.find(Some(expected), "its commitment is none");
                break;
            };
            let right = opens(&body);
            if !right {
                let wrong = "what it says is not what its leaf commits to";
                self.report.find(Some(expected), wrong);
            }
            // Behind a wrong entry nothing follows from anything.
            let taken = replay.take().filter(|_| right);
            if let Some(mut before) = taken
                && self.decide(&mut before, &mut again, &body, visit)?
            {
                self.report.unchecked_roots = before.unchecked_roots();
                replay = Some(before);
            }
            self.maker.append(&leaf, &mut self.made);
            self.files.check(&mut self.made);
        }
        if let Some(replay) = &replay {
            self.witnesses(replay.state());
        }
        self.report.decided_again = again.decided;
        self.report.refused_again = again.refused;
        self.report.refused_unseen = again.refused_unseen;
        self.report.signatures = again.signatures;
        self.whole_bundles(folder, &again)
    }

    /// Counts the witnesses that the last policy names.
    fn witnesses(&mut self, state: &State) {
        let policy = state.policy();
        let Some(quorum) = policy.and_then(|policy| policy.witnesses.as_ref()) else {
            return;
        };
        let tally = quorum.tally(&self.checkpoint);
        let found = Cosigned {
            cosigned: tally.cosignatures().len(),
            needed: quorum.needed(),
            named: quorum.witnesses().len(),
        };
        if found.cosigned < found.needed {
            let what = format!(
                "{} of {} witnesses cosigned the checkpoint, and {} are needed",
                found.cosigned, found.named, found.needed
            );
            self.report.find(None, what);
        }
        self.report.witnesses = Some(found);
    }

    /// The entry of a line, if it is the next one.
    fn in_order(
        &self,
        line: Result<JournalBody, BadLine>,
        expected: u64,
    ) -> Result<JournalBody, String> {
        let body = line.map_err(|bad| match bad {
            BadLine::Torn => format!("{BODIES} ends within it"),
            BadLine::Form(error) => format!("its line in {BODIES} is none: {error}"),
        })?;
        if expected >= self.head.size {
            return Err("the checkpoint does not cover it".to_owned());
        }
        if body.entry != expected {
            let found = body.entry;
            return Err(format!(
                "it is missing in {BODIES}, where entry {found} stands"
            ));
        }
        Ok(body)
    }

    /// Decides an entry again; whether those after it can follow.
    fn decide(
        &mut self,
        replay: &mut Replay<'_>,
        again: &mut Again<'_>,
        body: &JournalBody,
        visit: &mut dyn FnMut(&Seen<'_>) -> Result<(), AuditError>,
    ) -> Result<bool, AuditError> {
        let index = body.entry;
        let Some(opening) = &body.opening else {
            replay.pass_over();
            self.report.withheld += 1;
            let (record, state) = (None, replay.state());
            visit(&Seen {
                index,
                record,
                state,
            })?;
            return Ok(true);
        };
        let tree = self.maker.tree();
        let wrong = again.before(replay.state(), opening);
        let taken = replay.take(index, opening.body.as_bytes(), || tree.head());
        let record = match taken {
            Ok(record) => record,
            Err(error) => {
                self.report.find(Some(index), chain(&error));
                return Ok(false);
            }
        };
        if let Some(wrong) = wrong {
            self.report.find(Some(index), wrong);
        }
        self.note(&record);
        let state = replay.state();
        let record = Some(&record);
        visit(&Seen {
            index,
            record,
            state,
        })?;
        Ok(true)
    }

    fn note(&mut self, record: &Record) {
        self.report.opened += 1;
        self.report.from = self.report.from.or(Some(record.time.lo));
        self.report.to = Some(record.time.lo);
        match &record.entry {
            Entry::Checkpoint(_) => self.report.checkpoints += 1,
            Entry::StateRoot(_) => self.report.state_roots += 1,
            Entry::Genesis { fleet } => {
                let named = format!("strongroom/{fleet}/");
                if !self.report.origin.starts_with(&named) {
                    self.report
                        .find(Some(0), format!("it is the log of fleet {fleet}"));
                }
            }
            _ => {}
        }
    }

    /// Bundles that no entry names.
    fn whole_bundles(&mut self, folder: &Path, again: &Again<'_>) -> Result<(), AuditError> {
        let found = tree::names(&folder.join(super::folder::BUNDLES))?;
        let governed: BTreeSet<String> = again.bundles().map(|hash| hash.to_string()).collect();
        for name in found.difference(&governed) {
            let what = format!("bundles/{}: no entry names it", plain(name));
            self.report.find(None, what);
        }
        Ok(())
    }

    /// Goes through the leaves alone, where what they commit to was not exported.
    fn commitments(&mut self, folder: &Path) -> Result<(), AuditError> {
        let leaves = tree::leaves(folder, self.head.size);
        for leaf in leaves {
            match leaf {
                Ok(leaf) => self.maker.append(&leaf, &mut self.made),
                Err(finding) => {
                    self.report.findings.push(finding);
                    break;
                }
            }
            self.files.check(&mut self.made);
        }
        Ok(())
    }

    /// Holds what was read against the signed root, and the files against what was read.
    fn finish(mut self, folder: &Path) -> Result<Report, AuditError> {
        let found = self.maker.tree().head();
        if found == self.head {
            self.made = self.maker.edge();
            self.files.check(&mut self.made);
            self.report.findings.extend(self.files.findings());
        } else {
            self.explain(folder, &found);
        }
        for name in tree::names(folder)? {
            if !tree::BELONGS.contains(&name.as_str()) {
                let what = format!("{}: it is no file of an export", plain(&name));
                self.report.find(None, what);
            }
        }
        let findings = &mut self.report.findings;
        findings.sort_by_key(|finding| finding.entry.unwrap_or(u64::MAX));
        findings.truncate(FINDINGS_MAX);
        Ok(self.report)
    }

    /// Says which entry is the first that is not what was signed, as far as the files can tell.
    fn explain(&mut self, folder: &Path, found: &TreeHead) {
        let signed = self.head.size;
        if found.size < signed && self.report.is_whole() {
            let what = format!("it is missing: {} of {signed} are there", found.size);
            self.report.find(Some(found.size), what);
        }
        for finding in tree::compare(folder, &self.head) {
            self.report.findings.push(finding);
        }
        if self.report.is_whole() {
            let what = format!("{CHECKPOINT}: the {signed} entries do not have the signed root");
            self.report.find(None, what);
        }
    }
}

/// An error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry {
            Some(entry) => write!(f, "entry {entry}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl Report {
    /// What came of the state's roots, where the log has any.
    fn of_state(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let follow = self.state_roots.saturating_sub(self.unchecked_roots);
        match (self.state_roots, self.unchecked_roots) {
            (0, _) => Ok(()),
            (_, 0) => writeln!(
                f,
                "state       {follow} roots in the log follow from its entries"
            ),
            (_, unchecked) => writeln!(
                f,
                "state       {follow} roots in the log follow from its entries, {unchecked} cannot be computed: an entry before them is withheld"
            ),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "log         {}", self.origin)?;
        writeln!(f, "entries     {} under the root {}", self.size, self.root)?;
        if !self.is_whole() {
            writeln!(f, "NOT AS SIGNED")?;
            let mut findings = self.findings.iter();
            return findings
                .try_for_each(|finding| writeln!(f, "  {}", plain(&finding.to_string())));
        }
        writeln!(
            f,
            "verified    the checkpoint's signature, every leaf, every tile"
        )?;
        if self.opened == 0 {
            return writeln!(
                f,
                "bodies      none here: what the entries say was not exported"
            );
        }
        if let (Some(from), Some(to)) = (self.from, self.to) {
            writeln!(f, "time        {from} to {to}")?;
        }
        writeln!(
            f,
            "bodies      {} opened, {} withheld by a freeze",
            self.opened, self.withheld
        )?;
        writeln!(f, "replayed    every entry follows from those before it")?;
        writeln!(
            f,
            "decided     {} authorisations again, with the same outcome",
            self.decided_again
        )?;
        if self.refused_again + self.refused_unseen > 0 {
            writeln!(
                f,
                "refused     {} requests again, for the same reasons; {} are not recorded in full",
                self.refused_again, self.refused_unseen
            )?;
        }
        writeln!(
            f,
            "signatures  {} verified under the registered keys",
            self.signatures
        )?;
        writeln!(
            f,
            "checkpoints {} in the log have its roots",
            self.checkpoints
        )?;
        self.of_state(f)?;
        match self.witnesses {
            None => Ok(()),
            Some(found) => writeln!(
                f,
                "witnesses   {} of {} cosigned the checkpoint, and {} had to",
                found.cosigned, found.named, found.needed
            ),
        }
    }
}
