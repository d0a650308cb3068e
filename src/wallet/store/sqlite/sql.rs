//! Statements over many rows, and what is read from them. Every value is bound, never written into
//! the text; the texts are few, so that each is prepared once.

use std::fmt::Write;

use sqlx::{
    AssertSqlSafe, Row as _, Sqlite, SqliteConnection,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::error;
use crate::store::StoreError;

/// The most rows of one statement: more are several statements.
const ROWS_MAX: usize = 64;

/// A value for a statement.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
    Null,
}

/// A row for a statement.
pub(super) type Values = Vec<Value>;

impl From<u64> for Value {
    /// Numbers and times stay below 2^63 by what they count.
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<tx::Amount> for Value {
    fn from(amount: tx::Amount) -> Self {
        Self::Blob(amount.to_be_bytes().to_vec())
    }
}

impl From<tx::Time> for Value {
    fn from(time: tx::Time) -> Self {
        time.millis().into()
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// `values![a, b, c]`: a row.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::sqlite::sql::Value::from($value)),*] };
}
pub(super) use values;

/// A thing as JSON.
pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Corrupt {
        what: "a value has no form in JSON".into(),
    })
}

fn bind<'q>(
    mut query: Query<'q, Sqlite, SqliteArguments>,
    values: impl IntoIterator<Item = Value>,
) -> Query<'q, Sqlite, SqliteArguments> {
    for value in values {
        query = match value {
            Value::Int(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
            Value::Blob(bytes) => query.bind(bytes),
            Value::Null => query.bind(None::<i64>),
        };
    }
    query
}

/// Runs a statement; how many rows it changed.
pub(super) async fn run(
    conn: &mut SqliteConnection,
    text: &'static str,
    values: Values,
) -> Result<u64, StoreError> {
    let done = bind(sqlx::query(text), values).execute(conn).await;
    Ok(done.map_err(error::of)?.rows_affected())
}

/// Reads rows.
pub(super) async fn read(
    conn: &mut SqliteConnection,
    text: &'static str,
    values: Values,
) -> Result<Vec<Fields>, StoreError> {
    let rows = bind(sqlx::query(text), values).fetch_all(conn).await;
    Ok(rows.map_err(error::of)?.into_iter().map(Fields).collect())
}

/// Reads rows by a text that is made of constants.
pub(super) async fn read_composed(
    conn: &mut SqliteConnection,
    text: String,
    values: Values,
) -> Result<Vec<Fields>, StoreError> {
    let query = bind(sqlx::query(AssertSqlSafe(text)), values);
    let rows = query.fetch_all(conn).await;
    Ok(rows.map_err(error::of)?.into_iter().map(Fields).collect())
}

/// Runs `head (row), (row), … tail`; how many rows it changed.
pub(super) async fn run_many(
    conn: &mut SqliteConnection,
    head: &str,
    rows: Vec<Values>,
    tail: &str,
) -> Result<u64, StoreError> {
    let mut changed = 0_u64;
    for chunk in chunks(rows) {
        let query = bind(
            sqlx::query(AssertSqlSafe(text_of(head, &chunk, tail))),
            chunk.into_iter().flatten(),
        );
        let done = query.execute(&mut *conn).await.map_err(error::of)?;
        changed = changed.saturating_add(done.rows_affected());
    }
    Ok(changed)
}

/// As [`run_many`]; each row must change one.
pub(super) async fn run_each(
    conn: &mut SqliteConnection,
    head: &str,
    rows: Vec<Values>,
    tail: &str,
) -> Result<(), StoreError> {
    let wanted = rows.len();
    if usize::try_from(run_many(conn, head, rows, tail).await?) == Ok(wanted) {
        Ok(())
    } else {
        Err(StoreError::Conflict {
            what: "a row is not as it was read".into(),
        })
    }
}

/// Reads by `head (row), (row), … tail`.
pub(super) async fn read_many(
    conn: &mut SqliteConnection,
    head: &str,
    rows: Vec<Values>,
    tail: &str,
) -> Result<Vec<Fields>, StoreError> {
    let mut found = Vec::new();
    for chunk in chunks(rows) {
        let text = text_of(head, &chunk, tail);
        let values = chunk.into_iter().flatten().collect();
        found.append(&mut read_composed(conn, text, values).await?);
    }
    Ok(found)
}

/// Rows by powers of two, so that the texts of statements are few.
fn chunks(mut rows: Vec<Values>) -> Vec<Vec<Values>> {
    let mut chunks = Vec::new();
    let mut size = ROWS_MAX;
    while !rows.is_empty() && size > 0 {
        if rows.len() >= size {
            let rest = rows.split_off(size);
            chunks.push(std::mem::replace(&mut rows, rest));
        } else {
            size >>= 1;
        }
    }
    chunks
}

fn text_of(head: &str, rows: &[Values], tail: &str) -> String {
    let mut text = String::from(head);
    let mut number = 0_u32;
    for (row_index, row) in rows.iter().enumerate() {
        text.push_str(if row_index == 0 { " (" } else { ", (" });
        for (index, _) in row.iter().enumerate() {
            number = number.saturating_add(1);
            let comma = if index == 0 { "" } else { ", " };
            // Writing to a String does not fail.
            let _ = write!(text, "{comma}${number}");
        }
        text.push(')');
    }
    text.push_str(tail);
    text
}

/// A row that was read.
pub(super) struct Fields(SqliteRow);

impl Fields {
    fn value<'r, T>(&'r self, index: usize) -> Result<T, StoreError>
    where
        T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
    {
        self.0.try_get(index).map_err(|_| unsound("a column"))
    }

    pub(super) fn number(&self, index: usize) -> Result<u64, StoreError> {
        u64::try_from(self.value::<i64>(index)?).map_err(|_| unsound("a number"))
    }

    pub(super) fn number_or_none(&self, index: usize) -> Result<Option<u64>, StoreError> {
        let number = self.value::<Option<i64>>(index)?.map(u64::try_from);
        number.transpose().map_err(|_| unsound("a number"))
    }

    pub(super) fn is(&self, index: usize) -> Result<bool, StoreError> {
        Ok(self.value::<i64>(index)? != 0)
    }

    pub(super) fn time(&self, index: usize) -> Result<tx::Time, StoreError> {
        self.number(index).map(tx::Time::from_millis)
    }

    pub(super) fn text(&self, index: usize) -> Result<&str, StoreError> {
        self.value(index)
    }

    pub(super) fn text_or_none(&self, index: usize) -> Result<Option<&str>, StoreError> {
        self.value(index)
    }

    pub(super) fn bytes(&self, index: usize) -> Result<&[u8], StoreError> {
        self.value(index)
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
}

/// Something was read that this program does not write.
pub(super) fn unsound(what: &str) -> StoreError {
    StoreError::Corrupt {
        what: format!("{what} cannot be read"),
    }
}
