//! What a verified log says to an accountant: what was authorised, to whom, how much, by which rule; what
//! was refused; who governed.

mod csv;
mod html;
mod total;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use policy::{Attempt, Entry, Fact, Policy, Record, Refused};
use serde::Serialize;
use tx::{Amount, Asset, Time};

use self::total::Total;
use super::error::AuditError;
use super::folder::CHECKPOINT;
use super::show::{kind, summary};
use super::signed::LogKeys;
use super::verify::{Report, Seen, verify};
use crate::files::{self, Access};
use crate::status::Unit;

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A table with a row for each effect, for spreadsheets.
    Csv,
    /// A page that can be read and printed; it needs nothing beside itself.
    Html,
    /// A JSON object a line: effects, refusals, events.
    Ndjson,
}

/// How long the periods are that are summed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Period {
    /// A day in UTC.
    Day,
    /// A month in UTC.
    Month,
}

/// What a statement is of.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Since when, inclusive.
    pub from: Option<Time>,
    /// Until when, exclusive.
    pub to: Option<Time>,
    /// By which sums are made.
    pub period: Period,
}

/// How far an authorisation came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It was charged, and nothing more is known: its signature may be withheld by a freeze.
    Authorised,
    /// All its signatures were made.
    Signed,
    /// Its calls ended without a signature.
    NotSigned,
}

/// An effect that was charged.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    time: Time,
    entry: u64,
    client: String,
    request: String,
    intent: String,
    kind: String,
    chain: String,
    account: String,
    keys: Vec<String>,
    asset: Asset,
    /// In the asset's unit, where the policy of the time named one.
    amount: String,
    unit: String,
    base_units: Amount,
    destination: String,
    tag: String,
    allowed_by: Vec<String>,
    approved_by: Vec<String>,
    policy: String,
    /// Attempts of one conflict set exclude one another on chain.
    conflict_set: u64,
    standing: Standing,
    txid: String,
    #[serde(skip)]
    decimals: u8,
}

/// A request that was refused, or several.
#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    time: Time,
    entry: u64,
    client: String,
    request: String,
    count: u64,
    reasons: Vec<String>,
    needs: Vec<String>,
}

/// Something else that a reader should know of: who governed, keys, freezes, starts and stops.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    time: Time,
    entry: u64,
    what: String,
    people: Vec<String>,
}

/// Everything that is told.
pub struct Statement {
    report: Report,
    checkpoint: String,
    log_key: String,
    span: Span,
    rows: Vec<Row>,
    refusals: Vec<Refusal>,
    events: Vec<Event>,
    totals: Vec<Total>,
}

/// The answer of `audit report`.
#[derive(Debug, Serialize)]
pub struct Written {
    file: PathBuf,
    effects: usize,
    refusals: usize,
    events: usize,
    size: u64,
}

/// Verifies a folder and writes what it says.
///
/// # Errors
/// [`AuditError::Unverified`] when anything is wrong with it: of such a log nothing is told.
pub fn write(
    folder: &Path,
    keys: &LogKeys,
    span: Span,
    (form, file): (Form, &Path),
) -> Result<Written, AuditError> {
    let mut gathered = Gathered::new(span);
    let report = verify(folder, keys, &mut |seen| {
        gathered.take(seen);
        Ok(())
    })?;
    if let Some(first) = report.findings.first() {
        return Err(AuditError::Unverified {
            folder: folder.to_owned(),
            first: first.to_string(),
        });
    }
    let checkpoint = keys.read(&folder.join(CHECKPOINT))?.to_string();
    let statement = gathered.statement(report, checkpoint, keys.key());
    let text = match form {
        Form::Csv => csv::table(&statement.rows),
        Form::Html => html::page(&statement),
        Form::Ndjson => statement.lines()?,
    };
    files::create(file, text.as_bytes(), Access::Secret)?;
    Ok(Written {
        file: file.to_owned(),
        effects: statement.rows.len(),
        refusals: statement.refusals.len(),
        events: statement.events.len(),
        size: statement.report.size,
    })
}

impl Span {
    fn holds(&self, time: Time) -> bool {
        self.from.is_none_or(|from| time >= from) && self.to.is_none_or(|to| time < to)
    }
}

impl Period {
    /// The period of a time, as the beginning of its text.
    fn of(self, time: Time) -> String {
        let digits = match self {
            Self::Day => "2026-11-20".len(),
            Self::Month => "2026-11".len(),
        };
        time.to_string().chars().take(digits).collect()
    }
}

/// What is gathered on the way through a log.
struct Gathered {
    span: Span,
    rows: Vec<Row>,
    /// Where the rows of an attempt begin, and how many it has.
    attempts: BTreeMap<u64, (usize, usize)>,
    refusals: Vec<Refusal>,
    events: Vec<Event>,
}

impl Gathered {
    fn new(span: Span) -> Self {
        Self {
            span,
            rows: Vec::new(),
            attempts: BTreeMap::new(),
            refusals: Vec::new(),
            events: Vec::new(),
        }
    }

    fn take(&mut self, seen: &Seen<'_>) {
        let Some(record) = seen.record else { return };
        match &record.entry {
            // What became of an attempt is told with it, whenever it was.
            Entry::Signed(signed) => {
                self.stands(signed.attempt.0, Standing::Signed, &signed.txid);
            }
            Entry::Failed { attempt, .. } => self.stands(attempt.0, Standing::NotSigned, ""),
            Entry::Call { attempt, .. } => self.stands(attempt.0, Standing::Authorised, ""),
            _ if !self.span.holds(record.time.lo) => {}
            Entry::Attempt(attempt) => self.attempt(seen, record, attempt),
            Entry::Refused(refused) => self.refusals.push(refusal(seen.index, record, refused)),
            Entry::RefusedMany(many) => self.refusals.push(Refusal {
                time: record.time.lo,
                entry: seen.index,
                client: many.client.to_string(),
                request: String::new(),
                count: many.count,
                reasons: vec![many.first.clone()],
                needs: Vec::new(),
            }),
            Entry::Checkpoint(_) | Entry::StateRoot(_) | Entry::SelfTest { .. } => {}
            other => self.events.push(event(seen.index, record, other)),
        }
    }

    fn attempt(&mut self, seen: &Seen<'_>, record: &Record, attempt: &Attempt) {
        let policy = seen.state.policy().map(AsRef::as_ref);
        let begin = self.rows.len();
        let entry = (seen.index, record.time.lo);
        let rows = attempt
            .facts
            .iter()
            .map(|fact| row(entry, policy, attempt, fact));
        self.rows.extend(rows);
        self.attempts
            .insert(seen.index, (begin, attempt.facts.len()));
    }

    fn stands(&mut self, attempt: u64, standing: Standing, txid: &str) {
        let Some((begin, count)) = self.attempts.get(&attempt) else {
            return;
        };
        for row in self.rows.iter_mut().skip(*begin).take(*count) {
            row.standing = standing;
            txid.clone_into(&mut row.txid);
        }
    }

    fn statement(self, report: Report, checkpoint: String, log_key: String) -> Statement {
        Statement {
            totals: total::totals(&self.rows, self.span.period),
            report,
            checkpoint,
            log_key,
            span: self.span,
            rows: self.rows,
            refusals: self.refusals,
            events: self.events,
        }
    }
}

impl Statement {
    /// An object a line, each with the name of its kind.
    fn lines(&self) -> Result<String, AuditError> {
        #[derive(Serialize)]
        #[serde(tag = "line", rename_all = "kebab-case")]
        enum Line<'a> {
            Effect(&'a Row),
            Refusal(&'a Refusal),
            Event(&'a Event),
        }
        let rows = self.rows.iter().map(|row| (row.entry, Line::Effect(row)));
        let refusals = self.refusals.iter().map(|it| (it.entry, Line::Refusal(it)));
        let events = self.events.iter().map(|it| (it.entry, Line::Event(it)));
        let mut all: Vec<_> = rows.chain(refusals).chain(events).collect();
        all.sort_by_key(|(entry, _)| *entry);
        let mut text = String::new();
        for (_, line) in all {
            let line = serde_json::to_string(&line).map_err(|error| AuditError::Answer {
                reason: error.to_string(),
            })?;
            text.push_str(&line);
            text.push('\n');
        }
        Ok(text)
    }
}

fn row((entry, time): (u64, Time), policy: Option<&Policy>, attempt: &Attempt, fact: &Fact) -> Row {
    let effect = &fact.effect;
    let unit = policy.and_then(|policy| unit(policy, &effect.asset));
    let people = attempt.met.values().flatten();
    let intent = fact.intent.as_ref();
    let mut keys = texts(attempt.calls.iter().map(|call| &call.key));
    keys.dedup();
    Row {
        time,
        entry,
        client: attempt.client.to_string(),
        request: attempt.request.to_string(),
        intent: intent.map(ToString::to_string).unwrap_or_default(),
        kind: kind(effect.kind),
        chain: attempt.chain.to_string(),
        account: effect.account.to_string(),
        keys,
        asset: effect.asset.clone(),
        amount: unit
            .as_ref()
            .map(|unit| unit.number(effect.amount))
            .unwrap_or_default(),
        decimals: unit.as_ref().map_or(0, |unit| unit.decimals),
        unit: unit.map(|unit| unit.name).unwrap_or_default(),
        base_units: effect.amount,
        destination: effect
            .to
            .as_ref()
            .map(|to| to.address.to_string())
            .unwrap_or_default(),
        tag: effect.tag.clone().unwrap_or_default(),
        allowed_by: texts(&attempt.allowed_by),
        approved_by: texts(people),
        policy: attempt.policy.to_string(),
        conflict_set: attempt.set.map_or(entry, |set| set.0),
        standing: Standing::Authorised,
        txid: String::new(),
    }
}

/// How people write an asset's amounts, by the policy of the time.
fn unit(policy: &Policy, asset: &Asset) -> Option<Unit> {
    let mut named = policy
        .assets
        .iter()
        .filter(|(_, unit)| unit.asset == *asset);
    named.next().map(|(name, unit)| Unit {
        name: name.to_string(),
        decimals: unit.decimals,
    })
}

fn refusal(entry: u64, record: &Record, refused: &Refused) -> Refusal {
    Refusal {
        time: record.time.lo,
        entry,
        client: refused.client.to_string(),
        request: refused.request.to_string(),
        count: 1,
        reasons: refused
            .reasons
            .iter()
            .map(|reason| reason.detail.clone())
            .collect(),
        needs: texts(&refused.needs),
    }
}

fn event(index: u64, record: &Record, entry: &Entry) -> Event {
    let people = match entry {
        Entry::PolicyActivated { signed_by, .. } => texts(signed_by),
        Entry::PolicyProposed(proposed) => texts(&proposed.signed_by),
        Entry::PolicyVetoed(vetoed) => texts(&vetoed.by.signed_by),
        Entry::BookLoaded(loaded) => texts(&loaded.by.signed_by),
        Entry::BookVetoed(vetoed) => texts(&vetoed.by.signed_by),
        Entry::FrozenBy(frozen) => texts(&frozen.by.signed_by),
        Entry::Unfrozen(unfrozen) => texts(&unfrozen.by.signed_by),
        Entry::IntentDecided(decided) => texts(decided.signed_by.keys()),
        Entry::TransactionDecided(decided) => texts(decided.signed_by.keys()),
        Entry::Attested(said) => texts([&said.attester]),
        Entry::Heartbeat(by) => texts(&by.signed_by),
        Entry::Resumed(resumed) | Entry::EpochBegan(resumed) => texts(&resumed.signed_by),
        Entry::Pruned(pruned) => texts(&pruned.by.signed_by),
        _ => Vec::new(),
    };
    Event {
        time: record.time.lo,
        entry: index,
        what: summary(entry),
        people,
    }
}

fn texts<T: ToString>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items.into_iter().map(|item| item.to_string()).collect()
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: effects {}, refusals {}, events {}, of a verified log of {} entries",
            self.file.display(),
            self.effects,
            self.refusals,
            self.events,
            self.size
        )
    }
}
