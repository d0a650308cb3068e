//! Why a signer did not do what was asked, and what that means for the operator.

use std::io;
use std::path::PathBuf;

use api::client::{ClientError, Obstacle, SettingsError};
use api::problem::{Problem, ProblemKind};
use api::receipt::ReceiptError;
use api::signing::{Need, Reason};
use serde_json::Value;

use crate::failure::{Exit, Explained};
use crate::files::FileError;

/// Why a signer could not be asked, or said no.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// A file.
    #[error(transparent)]
    File(FileError),
    /// The profile is none.
    #[error("{} is no client profile", path.display())]
    Profile {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        reason: String,
    },
    /// Neither the command line nor the profile says it.
    #[error("{option} is missing")]
    Missing {
        /// The option.
        option: &'static str,
    },
    /// The settings cannot be used.
    #[error("the settings for the daemon cannot be used")]
    Settings(#[source] SettingsError),
    /// The system gave no thread.
    #[error("the network cannot be used")]
    Runtime(#[source] io::Error),
    /// A request to sign did not end in a signature.
    #[error(transparent)]
    Sign(ClientError),
    /// A question was not answered. It changed nothing, whatever became of it.
    #[error(transparent)]
    Ask(ClientError),
    /// What was said was taken, and the proof of it is of something else.
    #[error("the signer's receipt is not of what was said")]
    Receipt(#[source] ReceiptError),
}

impl Explained for SignerError {
    fn kind(&self) -> &'static str {
        match self {
            Self::File(error) => error.kind(),
            Self::Profile { .. } => "client-profile",
            Self::Missing { .. } | Self::Settings(_) => "client-settings",
            Self::Runtime(_) => "client-runtime",
            Self::Receipt(_) => "receipt-mismatch",
            Self::Sign(error) | Self::Ask(error) => match error {
                // The signer's own stable name, without the part that all of them have.
                ClientError::Problem(problem) => {
                    let uri = problem.kind.uri();
                    uri.rsplit(':').next().unwrap_or(uri)
                }
                ClientError::Pending(_) => "pending",
                ClientError::Unreachable {
                    source: Obstacle::Certificate { .. },
                    ..
                } => "client-certificate",
                ClientError::Unreachable { .. } => "unreachable",
                ClientError::Unknown { .. } => "no-answer",
                ClientError::Malformed { .. } => "malformed-answer",
                _ => "client-request",
            },
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::File(error) => error.exit(),
            Self::Receipt(_) => Exit::Unknown,
            Self::Sign(error) => exit_of_sign(error),
            Self::Ask(error) => match exit_of_sign(error) {
                // Who only asked has nothing to be in doubt about.
                Exit::Unknown if !matches!(error, ClientError::Problem(_)) => Exit::Unreachable,
                Exit::Unknown => Exit::Refused,
                exit => exit,
            },
            _ => Exit::Usage,
        }
    }

    fn next(&self) -> String {
        match self {
            Self::File(error) => error.next(),
            Self::Profile { .. } => {
                "It has connect, ca, certificate, key, and if needed server_name, health, log_key and timeout_secs.".into()
            }
            Self::Missing { .. } => {
                "Give it on the command line, or in a profile with --profile or in ~/.config/strongroom.".into()
            }
            Self::Settings(_) => "Check the address and the PEM files; `strongroom pki issue` makes both of them.".into(),
            Self::Runtime(_) => "Check the limits of this user on open files.".into(),
            Self::Receipt(_) => "Look at how it stands, and tell whoever operates the signer: it does not answer for what it was asked.".into(),
            Self::Sign(error) if exit_of_sign(error) == Exit::Unknown => {
                format!("{} Ask again with the same request id and the same content: it is charged once and gets the same answer.", unknown(error))
            }
            Self::Sign(error) | Self::Ask(error) => next(error),
        }
    }

    fn why(&self) -> Vec<String> {
        match self {
            Self::Profile { reason, .. } => vec![plain(reason.trim_end())],
            Self::Sign(ClientError::Problem(problem))
            | Self::Ask(ClientError::Problem(problem)) => of_problem(problem),
            Self::Sign(ClientError::Pending(pending))
            | Self::Ask(ClientError::Pending(pending)) => {
                pending.needs.iter().map(need_text).collect()
            }
            _ => chain(self),
        }
    }

    fn details(&self) -> Option<Value> {
        match self {
            Self::Sign(ClientError::Problem(problem))
            | Self::Ask(ClientError::Problem(problem)) => serde_json::to_value(problem).ok(),
            Self::Sign(ClientError::Pending(pending))
            | Self::Ask(ClientError::Pending(pending)) => serde_json::to_value(pending).ok(),
            _ => None,
        }
    }
}

fn exit_of_sign(error: &ClientError) -> Exit {
    match error {
        ClientError::Problem(problem) => match problem.kind {
            // In all of these a charge may stand, and a signature may have been made.
            ProblemKind::OutcomeUnknown
            | ProblemKind::InProgress
            | ProblemKind::Unwitnessed
            | ProblemKind::Internal => Exit::Unknown,
            _ => Exit::Refused,
        },
        ClientError::Pending(_) => Exit::Refused,
        ClientError::Unreachable { .. } => Exit::Unreachable,
        ClientError::Unknown { .. } | ClientError::Malformed { .. } => Exit::Unknown,
        _ => Exit::Usage,
    }
}

fn unknown(error: &ClientError) -> &'static str {
    match error {
        ClientError::Problem(problem) if problem.kind == ProblemKind::InProgress => {
            "An earlier call is carrying it out."
        }
        ClientError::Malformed { .. } => "It may have been signed. Check that this is the signer.",
        _ => "It may have been signed.",
    }
}

fn next(error: &ClientError) -> String {
    match error {
        ClientError::Problem(problem) => of_kind(problem.kind).into(),
        ClientError::Pending(_) => {
            "Nothing was charged. Have the people named approve, then ask again with the same request id.".into()
        }
        ClientError::Unreachable { source: Obstacle::Certificate { .. }, .. } => {
            "Nothing was sent. Check that the certificate is valid, of an authority in the policy, and not revoked; `strongroom pki list` shows it.".into()
        }
        ClientError::Unreachable { source: Obstacle::Handshake(_), .. } => {
            "Nothing was sent. Check --ca and the name in the signer's certificate (--server-name).".into()
        }
        ClientError::Unreachable { .. } => "Nothing was sent. Check that signerd runs and listens at --connect.".into(),
        ClientError::Unknown { .. } => "Ask again.".into(),
        ClientError::Malformed { .. } => "Check that this is a signer of the same version.".into(),
        _ => "Check the request.".into(),
    }
}

fn of_kind(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::Refused => "Nothing was signed. Each reason says what would permit it.",
        ProblemKind::UnknownClient => {
            "Use a certificate whose URI or pin a [[client]] of the policy names."
        }
        ProblemKind::NotGranted => {
            "Have the policy grant the verb to this client, or use another client."
        }
        ProblemKind::RequestReused => {
            "Use a new request id for a new request; the earlier one stands."
        }
        ProblemKind::NoDevice => {
            "Nothing was charged. Look at the signer's log and run `strongroom doctor` there."
        }
        ProblemKind::Withheld => {
            "Have the officers look at the freeze; what was signed does not leave before."
        }
        ProblemKind::Unwitnessed => {
            "Look at the witnesses and their relay: too few of them answer, or they have seen another log."
        }
        ProblemKind::JournalStopped | ProblemKind::Sealed => {
            "Look at the signer's log and run `strongroom doctor` there."
        }
        ProblemKind::TooManyRequests | ProblemKind::Busy | ProblemKind::Stopping => {
            "Nothing was charged. Ask again in a moment."
        }
        _ => "Check the request and the versions of both ends.",
    }
}

fn of_problem(problem: &Problem) -> Vec<String> {
    let reasons = problem.reasons.iter().map(reason_text);
    let needs = problem.needs.iter().map(need_text);
    let told: Vec<String> = reasons.chain(needs).collect();
    // The detail of a refusal is that of its first reason.
    if told.is_empty() {
        vec![plain(&problem.detail)]
    } else {
        told
    }
}

/// A reason in a line or two: what, where, and what would permit it.
pub fn reason_text(reason: &Reason) -> String {
    let mut text = plain(&format!("{}: {}", reason.code, reason.detail));
    if let Some(statement) = &reason.statement {
        text.push_str(&plain(&format!(" ({statement}")));
        if let Some(at) = &reason.at {
            text.push_str(&plain(&format!(", {at}")));
        }
        text.push(')');
    }
    text + &plain(&format!("; would be permitted by: {}", reason.remedy))
}

pub fn need_text(need: &Need) -> String {
    let Need {
        statement,
        at,
        threshold,
        people,
        attested,
    } = need;
    if let Some(attested) = attested {
        let (kind, secs) = (&attested.kind, attested.within_secs);
        return plain(&format!(
            "{threshold} attesters must have said {kind} within the last {secs} s ({statement}, {at})"
        ));
    }
    plain(&format!(
        "{threshold} of {} must approve ({statement}, {at})",
        people.join(", ")
    ))
}

/// The text without what a terminal obeys.
pub fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control() && c != '\n';
            let as_is = (!escaped).then_some(c);
            as_is
                .into_iter()
                .chain(escaped.then(|| c.escape_default()).into_iter().flatten())
        })
        .collect()
}

fn chain(error: &dyn std::error::Error) -> Vec<String> {
    let mut why = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        why.push(error.to_string());
        cause = error.source();
    }
    why
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_orders() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\td"), "a\\u{1b}[2Jb\nc\\td");
    }

    #[test]
    fn doubt_is_told_from_a_no() {
        for kind in ProblemKind::ALL {
            let problem = || ClientError::Problem(Box::new(Problem::new(*kind, "why")));
            assert_ne!(
                SignerError::Ask(problem()).exit(),
                Exit::Unknown,
                "{kind:?}"
            );
            let sign = SignerError::Sign(problem());
            assert!(
                matches!(sign.exit(), Exit::Refused | Exit::Unknown),
                "{kind:?}"
            );
            assert_eq!(
                sign.kind(),
                kind.uri().trim_start_matches("urn:strongroom:problem:")
            );
            assert!(!sign.next().is_empty() && sign.why() == ["why"]);
        }
    }
}
