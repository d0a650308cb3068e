//! `strongroom policy check`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use policy::bundle::{self, Diagnostic, Severity};
use serde::Serialize;

use super::folder;
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
    /// The lines they are about, each with a caret, for people.
    #[serde(skip)]
    lines: Vec<Option<String>>,
}

/// Checks the bundle in a folder. Its signatures are not looked at.
///
/// # Errors
/// When the folder cannot be read.
pub fn run(folder: &Path) -> Result<Answer, Failure> {
    let files = folder::read(folder)?;
    let diagnostics = match bundle::parse(&files) {
        Ok(bundle) => bundle.warnings().to_vec(),
        Err(found) => found,
    };
    let report = Report::of(diagnostics, &files);
    if report.errors > 0 {
        Answer::refused(&report)
    } else {
        Answer::done(&report)
    }
}

impl Report {
    fn of(diagnostics: Vec<Diagnostic>, files: &BTreeMap<String, Vec<u8>>) -> Self {
        let lines = diagnostics.iter().map(|one| pointed_at(one, files));
        let lines = lines.collect();
        let errors = count(&diagnostics, Severity::Error);
        Self {
            errors,
            warnings: count(&diagnostics, Severity::Warning),
            diagnostics,
            lines,
        }
    }
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
        writeln!(f, "{} errors, {} warnings", self.errors, self.warnings)
    }
}
