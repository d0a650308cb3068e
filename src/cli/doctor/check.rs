//! What a check found, and the whole of them.

use std::fmt;

use serde::Serialize;

use crate::client::plain;

/// What one check found.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    name: &'static str,
    status: Status,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Status {
    Ok,
    Warn,
    Fail,
}

impl Check {
    /// It holds.
    pub(super) fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, detail.into(), None)
    }

    /// It holds, but not for long, or it cannot be told.
    pub(super) fn warn(
        name: &'static str,
        detail: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::new(name, Status::Warn, detail.into(), Some(next.into()))
    }

    /// It does not hold.
    pub(super) fn fail(
        name: &'static str,
        detail: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self::new(name, Status::Fail, detail.into(), Some(next.into()))
    }

    fn new(name: &'static str, status: Status, detail: String, next: Option<String>) -> Self {
        // Much of it is quoted from files and devices.
        Self {
            name,
            status,
            detail: plain(&detail),
            next: next.map(|next| plain(&next)),
        }
    }
}

/// An error with all its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The answer of `doctor`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    checks: Vec<Check>,
}

impl Report {
    pub(super) fn add(&mut self, checks: Vec<Check>) {
        self.checks.extend(checks);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.count(Status::Fail) > 0
    }

    fn count(&self, status: Status) -> usize {
        self.checks
            .iter()
            .filter(|check| check.status == status)
            .count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check {
            name,
            status,
            detail,
            next,
        } in &self.checks
        {
            let status = match status {
                Status::Ok => "ok",
                Status::Warn => "warn",
                Status::Fail => "FAIL",
            };
            let detail = detail.replace('\n', "\n                           ");
            writeln!(f, "{status:<5} {name:<20} {detail}")?;
            if let Some(next) = next {
                writeln!(f, "{:27}next: {next}", "")?;
            }
        }
        let (warned, failed) = (self.count(Status::Warn), self.count(Status::Fail));
        writeln!(
            f,
            "{} checks, {warned} warnings, {failed} failed",
            self.checks.len()
        )
    }
}
