//! Statements and what is read from them. Every value is bound, never written into the text, and each
//! text is prepared once by a connection.

use std::borrow::Cow;

use rusqlite::{
    CachedStatement, Connection, Row, ToSql,
    types::{ToSqlOutput, ValueRef},
};

use super::error;
use crate::store::StoreError;

/// A value for a statement.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Int(i64),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
    Amount([u8; 32]),
    Null,
}

impl From<u64> for Value<'_> {
    /// Numbers and times stay below 2^63 by what they count.
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<tx::Amount> for Value<'_> {
    fn from(amount: tx::Amount) -> Self {
        Self::Amount(amount.to_be_bytes())
    }
}

impl From<tx::Time> for Value<'_> {
    fn from(time: tx::Time) -> Self {
        time.millis().into()
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::Amount(bytes) => ValueRef::Blob(bytes),
            Self::Null => ValueRef::Null,
        }))
    }
}

/// `values![a, b, c]`: the values of `$1, $2, $3`.
macro_rules! values {
    ($($value:expr),* $(,)?) => { [$($crate::store::sqlite::sql::Value::from($value)),*] };
}
pub(super) use values;

/// A thing as JSON.
pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Corrupt {
        what: "a value has no form in JSON".into(),
    })
}

/// A statement with its values: `$3` is the third, wherever it stands.
fn bound<'c>(
    conn: &'c Connection,
    text: &str,
    values: &[Value<'_>],
) -> Result<CachedStatement<'c>, StoreError> {
    let mut statement = conn.prepare_cached(text).map_err(error::of)?;
    for index in 1..=statement.parameter_count() {
        let name = statement.parameter_name(index);
        let number = name.and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok());
        let value = number.and_then(|number| values.get(number.checked_sub(1)?));
        let value = value.ok_or_else(|| error::corrupt("a statement lacks a value"))?;
        let bound = statement.raw_bind_parameter(index, value);
        bound.map_err(error::of)?;
    }
    Ok(statement)
}

/// Runs a statement; how many rows it changed.
pub(super) fn run(
    conn: &Connection,
    text: &str,
    values: &[Value<'_>],
) -> Result<usize, StoreError> {
    let mut statement = bound(conn, text, values)?;
    statement.raw_execute().map_err(error::of)
}

/// Runs a statement that changes one row, or nothing is written.
pub(super) fn run_one(
    conn: &Connection,
    text: &str,
    values: &[Value<'_>],
) -> Result<(), StoreError> {
    match run(conn, text, values)? {
        1 => Ok(()),
        _ => Err(error::conflict("a row is not as it was read")),
    }
}

/// Reads rows.
pub(super) fn read<T>(
    conn: &Connection,
    text: &str,
    values: &[Value<'_>],
    of: impl Fn(&Fields<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = bound(conn, text, values)?;
    let mut rows = statement.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(error::of)? {
        found.push(of(&Fields(row))?);
    }
    Ok(found)
}

/// Reads the one row that there is at most.
pub(super) fn read_one<T>(
    conn: &Connection,
    text: &str,
    values: &[Value<'_>],
    of: impl Fn(&Fields<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    Ok(read(conn, text, values, of)?.pop())
}

/// A row that is read.
pub(super) struct Fields<'r>(&'r Row<'r>);

impl Fields<'_> {
    fn value(&self, index: usize) -> Result<ValueRef<'_>, StoreError> {
        self.0.get_ref(index).map_err(|_| unsound("a column"))
    }

    pub(super) fn number(&self, index: usize) -> Result<u64, StoreError> {
        let number = self.number_or_none(index)?;
        number.ok_or_else(|| unsound("a number"))
    }

    pub(super) fn number_or_none(&self, index: usize) -> Result<Option<u64>, StoreError> {
        let number = self.value(index)?.as_i64_or_null();
        let number = number.map_err(|_| unsound("a number"))?.map(u64::try_from);
        number.transpose().map_err(|_| unsound("a number"))
    }

    pub(super) fn is(&self, index: usize) -> Result<bool, StoreError> {
        Ok(self.number(index)? != 0)
    }

    pub(super) fn time(&self, index: usize) -> Result<tx::Time, StoreError> {
        self.number(index).map(tx::Time::from_millis)
    }

    pub(super) fn text(&self, index: usize) -> Result<&str, StoreError> {
        self.value(index)?.as_str().map_err(|_| unsound("a text"))
    }

    pub(super) fn text_or_none(&self, index: usize) -> Result<Option<&str>, StoreError> {
        let text = self.value(index)?.as_str_or_null();
        text.map_err(|_| unsound("a text"))
    }

    pub(super) fn bytes(&self, index: usize) -> Result<&[u8], StoreError> {
        self.value(index)?.as_blob().map_err(|_| unsound("bytes"))
    }

    pub(super) fn amount(&self, index: usize) -> Result<tx::Amount, StoreError> {
        let bytes = self.bytes(index)?.try_into();
        bytes
            .map(tx::Amount::from_be_bytes)
            .map_err(|_| unsound("an amount"))
    }

    pub(super) fn parsed<T: std::str::FromStr>(
        &self,
        index: usize,
        what: &str,
    ) -> Result<T, StoreError> {
        self.text(index)?.parse().map_err(|_| unsound(what))
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(
        &self,
        index: usize,
        what: &str,
    ) -> Result<T, StoreError> {
        serde_json::from_str(self.text(index)?).map_err(|_| unsound(what))
    }

    pub(super) fn json_or_none<T: serde::de::DeserializeOwned>(
        &self,
        index: usize,
        what: &str,
    ) -> Result<Option<T>, StoreError> {
        let text = self.text_or_none(index)?;
        let value = text.map(serde_json::from_str).transpose();
        value.map_err(|_| unsound(what))
    }
}

/// Something was read that this program does not write.
pub(super) fn unsound(what: &str) -> StoreError {
    StoreError::Corrupt {
        what: format!("{what} cannot be read"),
    }
}
