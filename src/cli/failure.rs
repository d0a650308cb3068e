//! How a command fails: what happened, why, and what to do next.

use std::error::Error;

use serde::Serialize;
use serde_json::Value;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The answer is no: refused, or a check that did not hold.
    Refused = 1,
    /// The command line, a file or the configuration is wrong.
    Usage = 2,
    /// A peer could not be reached, and nothing was sent that could have had an effect.
    Unreachable = 3,
    /// Something was sent and no answer came: it may have happened.
    Unknown = 4,
}

/// An error that can tell the operator what to do about it.
pub trait Explained: Error {
    /// A stable name that scripts can match.
    fn kind(&self) -> &'static str;

    /// The exit code.
    fn exit(&self) -> Exit;

    /// What to do next, as a sentence.
    fn next(&self) -> String;

    /// The causes below it, outermost first.
    fn why(&self) -> Vec<String> {
        let mut why = Vec::new();
        let mut cause = self.source();
        while let Some(error) = cause {
            why.push(error.to_string());
            cause = error.source();
        }
        why
    }

    /// What a peer answered, in its own form, where scripts can use that.
    fn details(&self) -> Option<Value> {
        None
    }
}

/// A command's failure, ready to be shown.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// A stable name that scripts can match.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The code the process ends with.
    #[serde(skip)]
    pub exit: Exit,
    /// What happened.
    #[serde(rename = "message")]
    pub what: String,
    /// The causes below it, outermost first.
    pub why: Vec<String>,
    /// What to do next.
    pub next: String,
    /// What a peer answered, in its own form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Box<Value>>,
}

impl<E: Explained> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            kind: error.kind(),
            exit: error.exit(),
            what: error.to_string(),
            why: error.why(),
            next: error.next(),
            details: error.details().map(Box::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the file cannot be read")]
    struct Unreadable(#[source] std::io::Error);

    impl Explained for Unreadable {
        fn kind(&self) -> &'static str {
            "unreadable"
        }

        fn exit(&self) -> Exit {
            Exit::Usage
        }

        fn next(&self) -> String {
            "Look at it.".to_owned()
        }
    }

    #[test]
    fn carries_every_cause_once() {
        let failure = Failure::from(Unreadable(std::io::Error::other("disk on fire")));
        assert_eq!(failure.what, "the file cannot be read");
        assert_eq!(failure.why, ["disk on fire"]);
        assert_eq!(failure.exit, Exit::Usage);
    }

    #[test]
    fn is_an_object_of_type_message_why_and_next() {
        let json =
            serde_json::to_value(Failure::from(Unreadable(std::io::Error::other("x")))).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "unreadable", "message": "the file cannot be read", "why": ["x"], "next": "Look at it."
            })
        );
    }
}
