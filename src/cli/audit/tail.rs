//! The newest entries.

use std::fmt;
use std::io::Write;
use std::time::Duration;

use api::journal::{BODIES_PER_PAGE_MAX, BodiesAnswer, JournalBody};
use serde::Serialize;

use super::error::AuditError;
use super::show::Shown;
use crate::client::Signer;
use crate::output::Format;

/// How often is asked for what is new.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long to wait for witnesses before asking again, and how often.
const UNTOLD_PAUSE: Duration = Duration::from_millis(250);
const UNTOLD_MAX: usize = 40;

/// The answer of `audit tail`: an entry a line.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Tail {
    entries: Vec<Shown>,
}

/// One entry.
///
/// # Errors
/// [`AuditError::NoEntry`] when no checkpoint covers it.
pub fn entry(signer: &Signer, wanted: u64) -> Result<JournalBody, AuditError> {
    // The signer makes a checkpoint soon; there is nothing to wait for where none is made at all.
    let _newer = signer.checkpoint(Some(wanted))?;
    let page = page(signer, wanted, 1)?;
    let first = page.bodies.into_iter().next();
    first
        .filter(|body| body.entry == wanted)
        .ok_or(AuditError::NoEntry { entry: wanted })
}

/// Entries that a checkpoint covers. The signer tells of them once its witnesses have cosigned one, which
/// may be a moment later.
///
/// # Errors
/// [`AuditError::Answer`] when they do not.
pub fn page(signer: &Signer, from: u64, count: usize) -> Result<BodiesAnswer, AuditError> {
    for _ in 0..UNTOLD_MAX {
        let page = signer.bodies(from, count)?;
        if !page.bodies.is_empty() {
            return Ok(page);
        }
        signer.pause(UNTOLD_PAUSE);
    }
    let reason = format!("entry {from} is not told yet: too few witnesses have cosigned it");
    Err(AuditError::Answer { reason })
}

/// The newest entries; when followed, every one is shown as it comes, until the process is stopped.
///
/// # Errors
/// [`AuditError`].
pub fn tail(signer: &Signer, lines: u64, follow: Option<Format>) -> Result<Tail, AuditError> {
    let covered = signer.bodies(u64::MAX, 1)?.covered;
    let mut next = covered.saturating_sub(lines);
    let mut entries = Vec::new();
    loop {
        let page = signer.bodies(next, BODIES_PER_PAGE_MAX)?;
        if page.bodies.is_empty() && next < page.covered {
            let reason = "it has more entries and tells none".to_owned();
            return Err(AuditError::Answer { reason });
        }
        for body in page.bodies {
            if body.entry != next {
                let reason = format!("entry {next} was asked for and {} told", body.entry);
                return Err(AuditError::Answer { reason });
            }
            next = next.saturating_add(1);
            let shown = Shown::of(body)?;
            match follow {
                Some(format) if !print(format, &shown) => return Ok(Tail { entries }),
                Some(_) => {}
                None => entries.push(shown),
            }
        }
        if next < page.covered {
            continue;
        }
        if follow.is_none() {
            return Ok(Tail { entries });
        }
        signer.pause(INTERVAL);
    }
}

/// Whether somebody still reads.
fn print(format: Format, shown: &Shown) -> bool {
    let line = match format {
        Format::Text => shown.line(),
        Format::Json => serde_json::to_string(shown).unwrap_or_default(),
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.entries.iter().map(Shown::line);
        lines.try_for_each(|line| writeln!(f, "{line}"))
    }
}
