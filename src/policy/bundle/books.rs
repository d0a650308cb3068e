//! Books and the authorities of clients: what stands in files of its own.

use std::collections::{BTreeMap, BTreeSet};

use tx::{Address, Chain};

use super::{
    diagnostic::{Diagnostic, Place, Report},
    draft::Draft,
    names::Taken,
    people,
    table::{Table, Value},
    units,
};
use crate::{Addresses, Book, BookApart, book::ADDRESSES_MAX};

/// A book with a million wrong lines needs no million messages.
const ERRORS_MAX: usize = 20;

/// Reads `[[book]]` and the files it names.
pub(super) fn books(
    tables: Vec<Table<'_>>,
    files: &BTreeMap<String, Vec<u8>>,
    draft: &mut Draft,
    report: &Report,
) {
    let (mut taken, mut used) = (Taken::default(), BTreeSet::new());
    for mut table in tables {
        let name = table.new_name(&mut taken);
        let chain = table.required("chain").and_then(|chain| chain.parsed());
        let apart = table.optional("signers");
        let cooling = table.optional("cooling");
        let (file, list) = (table.optional("file"), table.optional("addresses"));
        let addresses = match (file, list, &apart) {
            (Some(file), None, None) => from_file(&file, chain, files, &mut used, report),
            (None, Some(list), None) => chain.map(|chain| {
                let all = list.each(|one| one.map(|text| Address::parse(chain, text)));
                all.into_iter().collect()
            }),
            (None, None, Some(_)) => None,
            _ => {
                table.error("needs one of file, addresses and signers");
                None
            }
        };
        if apart.is_none() && addresses.as_ref().is_some_and(Addresses::is_empty) {
            table.warn("the book is empty: nothing is paid to it");
        }
        if apart.is_some() != cooling.is_some() {
            table.error("signers and cooling stand together: the book is loaded apart");
        }
        let apart = apart
            .zip(cooling)
            .and_then(|said| loaded_apart(chain, &said, draft));
        if let Some(name) = name {
            let addresses = addresses.unwrap_or_default();
            draft.policy.books.insert(name, Book { addresses, apart });
        }
        table.finish();
    }
    let all = files.keys().filter(|path| path.starts_with("books/"));
    for path in all.filter(|path| !used.contains(*path)) {
        report.add(Diagnostic::error(
            Place::file(path),
            "no [[book]] names this file",
        ));
    }
}

/// Of a book that is loaded apart: who signs it, and how long it cools.
fn loaded_apart(
    chain: Option<Chain>,
    (signers, cooling): &(Value<'_>, Value<'_>),
    draft: &Draft,
) -> Option<BookApart> {
    let mut table = signers.table()?;
    let quorum = people::quorum(&mut table, "people", &draft.policy);
    table.finish();
    let cooling_millis = cooling.map(units::delay);
    let (threshold, signers) = quorum?;
    Some(BookApart {
        chain: chain?,
        threshold,
        signers,
        cooling_millis: cooling_millis?,
    })
}

fn from_file(
    value: &Value<'_>,
    chain: Option<Chain>,
    files: &BTreeMap<String, Vec<u8>>,
    used: &mut BTreeSet<String>,
    report: &Report,
) -> Option<Addresses> {
    let path = value.text()?;
    let Some(bytes) = files.get(path).filter(|_| path.starts_with("books/")) else {
        value.error_hint(
            format!("the bundle has no file {path:?}"),
            "books are files such as books/customers.txt",
        );
        return None;
    };
    used.insert(path.into());
    let text = super::utf8(path, bytes, report)?;
    addresses(path, text, chain?, report)
}

/// One address a line; what follows `#` is for people. `None` when a line is wrong.
fn addresses(path: &str, text: &str, chain: Chain, report: &Report) -> Option<Addresses> {
    let mut found = Vec::new();
    let mut errors = 0usize;
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.split('#').next().unwrap_or_default().trim();
        if text.is_empty() {
            continue;
        }
        match Address::parse(chain, text) {
            Ok(_) if found.len() >= ADDRESSES_MAX => {
                let (file, column) = (path.into(), 1);
                let place = Place { file, line, column };
                let message = format!("a book has at most {ADDRESSES_MAX} addresses");
                report.add(Diagnostic::error(place, message));
                return None;
            }
            Ok(address) => found.push(address),
            Err(error) => {
                errors = errors.saturating_add(1);
                if errors <= ERRORS_MAX {
                    let (file, column) = (path.into(), 1);
                    let place = Place { file, line, column };
                    report.add(Diagnostic::error(place, error.to_string()));
                }
            }
        }
    }
    if let Some(more) = errors.checked_sub(ERRORS_MAX).filter(|more| *more > 0) {
        let message = format!("{more} more lines are no addresses");
        report.add(Diagnostic::error(Place::file(path), message));
    }
    (errors == 0).then(|| found.into())
}

/// Reads `roots/*.pem`.
pub(super) fn roots(files: &BTreeMap<String, Vec<u8>>, draft: &mut Draft, report: &Report) {
    for (path, bytes) in files.iter().filter(|(path, _)| path.starts_with("roots/")) {
        let Some(text) = super::utf8(path, bytes, report) else {
            continue;
        };
        if text.contains("PRIVATE KEY") {
            let message = "holds a private key, which must not be in a bundle";
            report.add(Diagnostic::error(Place::file(path), message));
        } else if !text.contains("-----BEGIN CERTIFICATE-----") {
            let message = "holds no certificate in PEM";
            report.add(Diagnostic::error(Place::file(path), message));
        } else {
            draft.policy.client_roots.push(text.into());
        }
    }
    if draft.policy.client_roots.is_empty() && !draft.policy.clients.is_empty() {
        let message = "the bundle has no authority that certifies its clients";
        let hint = "put the authority's certificate into roots/, such as roots/clients.pem";
        report.add(Diagnostic::error(Place::file("roots"), message).hint(hint));
    }
}
