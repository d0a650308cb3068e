//! `strongroom policy check`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use policy::bundle::{self, Diagnostic, Severity};
use policy::{Group, Policy};
use serde::Serialize;
use tx::{Amount, Name};

use super::{folder, words};
use crate::failure::Failure;
use crate::output::Answer;

/// The longest line that is shown: what is longer is a key or a list, which a caret does not make clearer.
const SHOWN_MAX_CHARS: usize = 160;

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

/// The room that a limit starts with, of a signer that has signed nothing yet.
#[derive(Debug, Serialize)]
struct Start {
    limit: Name,
    /// In base units or effects.
    room: Amount,
    window_millis: u64,
    /// What has so much room each.
    group: BTreeSet<Group>,
    #[serde(skip)]
    text: String,
}

/// Checks the bundle in a folder. Its signatures are not looked at.
///
/// # Errors
/// When the folder cannot be read.
pub fn run(folder: &Path) -> Result<Answer, Failure> {
    let files = folder::read(folder)?;
    let (diagnostics, room) = match bundle::parse(&files) {
        Ok(bundle) => {
            let warnings = bundle.warnings().to_vec();
            (warnings, starts(bundle.policy()))
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

/// The room of each limit.
fn starts(policy: &Policy) -> Vec<Start> {
    let mut starts: Vec<Start> = policy
        .limits
        .iter()
        .map(|limit| {
            let held = match limit.says.outstanding {
                true => "outstanding, of",
                false => "in",
            };
            let mut text = format!(
                "{} {held} {}",
                words::measured(policy, limit, limit.says.cap),
                words::length(limit.says.window_millis)
            );
            if !limit.says.group.is_empty() {
                text.push_str(&format!(", for each {}", words::groups(&limit.says.group)));
            }
            if let Some(over) = &limit.says.over {
                text.push_str(&format!("; more with {}", words::need(over)));
            }
            Start {
                limit: limit.name.clone(),
                room: limit.says.cap,
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
        for Start { limit, text, .. } in &self.room {
            writeln!(f, "  {:width$}  {text}", limit.as_str())?;
        }
        writeln!(f, "{} errors, {} warnings", self.errors, self.warnings)
    }
}
