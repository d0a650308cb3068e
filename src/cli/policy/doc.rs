//! `strongroom policy doc`: a bundle as one page for who has to judge it and does not write it.
//!
//! The page hangs on nothing but the bundle: the same bundle is the same bytes.

mod impossible;
mod parties;
mod render;
mod sentences;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use policy::{Policy, Statement};
use serde::Serialize;
use tx::Name;

use super::error::PolicyError;
use super::offline;
use crate::failure::Failure;
use crate::files::{self, Access};
use crate::output::Answer;

/// `strongroom policy doc`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The bundle's folder.
    folder: PathBuf,
    /// In which form.
    #[arg(long, default_value = "markdown")]
    form: Form,
    /// The file to write; it must not exist [default: stdout].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The fleet, where the bundle has no manifest yet.
    #[arg(long, default_value = "unsigned")]
    fleet: Name,
}

/// The form of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// Text that renders as a page, and reads as it is.
    Markdown,
    /// One file to read and print: no script, nothing from elsewhere.
    Html,
}

/// A page.
struct Page {
    title: String,
    sections: Vec<Section>,
}

/// A part of it.
struct Section {
    title: &'static str,
    blocks: Vec<Block>,
}

/// Text in which what is taken from the bundle stands in backticks.
#[derive(Debug, PartialEq, Eq)]
enum Block {
    Text(String),
    List(Vec<String>),
}

/// What was made.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<String>,
}

/// Writes the page.
///
/// # Errors
/// [`PolicyError`].
pub fn run(args: &Args) -> Result<Answer, Failure> {
    let policy = offline::policy(&args.folder, &args.fleet)?;
    let page = match args.form {
        Form::Markdown => render::markdown(&page(&policy)),
        Form::Html => render::html(&page(&policy)),
    };
    let report = match &args.out {
        None => Report {
            file: None,
            page: Some(page),
        },
        Some(path) => {
            let created = files::create(path, page.as_bytes(), Access::Public);
            created.map_err(PolicyError::File)?;
            Report {
                file: Some(path.clone()),
                page: None,
            }
        }
    };
    Answer::done(&report)
}

fn page(policy: &Policy) -> Page {
    let mut sections = parties::sections(policy);
    let each = |section| sections.push(section);
    [
        statements(
            "What may happen",
            "What no statement here covers is refused. Change to the account that it came from, and the \
             cancellation of a nonce, need none.",
            &policy.allows,
            |allow| sentences::allow(policy, allow),
        ),
        statements(
            "What is refused, whatever allows it",
            "",
            &policy.denies,
            |deny| sentences::deny(policy, deny),
        ),
        statements(
            "What waits for people",
            "Every one that speaks about an effect must be met. Nobody agrees for two.",
            &policy.requires,
            |require| sentences::require(policy, require),
        ),
        statements(
            "What waits for attesters",
            "Every one that speaks about an effect must be met, and no people stand in for it.",
            &policy.requires_attested,
            |require| sentences::require_attested(policy, require),
        ),
        statements(
            "How much",
            "Every limit that speaks about an effect must have room. Of transactions that can replace one \
             another the most expensive one counts, from the moment it is authorised, sent or not; nothing \
             is refunded, and no other bundle forgets what was spent.",
            &policy.limits,
            |limit| sentences::limit(policy, limit),
        ),
        statements(
            "What may happen under a freeze",
            "Whatever is frozen is refused but for this, and this needs to be allowed as well.",
            &policy.evacuates,
            |evacuate| sentences::evacuate(policy, evacuate),
        ),
        impossible::section(policy),
    ]
    .into_iter()
    .for_each(each);
    Page {
        title: format!("The policy of fleet {}", policy.fleet),
        sections,
    }
}

/// The statements of a kind by name: where they stand means nothing.
fn statements<K>(
    title: &'static str,
    about: &str,
    all: &[Statement<K>],
    sentence: impl Fn(&Statement<K>) -> String,
) -> Section {
    let mut sorted: Vec<&Statement<K>> = all.iter().collect();
    sorted.sort_by(|one, other| one.name.cmp(&other.name));
    let lines = sorted.into_iter().map(|statement| {
        let (name, at) = (statement.name.as_str(), &statement.at);
        let place = code(&format!("{}:{}", at.file, at.line));
        format!("{}: {} ({place})", code(name), sentence(statement))
    });
    Section::listing(title, about, lines.collect())
}

impl Section {
    /// A text, and a list of what there is.
    fn listing(title: &'static str, about: &str, lines: Vec<String>) -> Self {
        let mut blocks = Vec::new();
        if !about.is_empty() {
            blocks.push(Block::Text(about.to_owned()));
        }
        blocks.push(match lines.is_empty() {
            true => Block::Text("There is none.".to_owned()),
            false => Block::List(lines),
        });
        Self { title, blocks }
    }
}

/// What stands in the bundle, as it stands there.
fn code(text: &str) -> String {
    // Nothing in a bundle needs a backtick, and one would end the quotation.
    format!("`{}`", text.replace('`', "'"))
}

/// `a`, `b` and `c`.
fn listed(items: impl IntoIterator<Item = String>, last: &str) -> String {
    let items: Vec<String> = items.into_iter().collect();
    match items.split_last() {
        None => "nothing".to_owned(),
        Some((only, [])) => only.clone(),
        Some((end, before)) => format!("{} {last} {end}", before.join(", ")),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.page, &self.file) {
            (Some(page), _) => f.write_str(page),
            (None, Some(file)) => writeln!(f, "{}", file.display()),
            (None, None) => Ok(()),
        }
    }
}
