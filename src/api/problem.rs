//! Problem details (RFC 9457): every error the API answers, by a stable `type`.

use serde::{Deserialize, Serialize};

use crate::signing::{Need, Reason};

/// The media type of a [`Problem`].
pub const MEDIA_TYPE: &str = "application/problem+json";

/// An error, as it stands in an answer's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Problem {
    /// What kind of error it is, stable for ever.
    #[serde(rename = "type")]
    pub kind: ProblemKind,
    /// The kind in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here, and what to do.
    pub detail: String,
    /// Everything that spoke against the request, where it was refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// What the request would wait for besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $uri:literal, $status:literal, $title:literal;)*) => {
        /// The kinds of error. Each has one `type` URI, one HTTP status and one title.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum ProblemKind {
            $($(#[$doc])* #[serde(rename = $uri)] $name,)*
        }

        impl ProblemKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable URI.
            pub fn uri(self) -> &'static str {
                match self { $(Self::$name => $uri,)* }
            }

            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The kind in words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

kinds! {
    /// The body is no request of this verb.
    Malformed = "urn:strongroom:problem:malformed", 400, "The request cannot be read";
    /// The certificate belongs to no client of the policy.
    UnknownClient = "urn:strongroom:problem:unknown-client", 403, "The certificate belongs to no client";
    /// The client may not use the verb.
    NotGranted = "urn:strongroom:problem:not-granted", 403, "The client may not do this";
    /// There is no such thing, or not for this client.
    NotFound = "urn:strongroom:problem:not-found", 404, "There is no such thing";
    /// The path exists under another method.
    MethodNotAllowed = "urn:strongroom:problem:method-not-allowed", 405, "The path has another method";
    /// The request took too long to arrive.
    RequestTimeout = "urn:strongroom:problem:request-timeout", 408, "The request took too long to arrive";
    /// The request id was used with another content.
    RequestReused = "urn:strongroom:problem:request-reused", 409, "The request id was used with another content";
    /// The request is being signed by an earlier call.
    InProgress = "urn:strongroom:problem:in-progress", 409, "The request is being signed";
    /// The body is larger than the bound.
    TooLarge = "urn:strongroom:problem:too-large", 413, "The body is too large";
    /// The body is not JSON.
    MediaType = "urn:strongroom:problem:media-type", 415, "The body is not JSON";
    /// The transaction or the policy speaks against it.
    Refused = "urn:strongroom:problem:refused", 422, "The request is refused";
    /// More requests a second than the client may make.
    TooManyRequests = "urn:strongroom:problem:too-many-requests", 429, "Too many requests";
    /// Something that is not the client's fault and not expected.
    Internal = "urn:strongroom:problem:internal", 500, "The daemon failed";
    /// No device answers; nothing was charged.
    NoDevice = "urn:strongroom:problem:no-device", 503, "No device answers";
    /// The charge stands and the device's answer is not known; ask again with the same id.
    OutcomeUnknown = "urn:strongroom:problem:outcome-unknown", 503, "The outcome is not known yet";
    /// More requests than the daemon can take wait already; nothing was charged.
    Busy = "urn:strongroom:problem:busy", 503, "Too many requests wait";
    /// A freeze withholds what was signed.
    Withheld = "urn:strongroom:problem:withheld", 503, "A freeze withholds the signatures";
    /// The journal cannot be written; nothing is signed.
    JournalStopped = "urn:strongroom:problem:journal-stopped", 503, "The journal is stopped";
    /// The daemon's state is not what it should be; nothing is signed.
    Sealed = "urn:strongroom:problem:sealed", 503, "The signer is sealed";
    /// The daemon is stopping.
    Stopping = "urn:strongroom:problem:stopping", 503, "The daemon is stopping";
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title: kind.title().into(),
            status: kind.status(),
            detail: detail.into(),
            reasons: Vec::new(),
            needs: Vec::new(),
        }
    }

    /// With everything that spoke against the request.
    #[must_use]
    pub fn with(mut self, reasons: Vec<Reason>, needs: Vec<Need>) -> Self {
        self.reasons = reasons;
        self.needs = needs;
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_its_own_uri_and_serialises_to_it() {
        let uris: BTreeSet<_> = ProblemKind::ALL.iter().map(|kind| kind.uri()).collect();
        assert_eq!(uris.len(), ProblemKind::ALL.len());
        for kind in ProblemKind::ALL {
            let json = serde_json::to_string(kind).unwrap();
            assert_eq!(json, format!("\"{}\"", kind.uri()));
            assert!((400..=599).contains(&kind.status()));
        }
    }
}
