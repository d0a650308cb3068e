//! `strongroom policy check`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use policy::bundle::{self, Diagnostic, Severity};
use policy::{EvaluateError, Group, Limit, Policy, Room, Statement};
use serde::Serialize;
use tx::{Amount, Name};

use super::error::PolicyError;
use super::history::History;
use super::{folder, offline, words};
use crate::failure::Failure;
use crate::output::Answer;

/// The longest line that is shown: what is longer is a key or a list, which a caret does not make clearer.
const SHOWN_MAX_CHARS: usize = 160;

/// The fullest groups of a limit that are shown to people; all are in the JSON.
const GROUPS_MAX: usize = 10;

/// `strongroom policy check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle's folder.
    folder: PathBuf,
    /// A folder of `strongroom audit export`, whose charges take of the room.
    #[arg(long, value_name = "FOLDER")]
    journal: Option<PathBuf>,
    /// The fleet, where the bundle has no manifest yet.
    #[arg(long, default_value = "unsigned")]
    fleet: Name,
}

/// All that is to be said of a bundle.
#[derive(Debug, Serialize)]
struct Report {
    errors: usize,
    warnings: usize,
    diagnostics: Vec<Diagnostic>,
    /// What each limit would start with, by name; nothing where there are errors.
    room: Vec<Start>,
    /// The lines they are about, each with a caret, for people.
    #[serde(skip)]
    lines: Vec<Option<String>>,
}

/// The room that a limit starts with: its cap, less what it holds where it has no groups.
#[derive(Debug, Serialize)]
pub struct Start {
    limit: Name,
    /// In base units or effects.
    room: Amount,
    window_millis: u64,
    /// What has so much room each.
    group: BTreeSet<Group>,
    /// What it holds of what a log says was signed, by group, the fullest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    held: Vec<Holds>,
    #[serde(skip)]
    text: String,
}

/// What a group of a limit holds.
#[derive(Debug, Serialize)]
struct Holds {
    group: Vec<(Group, String)>,
    used: Amount,
    room: Amount,
    #[serde(skip)]
    text: String,
}

/// Checks the bundle in a folder. Its signatures are not looked at.
///
/// # Errors
/// When the folder cannot be read.
pub fn run(args: &Args) -> Result<Answer, Failure> {
    let files = folder::read(&args.folder)?;
    let (diagnostics, room) = match bundle::parse(&files) {
        Ok(bundle) => {
            let warnings = bundle.warnings().to_vec();
            let held = match &args.journal {
                Some(journal) => {
                    let policy = offline::policy(&args.folder, &args.fleet)?;
                    held(Arc::new(policy), journal)?
                }
                None => Vec::new(),
            };
            (warnings, starts(bundle.policy(), &held))
        }
        Err(found) => (found, Vec::new()),
    };
    let report = Report::of(diagnostics, room, &files);
    if report.errors > 0 {
        Answer::refused(&report)
    } else {
        Answer::done(&report)
    }
}

impl Report {
    fn of(
        diagnostics: Vec<Diagnostic>,
        room: Vec<Start>,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Self {
        let lines = diagnostics.iter().map(|one| pointed_at(one, files));
        let lines = lines.collect();
        let errors = count(&diagnostics, Severity::Error);
        Self {
            errors,
            warnings: count(&diagnostics, Severity::Warning),
            diagnostics,
            room,
            lines,
        }
    }
}

/// What each group of each limit would hold behind a log.
///
/// # Errors
/// [`PolicyError`].
pub fn held(policy: Arc<Policy>, journal: &Path) -> Result<Vec<Room>, PolicyError> {
    let history = History::open(journal, policy)?.finish()?;
    let Some(now) = history.last else {
        return Ok(Vec::new());
    };
    let rooms = history.supposed().state().room(now);
    rooms.map_err(|error| PolicyError::Evaluate(EvaluateError::Charges(error)))
}

/// What a limit holds, the fullest group first.
fn holds(policy: &Policy, limit: &Statement<Limit>, held: &[Room]) -> Vec<Holds> {
    let mut of_limit: Vec<&Room> = held
        .iter()
        .filter(|room| room.limit == limit.name && !room.used.is_zero())
        .collect();
    of_limit.sort_by(|one, other| (&other.used, &one.group).cmp(&(&one.used, &other.group)));
    let holds = of_limit.into_iter().map(|room| {
        let left = room.cap.checked_sub(room.used).unwrap_or(Amount::ZERO);
        let groups = room.group.iter();
        let groups: String = groups
            .map(|(group, which)| format!(", {group} {which}"))
            .collect();
        let (used, left_words) = (
            words::measured(policy, limit, room.used),
            words::measured(policy, limit, left),
        );
        Holds {
            group: room.group.clone(),
            used: room.used,
            room: left,
            text: format!("{left_words} left, {used} signed{groups}"),
        }
    });
    holds.collect()
}

/// The room of each limit.
pub fn starts(policy: &Policy, held: &[Room]) -> Vec<Start> {
    let mut starts: Vec<Start> = policy
        .limits
        .iter()
        .map(|limit| {
            let within = match limit.says.outstanding {
                true => "outstanding, of",
                false => "in",
            };
            let mut text = format!(
                "{} {within} {}",
                words::measured(policy, limit, limit.says.cap),
                words::length(limit.says.window_millis)
            );
            if !limit.says.group.is_empty() {
                text.push_str(&format!(", for each {}", words::groups(&limit.says.group)));
            }
            if let Some(over) = &limit.says.over {
                text.push_str(&format!("; more with {}", words::need(over)));
            }
            let holds = holds(policy, limit, held);
            let alone = holds.first().filter(|holds| holds.group.is_empty());
            Start {
                limit: limit.name.clone(),
                room: alone.map_or(limit.says.cap, |holds| holds.room),
                held: holds,
                window_millis: limit.says.window_millis,
                group: limit.says.group.clone(),
                text,
            }
        })
        .collect();
    starts.sort_by(|one, other| one.limit.cmp(&other.limit));
    starts
}

/// The line that a diagnostic is about, with a caret under the place.
fn pointed_at(diagnostic: &Diagnostic, files: &BTreeMap<String, Vec<u8>>) -> Option<String> {
    let text = std::str::from_utf8(files.get(&diagnostic.file)?).ok()?;
    let number = usize::try_from(diagnostic.line).ok()?.checked_sub(1)?;
    let before = usize::try_from(diagnostic.column).ok()?.checked_sub(1)?;
    let line = text.lines().nth(number)?;
    if line.chars().count() > SHOWN_MAX_CHARS {
        return None;
    }
    // A file may hold what a terminal obeys.
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    let line: String = line.chars().map(plain).collect();
    let number = diagnostic.line.to_string();
    let (margin, indent) = (" ".repeat(number.len()), " ".repeat(before));
    Some(format!("  {number} | {line}\n  {margin} | {indent}^\n"))
}

/// How many there are of one severity.
pub fn count(diagnostics: &[Diagnostic], severity: Severity) -> usize {
    let alike = diagnostics.iter().filter(|one| one.severity == severity);
    alike.count()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (diagnostic, line) in self.diagnostics.iter().zip(&self.lines) {
            let hint = None;
            let message = diagnostic.clone();
            writeln!(f, "{}", Diagnostic { hint, ..message })?;
            f.write_str(line.as_deref().unwrap_or_default())?;
            if let Some(hint) = &diagnostic.hint {
                writeln!(f, "  help: {hint}")?;
            }
        }
        if !self.room.is_empty() {
            writeln!(f, "room that each limit starts with:")?;
        }
        let lengths = self.room.iter().map(|start| start.limit.as_str().len());
        let width = lengths.max().unwrap_or(0);
        for Start {
            limit, text, held, ..
        } in &self.room
        {
            writeln!(f, "  {:width$}  {text}", limit.as_str())?;
            for Holds { text, .. } in held.iter().take(GROUPS_MAX) {
                writeln!(f, "  {:width$}    {text}", "")?;
            }
            if let Some(more) = held.len().checked_sub(GROUPS_MAX).filter(|more| *more > 0) {
                writeln!(f, "  {:width$}    and {more} groups more", "")?;
            }
        }
        writeln!(f, "{} errors, {} warnings", self.errors, self.warnings)
    }
}
