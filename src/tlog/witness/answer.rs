//! What a witness answers over HTTP: status, content type and body.

use super::{Refusal, RequestError};
use crate::cosignature::Cosignature;
use crate::note::{LineError, MAX_NOTE_BYTES, MAX_SIGNATURES, SignatureLine};
use crate::text;

/// The `Content-Type` of a body that is the latest size.
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

/// The longest answer in bytes that is read.
pub const MAX_ANSWER_BYTES: usize = MAX_NOTE_BYTES;

/// An answer to an add-checkpoint request, as a witness writes it and a log reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// 200: cosignatures; for the log they are lines that it has to verify, each with its own key.
    Cosigned(Vec<SignatureLine>),
    /// 409: the log should start from this size.
    Stale {
        /// The size of the latest checkpoint that the witness cosigned.
        latest_size: u64,
    },
    /// Another status: the witness does not cosign.
    Refused {
        /// The HTTP status.
        status: u16,
    },
}

impl Answer {
    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Cosigned(_) => 200,
            Self::Stale { .. } => 409,
            Self::Refused { status } => *status,
        }
    }

    /// The `Content-Type`, if there is a body.
    pub const fn content_type(&self) -> Option<&'static str> {
        match self {
            Self::Cosigned(_) => Some("text/plain; charset=utf-8"),
            Self::Stale { .. } => Some(SIZE_CONTENT_TYPE),
            Self::Refused { .. } => None,
        }
    }

    /// The body.
    pub fn body(&self) -> String {
        match self {
            Self::Cosigned(lines) => lines.iter().map(|line| format!("{line}\n")).collect(),
            Self::Stale { latest_size } => format!("{latest_size}\n"),
            Self::Refused { .. } => String::new(),
        }
    }

    /// Reads a witness's answer.
    ///
    /// # Errors
    /// [`AnswerError`] when a status comes with a body that it cannot have.
    pub fn read(status: u16, content_type: Option<&str>, body: &[u8]) -> Result<Self, AnswerError> {
        let is_size = content_type == Some(SIZE_CONTENT_TYPE);
        if status != 200 && !(status == 409 && is_size) {
            return Ok(Self::Refused { status });
        }
        if body.len() > MAX_ANSWER_BYTES {
            return Err(AnswerError::TooLong);
        }
        let body = str::from_utf8(body).map_err(|_| AnswerError::Lines)?;
        let lines = body.strip_suffix('\n').ok_or(AnswerError::Lines)?;
        if status == 409 {
            let latest_size = text::size(lines).ok_or(AnswerError::Size)?;
            return Ok(Self::Stale { latest_size });
        }
        let lines: Vec<SignatureLine> = lines
            .split('\n')
            .take(MAX_SIGNATURES.saturating_add(1))
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(|source| AnswerError::Line { source })?;
        if lines.len() > MAX_SIGNATURES {
            return Err(AnswerError::TooLong);
        }
        Ok(Self::Cosigned(lines))
    }
}

impl From<&Cosignature> for Answer {
    fn from(cosignature: &Cosignature) -> Self {
        Self::Cosigned(vec![cosignature.line().clone()])
    }
}

impl From<&Refusal> for Answer {
    fn from(refusal: &Refusal) -> Self {
        let status = match refusal {
            Refusal::Stale { latest_size } => {
                return Self::Stale {
                    latest_size: *latest_size,
                };
            }
            Refusal::Shrunk => 400,
            Refusal::Unsigned => 403,
            Refusal::UnknownLog => 404,
            Refusal::Forked { .. } => 409,
            Refusal::Unproved { .. } => 422,
        };
        Self::Refused { status }
    }
}

impl From<&RequestError> for Answer {
    fn from(_: &RequestError) -> Self {
        Self::Refused { status: 400 }
    }
}

/// Why what a witness answered cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// Longer than [`MAX_ANSWER_BYTES`], or with too many lines.
    #[error("the witness's answer is too long")]
    TooLong,
    /// Not UTF-8, empty, or the last line is not ended.
    #[error("the witness's answer is not made of lines")]
    Lines,
    /// A size that is none.
    #[error("the witness's answer has no valid size")]
    Size,
    /// A line that is no signature.
    #[error("the witness's answer has a line that is no signature")]
    Line {
        /// What is wrong with it.
        source: LineError,
    },
}
