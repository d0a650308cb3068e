//! `strongroom policy check`.

use std::fmt;
use std::path::Path;

use policy::bundle::{self, Diagnostic, Severity};
use serde::Serialize;

use super::folder;
use crate::failure::Failure;
use crate::output::Answer;

/// All that is to be said of a bundle.
#[derive(Debug, Serialize)]
struct Report {
    errors: usize,
    warnings: usize,
    diagnostics: Vec<Diagnostic>,
}

/// Checks the bundle in a folder. Its signatures are not looked at.
///
/// # Errors
/// When the folder cannot be read.
pub fn run(folder: &Path) -> Result<Answer, Failure> {
    let diagnostics = match bundle::parse(&folder::read(folder)?) {
        Ok(bundle) => bundle.warnings().to_vec(),
        Err(found) => found,
    };
    let report = Report::of(diagnostics);
    if report.errors > 0 {
        Answer::refused(&report)
    } else {
        Answer::done(&report)
    }
}

impl Report {
    fn of(diagnostics: Vec<Diagnostic>) -> Self {
        let errors = count(&diagnostics, Severity::Error);
        Self {
            errors,
            warnings: count(&diagnostics, Severity::Warning),
            diagnostics,
        }
    }
}

/// How many there are of one severity.
pub fn count(diagnostics: &[Diagnostic], severity: Severity) -> usize {
    let alike = diagnostics.iter().filter(|one| one.severity == severity);
    alike.count()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.diagnostics {
            writeln!(f, "{diagnostic}")?;
        }
        writeln!(f, "{} errors, {} warnings", self.errors, self.warnings)
    }
}
