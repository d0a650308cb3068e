//! One TOML file: its tables, with the place of everything in it.

use std::ops::Range;

use toml::{Spanned, de::DeTable};

use super::diagnostic::{Diagnostic, Place, Report};

/// A file's text, and where its lines begin.
#[derive(Debug)]
pub(super) struct Document<'a> {
    file: &'a str,
    text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> Document<'a> {
    pub fn new(file: &'a str, text: &'a str) -> Self {
        let after_feeds = text.match_indices('\n').map(|(at, _)| at.saturating_add(1));
        Self {
            file,
            text,
            line_starts: std::iter::once(0).chain(after_feeds).collect(),
        }
    }

    /// Where the byte at `offset` stands.
    pub fn place(&self, offset: usize) -> Place {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|at| self.line_starts.get(at));
        let before = start.and_then(|start| self.text.get(*start..offset));
        let column = before.map_or(0, |before| before.chars().count());
        Place {
            file: self.file.into(),
            line: number(line),
            column: number(column.saturating_add(1)),
        }
    }

    /// The text as it was written.
    pub fn raw(&self, span: Range<usize>) -> &'a str {
        self.text.get(span).unwrap_or_default()
    }

    /// The tables, as far as they can be read; what is no TOML is reported.
    pub fn parse(&self, report: &Report) -> Spanned<DeTable<'a>> {
        let (tables, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let place = self.place(error.span().map_or(0, |span| span.start));
            // A syntax error's text names no more than TOML's grammar; one line of it is enough.
            let message = error.message().lines().next().unwrap_or_default();
            report.add(Diagnostic::error(place, format!("not TOML: {message}")));
        }
        tables
    }
}

/// Lines and columns beyond what a file within bounds has are all one.
fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
