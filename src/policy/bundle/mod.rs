//! The bundle: its files, manifest, signatures and diagnostics.
//!
//! A bundle is a folder: `manifest` and `manifest.sig`, any number of `*.toml`, `books/*.txt` and
//! `roots/*.pem`. Which file a table stands in, and in which order, means nothing. The caller reads
//! the folder; everything here works on a map from path to bytes.

mod accounts;
mod attesters;
mod auditor;
mod books;
mod check;
mod devices;
mod diagnostic;
mod document;
mod draft;
mod functions;
mod groups;
mod heartbeat;
mod hours;
mod load;
mod manifest;
mod names;
mod people;
mod quantity;
mod recovery;
mod sections;
mod selector;
mod statements;
mod table;
mod units;
mod witnesses;

use std::collections::BTreeMap;

pub(crate) use self::{check::covers_as_written, units::decimal};
use self::{
    diagnostic::{Place, Report},
    document::Document,
    draft::Draft,
    sections::Sections,
};
use crate::Policy;

pub use self::{
    auditor::{AuditorKey, AuditorKeyError},
    diagnostic::{Diagnostic, Severity},
    hours::{HoursError, ZoneName, zone_table, zones_named},
    load::{LoadError, Trust, VerifiedBundle, load},
    manifest::{Manifest, ManifestError, sign},
    quantity::{QuantityError, fee_rate, length_millis},
};

/// The file that lists all others.
pub const MANIFEST: &str = "manifest";

/// The file with the signatures over the manifest.
pub const SIGNATURES: &str = "manifest.sig";

/// The most files a bundle has.
pub const FILES_MAX: usize = 1024;

/// What a bundle's files say, whole and checked; who signed them is asked of [`load`].
#[derive(Clone, Debug)]
pub struct Bundle {
    policy: Policy,
    warnings: Vec<Diagnostic>,
}

impl Bundle {
    /// What it declares to be called.
    pub fn functions(&self) -> &tx::evm::Functions {
        &self.policy.functions
    }

    /// The policy, as the manifest of that sequence and fleet makes it.
    pub fn under(self, manifest: &Manifest) -> Policy {
        Policy {
            hash: manifest.hash(),
            fleet: manifest.fleet.clone(),
            sequence: manifest.sequence,
            ..self.policy
        }
    }

    /// What the files say, whoever the bundle is for: without a manifest it governs nothing.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What is suspicious and does not keep it from being loaded.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }
}

/// The most bytes a file at `path` has; `None` for a path that no bundle has.
pub fn byte_limit(path: &str) -> Option<usize> {
    const MIB: usize = 1024 * 1024;
    match path.split_once('/') {
        None if path == MANIFEST => Some(MIB),
        None if path == SIGNATURES => Some(crate::statement::Signatures::BYTES_MAX),
        None => is_file(path, ".toml").then_some(MIB),
        // A million addresses with a word about each.
        Some(("books", name)) => is_file(name, ".txt").then_some(128 * MIB),
        Some(("roots", name)) => is_file(name, ".pem").then_some(MIB),
        Some(_) => None,
    }
}

fn is_file(name: &str, ending: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    let stem = name.strip_suffix(ending).unwrap_or_default();
    (1..=64).contains(&stem.len()) && !stem.starts_with('.') && stem.bytes().all(plain)
}

/// Reads and checks the files of a bundle. Pure: the same files in any order of tables give the
/// same policy.
///
/// # Errors
/// All that is wrong, with warnings, sorted by place.
pub fn parse(files: &BTreeMap<String, Vec<u8>>) -> Result<Bundle, Vec<Diagnostic>> {
    let report = Report::default();
    bounds(files, &report);
    if report.has_errors() {
        return Err(report.into_sorted());
    }
    let documents = documents(files, &report);
    let parsed: Vec<_> = documents.iter().map(|one| one.parse(&report)).collect();
    let mut sections = Sections::default();
    for (document, root) in documents.iter().zip(&parsed) {
        sections.add(document, &report, root);
    }
    let mut draft = Draft::new();
    read(sections, files, &mut draft, &report);
    if !report.has_errors() {
        check::check(&draft.policy, &draft.places, &report);
    }
    if report.has_errors() {
        return Err(report.into_sorted());
    }
    Ok(Bundle {
        policy: draft.policy,
        warnings: report.into_sorted(),
    })
}

fn bounds(files: &BTreeMap<String, Vec<u8>>, report: &Report) {
    let error = |path: &str, message: String| {
        report.add(Diagnostic::error(Place::file(path), message));
    };
    if files.len() > FILES_MAX {
        error(
            MANIFEST,
            format!("the bundle has more than {FILES_MAX} files"),
        );
    }
    for (path, bytes) in files {
        match byte_limit(path) {
            Some(limit) if bytes.len() <= limit => {}
            Some(limit) => error(path, format!("the file is larger than {limit} bytes")),
            None => error(
                path,
                "is no file of a bundle: those are *.toml, books/*.txt and roots/*.pem".into(),
            ),
        }
    }
}

fn documents<'a>(files: &'a BTreeMap<String, Vec<u8>>, report: &Report) -> Vec<Document<'a>> {
    let tables = files.iter().filter(|(path, _)| path.ends_with(".toml"));
    tables
        .filter_map(|(path, bytes)| Some(Document::new(path, utf8(path, bytes, report)?)))
        .collect()
}

/// The file's text; the line of the first byte that is none is reported.
fn utf8<'a>(path: &str, bytes: &'a [u8], report: &Report) -> Option<&'a str> {
    std::str::from_utf8(bytes)
        .map_err(|error| {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let good = std::str::from_utf8(good).unwrap_or_default();
            let place = Document::new(path, good).place(good.len());
            report.add(Diagnostic::error(place, "the text is not UTF-8"));
        })
        .ok()
}

/// Reads the tables in the order in which they name one another.
fn read(
    mut sections: Sections<'_>,
    files: &BTreeMap<String, Vec<u8>>,
    draft: &mut Draft,
    report: &Report,
) {
    accounts::chains(sections.take("chain"), draft);
    accounts::assets(sections.take("asset"), draft);
    accounts::accounts(sections.take("account"), draft);
    accounts::sequences(sections.take("sequence"), draft, report);
    accounts::edges(sections.take("edge"), draft);
    if let Some(table) = sections.take_approval_page() {
        people::approval_page(table, draft);
    }
    people::people(sections.take("person"), draft);
    groups::groups(sections.take("group"), draft);
    if let Some(table) = sections.take_governance(report) {
        people::governance(table, draft);
    }
    if let Some(table) = sections.take_heartbeat() {
        heartbeat::heartbeat(table, draft);
    }
    if let Some(table) = sections.take_recovery() {
        recovery::recovery(table, draft);
    }
    if let Some(table) = sections.take_witnesses() {
        witnesses::witnesses(table, draft);
    }
    if let Some(table) = sections.take_devices() {
        devices::devices(table, draft);
    }
    people::clients(sections.take("client"), draft);
    people::sources(sections.take("source"), draft);
    books::books(sections.take("book"), files, draft, report);
    books::roots(files, draft, report);
    hours::hours(sections.take("hours"), sections.take("zone"), draft);
    attesters::attesters(sections.take("attester"), draft);
    attesters::prices(sections.take_attested(), sections.take("price"), draft);
    functions::functions(sections.take("function"), draft);
    statements::read(&mut sections, draft);
}
