//! Reading tables key by key: every error stands at its value, every unknown key is one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    ops::Range,
    str::FromStr,
};

use serde::de::{DeserializeOwned, IntoDeserializer, value::StrDeserializer};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use tx::Name;

use super::{
    diagnostic::{Diagnostic, Place, Report},
    document::Document,
    names::{Clash, Taken},
};
use crate::statement::canonical;

/// What is being read, for messages: `limit "eth-day"`.
#[derive(Clone, Debug)]
struct Subject<'d> {
    document: &'d Document<'d>,
    report: &'d Report,
    title: String,
}

/// One table. Keys are taken out as they are read; [`Table::finish`] reports the rest.
#[derive(Debug)]
pub(super) struct Table<'d> {
    subject: Subject<'d>,
    kind: &'d str,
    span: Range<usize>,
    fields: BTreeMap<&'d str, (Range<usize>, &'d Spanned<DeValue<'d>>)>,
    known: BTreeSet<&'static str>,
}

/// One value, with the key it stands under.
#[derive(Clone, Debug)]
pub(super) struct Value<'d> {
    subject: Subject<'d>,
    key: &'d str,
    node: &'d Spanned<DeValue<'d>>,
}

impl<'d> Table<'d> {
    pub fn new(
        document: &'d Document<'d>,
        report: &'d Report,
        kind: &'d str,
        (span, table): (Range<usize>, &'d DeTable<'d>),
    ) -> Self {
        let title = kind.to_owned();
        let fields = table
            .iter()
            .map(|(key, value)| (key.get_ref().as_ref(), (key.span(), value)));
        Self {
            subject: Subject {
                document,
                report,
                title,
            },
            kind,
            span,
            fields: fields.collect(),
            known: BTreeSet::new(),
        }
    }

    /// Where the table begins.
    pub fn place(&self) -> Place {
        self.subject.document.place(self.span.start)
    }

    /// The value of a key that need not be there.
    pub fn optional(&mut self, key: &'static str) -> Option<Value<'d>> {
        self.known.insert(key);
        let (_, node) = self.fields.remove(key)?;
        Some(Value {
            subject: self.subject.clone(),
            key,
            node,
        })
    }

    /// All that is left, by its keys.
    pub fn entries(self) -> Vec<(&'d str, Value<'d>)> {
        let subject = self.subject;
        let entries = self.fields.into_iter().map(|(key, (_, node))| {
            let subject = subject.clone();
            (key, Value { subject, key, node })
        });
        entries.collect()
    }

    /// The value of a key that must be there.
    pub fn required(&mut self, key: &'static str) -> Option<Value<'d>> {
        let value = self.optional(key);
        if value.is_none() {
            self.error(format!("{key} is missing"));
        }
        value
    }

    /// Reads `name`, by which messages call the table from now on.
    pub fn name(&mut self) -> Option<Name> {
        let value = self.required("name")?;
        let text = value.text()?;
        self.subject.title = format!("{} {text:?}", self.kind);
        value.parsed()
    }

    /// As [`Table::name`]; a name that is taken, or looks like one that is, is an error.
    pub fn new_name(&mut self, taken: &mut Taken) -> Option<Name> {
        let name = self.name()?;
        match taken.take(&name, self.place()) {
            Ok(()) => return Some(name),
            Err(Clash::Same(first)) => self.error(format!("the name is taken at {first}")),
            Err(Clash::Alike(other, first)) => self.error_hint(
                format!("the name looks like {:?} at {first}", other.as_str()),
                "give it one that nobody could mistake for the other",
            ),
        }
        None
    }

    /// Reports something about the table as a whole.
    pub fn error(&self, message: impl Display) {
        let message = format!("{}: {message}", self.subject.title);
        let report = self.subject.report;
        report.add(Diagnostic::error(self.place(), message));
    }

    /// As [`Table::error`], with what to do about it.
    pub fn error_hint(&self, message: impl Display, hint: impl Into<String>) {
        let message = format!("{}: {message}", self.subject.title);
        let report = self.subject.report;
        report.add(Diagnostic::error(self.place(), message).hint(hint));
    }

    /// As [`Table::error`], for what is suspicious only.
    pub fn warn(&self, message: impl Display) {
        let message = format!("{}: {message}", self.subject.title);
        let report = self.subject.report;
        report.add(Diagnostic::warning(self.place(), message));
    }

    /// Reports every key that was not asked for.
    pub fn finish(self) {
        for (key, (span, _)) in &self.fields {
            let place = self.subject.document.place(span.start);
            let message = format!("{}: unknown key {key:?}", self.subject.title);
            let hint = suggestion(key, self.known.iter().copied());
            let report = self.subject.report;
            report.add(Diagnostic::error(place, message).key(key).hint(hint));
        }
    }
}

impl<'d> Value<'d> {
    /// Reports something about the value.
    pub fn error(&self, message: impl Display) {
        self.subject.report.add(self.diagnostic(message));
    }

    /// As [`Value::error`], with what to do about it.
    pub fn error_hint(&self, message: impl Display, hint: impl Into<String>) {
        self.subject.report.add(self.diagnostic(message).hint(hint));
    }

    /// Reports something suspicious about the value.
    pub fn warn(&self, message: impl Display) {
        let place = self.subject.document.place(self.node.span().start);
        let message = format!("{}: {}: {message}", self.subject.title, self.key);
        let report = self.subject.report;
        report.add(Diagnostic::warning(place, message).key(self.key));
    }

    fn diagnostic(&self, message: impl Display) -> Diagnostic {
        let place = self.subject.document.place(self.node.span().start);
        let message = format!("{}: {}: {message}", self.subject.title, self.key);
        Diagnostic::error(place, message).key(self.key)
    }

    /// A string.
    pub fn text(&self) -> Option<&'d str> {
        let text = self.node.get_ref().as_str();
        if text.is_none() {
            self.error("must be a text in quotes");
        }
        text
    }

    /// A string in its type's one spelling.
    pub fn parsed<T: FromStr<Err: Display>>(&self) -> Option<T> {
        self.text()?.parse().map_err(|error| self.error(error)).ok()
    }

    /// One of a closed list of words, which are those that serde writes.
    pub fn word<T: DeserializeOwned>(&self) -> Option<T> {
        self.word_in(self.text()?)
    }

    /// As [`Value::word`], for a word that is only a part of the text.
    pub fn word_in<T: DeserializeOwned>(&self, word: &str) -> Option<T> {
        let word: StrDeserializer<'_, serde::de::value::Error> = word.into_deserializer();
        T::deserialize(word).map_err(|error| self.error(error)).ok()
    }

    /// `true` or `false`.
    pub fn truth(&self) -> Option<bool> {
        let truth = self.node.get_ref().as_bool();
        if truth.is_none() {
            self.error("must be true or false, without quotes");
        }
        truth
    }

    /// A whole number in plain decimal: no sign, underscore or other base.
    pub fn number<T: FromStr + Display>(&self) -> Option<T> {
        let raw = self.subject.document.raw(self.node.span());
        let number = self.node.get_ref().as_integer();
        let value = number.and_then(|_| canonical(raw));
        if value.is_none() {
            self.error("must be a plain whole number within range, without quotes");
        }
        value
    }

    /// A string as `read` understands it.
    pub fn map<T, E: Display>(&self, read: impl FnOnce(&'d str) -> Result<T, E>) -> Option<T> {
        read(self.text()?).map_err(|error| self.error(error)).ok()
    }

    /// One value, or a list of values without repetition. What could not be read was reported and
    /// is left out, so that an empty set comes with an error.
    pub fn each<T: Ord>(&self, mut read: impl FnMut(&Self) -> Option<T>) -> BTreeSet<T> {
        let Some(list) = self.node.get_ref().as_array() else {
            return read(self).into_iter().collect();
        };
        if list.is_empty() {
            self.error("an empty list matches nothing; leave the key out or name something");
        }
        let mut all = BTreeSet::new();
        for node in list {
            let item = Value {
                node,
                ..self.clone()
            };
            if let Some(value) = read(&item)
                && !all.insert(value)
            {
                item.error("stands in the list twice");
            }
        }
        all
    }

    /// A name that must be among those declared.
    pub fn known<'n>(
        &self,
        what: &str,
        declared: impl Iterator<Item = &'n Name> + Clone,
    ) -> Option<Name> {
        self.parsed()
            .filter(|name| self.check_known(what, name, declared))
    }

    /// As [`Value::known`], of a part of the text, such as what follows `book:`.
    pub fn named<'n>(
        &self,
        what: &str,
        which: &str,
        declared: impl Iterator<Item = &'n Name> + Clone,
    ) -> Option<Name> {
        let name = self.map(|_| which.parse::<Name>())?;
        self.check_known(what, &name, declared).then_some(name)
    }

    /// Whether the name is among those declared; reported if it is not.
    fn check_known<'n>(
        &self,
        what: &str,
        name: &Name,
        declared: impl Iterator<Item = &'n Name> + Clone,
    ) -> bool {
        let found = declared.clone().any(|known| known == name);
        if !found {
            let hint = suggestion(name.as_str(), declared.map(Name::as_str));
            self.error_hint(format!("no {what} is called {:?}", name.as_str()), hint);
        }
        found
    }

    /// Whether it is a table.
    pub fn is_table(&self) -> bool {
        self.node.get_ref().as_table().is_some()
    }

    /// Whether it is a table with this key.
    pub fn has(&self, key: &str) -> bool {
        let table = self.node.get_ref().as_table();
        table.is_some_and(|table| table.iter().any(|(known, _)| known.get_ref() == key))
    }

    /// A table within the table.
    pub fn table(&self) -> Option<Table<'d>> {
        let Some(table) = self.node.get_ref().as_table() else {
            self.error("must be a table, such as { threshold = 2, people = [\"ann\", \"bob\"] }");
            return None;
        };
        let Subject {
            document, report, ..
        } = self.subject;
        let mut inner = Table::new(document, report, self.key, (self.node.span(), table));
        inner.subject.title = format!("{}: {}", self.subject.title, self.key);
        Some(inner)
    }
}

/// Names what may have been meant: the nearest of what there is, or all of it.
pub(super) fn suggestion<'n>(text: &str, known: impl Iterator<Item = &'n str>) -> String {
    let known: Vec<&str> = known.collect();
    let distances = known.iter().map(|other| (distance(text, other), *other));
    match distances.min() {
        None => "there is none".into(),
        Some((0..=2, nearest)) => format!("did you mean {nearest:?}?"),
        Some(_) if known.len() <= 16 => format!("there is {}", known.join(", ")),
        Some(_) => format!("there are {}, none like it", known.len()),
    }
}

/// Levenshtein's distance, up to 3.
fn distance(one: &str, other: &str) -> usize {
    if one.len().abs_diff(other.len()) > 2 {
        return 3;
    }
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut next = vec![i.saturating_add(1)];
        for ((b, diagonal), above) in other.chars().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or_default();
            let insert = left.min(*above).saturating_add(1);
            next.push(insert.min(diagonal.saturating_add(usize::from(a != b))));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default().min(3)
}
