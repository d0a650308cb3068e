//! JSON of a known shape: first what a file says that it is, then the whole of it.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::error::{Fault, KeystoreError};

/// What a file says that it is.
#[derive(Debug, Deserialize)]
struct Said {
    format: Option<String>,
    version: Option<u64>,
}

fn said(text: &str) -> Result<Said, Fault> {
    shape(text)
}

/// Whether a file is of one format and version; what else it is, is named.
pub(super) fn is(text: &str, format: &str, version: u64) -> Result<(), Fault> {
    let said = said(text)?;
    if said.format.as_deref() == Some(format) && said.version == Some(version) {
        return Ok(());
    }
    Err(unknown(&said))
}

/// Whether a file has no `format`, as those of the Web3 Secret Storage, and is of version 3.
pub(super) fn is_web3(text: &str) -> Result<(), Fault> {
    let said = said(text)?;
    if said.format.is_none() && said.version == Some(3) {
        return Ok(());
    }
    Err(unknown(&said))
}

/// Whether a file says that it has a format of our own.
pub(super) fn has_format(text: &str) -> Result<bool, Fault> {
    Ok(said(text)?.format.is_some())
}

fn unknown(said: &Said) -> Fault {
    let format = said.format.as_deref().unwrap_or("web3-secret-storage");
    let version = said
        .version
        .map_or_else(|| "without a version".to_owned(), |v| v.to_string());
    // A file may say anything; it is shown to people.
    let found = format!("{format} {version}");
    let plain = found
        .chars()
        .map(|c| if c.is_ascii_graphic() { c } else { ' ' });
    Fault::Version {
        found: plain.take(64).collect(),
    }
}

/// Reads the whole of it. What a file does not have to have is an error where its type says so.
pub(super) fn shape<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|error| Fault::Shape {
        reason: format!(
            "line {}, column {}, {:?}",
            error.line(),
            error.column(),
            error.classify()
        ),
    })
}

/// Writes it.
pub(super) fn text(file: &impl Serialize) -> Result<String, KeystoreError> {
    let mut text =
        serde_json::to_string_pretty(file).map_err(|error| KeystoreError::Write(error.into()))?;
    text.push('\n');
    Ok(text)
}
