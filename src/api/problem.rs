//! Problem details (RFC 9457): every error the API answers, by a stable `type`.

use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::{
    signing::{Need, Reason},
    wallet::Withdrawal,
};

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
    pub title: Box<str>,
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
    /// The field that is wrong, as a path into the request such as `withdrawals[2].amount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<Box<str>>,
    /// What is stored instead, where the request contradicts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawal: Option<Box<Withdrawal>>,
    /// When to ask again, in seconds, where that is known: the header `Retry-After`, and not in the body.
    #[serde(skip)]
    pub retry_after_secs: Option<NonZeroU16>,
}

/// The APIs, each with its kinds of error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `signerd`'s.
    Signing,
    /// `walletd`'s.
    Wallet,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident of $($api:ident)+ = $uri:literal, $status:literal, $title:literal;)*) => {
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

            /// The APIs that answer with it.
            pub fn apis(self) -> &'static [Api] {
                match self { $(Self::$name => &[$(Api::$api),+],)* }
            }
        }
    };
}

kinds! {
    /// The body is no request of this verb.
    Malformed of Signing Wallet = "urn:strongroom:problem:malformed", 400, "The request cannot be read";
    /// The certificate belongs to no client.
    UnknownClient of Signing Wallet = "urn:strongroom:problem:unknown-client", 403, "The certificate belongs to no client";
    /// The client may not use the verb.
    NotGranted of Signing Wallet = "urn:strongroom:problem:not-granted", 403, "The client may not do this";
    /// There is no such thing, or not for this client.
    NotFound of Signing Wallet = "urn:strongroom:problem:not-found", 404, "There is no such thing";
    /// The path exists under another method.
    MethodNotAllowed of Signing Wallet = "urn:strongroom:problem:method-not-allowed", 405, "The path has another method";
    /// The request took too long to arrive.
    RequestTimeout of Signing Wallet = "urn:strongroom:problem:request-timeout", 408, "The request took too long to arrive";
    /// The request id was used with another content.
    RequestReused of Signing = "urn:strongroom:problem:request-reused", 409, "The request id was used with another content";
    /// The request is being signed by an earlier call.
    InProgress of Signing = "urn:strongroom:problem:in-progress", 409, "The request is being signed";
    /// What the entry says was removed from the signer, after it was exported.
    Pruned of Signing = "urn:strongroom:problem:pruned", 410, "The entry's body is pruned";
    /// The body is larger than the bound.
    TooLarge of Signing Wallet = "urn:strongroom:problem:too-large", 413, "The body is too large";
    /// The body is not JSON.
    MediaType of Signing Wallet = "urn:strongroom:problem:media-type", 415, "The body is not JSON";
    /// The transaction or the policy speaks against it.
    Refused of Signing = "urn:strongroom:problem:refused", 422, "The request is refused";
    /// The statement of people is of another kind, about something else, or not signed by enough of them.
    StatementRefused of Signing = "urn:strongroom:problem:statement-refused", 422, "The statement is refused";
    /// The intent cannot be registered for people to approve.
    IntentRefused of Signing = "urn:strongroom:problem:intent-refused", 422, "The intent is not registered";
    /// The transaction cannot be registered for people to approve.
    TransactionRefused of Signing = "urn:strongroom:problem:transaction-refused", 422, "The transaction is not registered";
    /// More requests a second than the client may make.
    TooManyRequests of Signing Wallet = "urn:strongroom:problem:too-many-requests", 429, "Too many requests";
    /// Something that is not the client's fault and not expected.
    Internal of Signing Wallet = "urn:strongroom:problem:internal", 500, "The daemon failed";
    /// No device answers; nothing was charged.
    NoDevice of Signing = "urn:strongroom:problem:no-device", 503, "No device answers";
    /// The charge stands and the device's answer is not known; ask again with the same id.
    OutcomeUnknown of Signing = "urn:strongroom:problem:outcome-unknown", 503, "The outcome is not known yet";
    /// No checkpoint covers the entry yet, or there is none; ask again.
    NoCheckpoint of Signing = "urn:strongroom:problem:no-checkpoint", 503, "No checkpoint covers it yet";
    /// Too few witnesses have cosigned a checkpoint that covers the decision, or its signatures; the same
    /// request again goes on, and is charged once.
    Unwitnessed of Signing = "urn:strongroom:problem:unwitnessed", 503, "Too few witnesses have cosigned";
    /// More requests than the daemon can take wait already; nothing was charged.
    Busy of Signing Wallet = "urn:strongroom:problem:busy", 503, "Too many requests wait";
    /// A freeze withholds what was signed, or was about to be.
    Withheld of Signing = "urn:strongroom:problem:withheld", 503, "A freeze withholds the signatures";
    /// The journal cannot be written; nothing is signed.
    JournalStopped of Signing = "urn:strongroom:problem:journal-stopped", 503, "The journal is stopped";
    /// The daemon's state is not what it should be; nothing is signed.
    Sealed of Signing = "urn:strongroom:problem:sealed", 503, "The signer is sealed";
    /// The daemon is stopping.
    Stopping of Signing Wallet = "urn:strongroom:problem:stopping", 503, "The daemon is stopping";
    /// Another withdrawal of this source has the id; the stored one is in `withdrawal`.
    WithdrawalReused of Wallet = "urn:strongroom:problem:withdrawal-reused", 409, "The withdrawal's id was used with another content";
    /// Another deposit has the id.
    CreditReused of Wallet = "urn:strongroom:problem:credit-reused", 409, "The deposit's id was used with another content";
    /// It is too late for that, or too early; the withdrawal as it is stands in `withdrawal`.
    NotNow of Wallet = "urn:strongroom:problem:not-now", 409, "The withdrawal's stage does not allow it";
    /// No such asset is paid here.
    UnknownAsset of Wallet = "urn:strongroom:problem:unknown-asset", 422, "The asset is not paid here";
    /// There is no limit on the asset, so nothing of it may leave.
    NoLimit of Wallet = "urn:strongroom:problem:no-limit", 422, "The asset has no limit and so may not leave";
    /// The account has too little.
    InsufficientFunds of Wallet = "urn:strongroom:problem:insufficient-funds", 422, "The account has too little";
    /// An amount that cannot be paid.
    InvalidAmount of Wallet = "urn:strongroom:problem:invalid-amount", 422, "The amount cannot be paid";
    /// A destination that cannot be paid.
    InvalidDestination of Wallet = "urn:strongroom:problem:invalid-destination", 422, "The destination cannot be paid";
    /// The chain has no tags.
    InvalidTag of Wallet = "urn:strongroom:problem:invalid-tag", 422, "The chain has no tags";
    /// The time has passed.
    Expired of Wallet = "urn:strongroom:problem:expired", 422, "The withdrawal has expired";
    /// The database cannot be used now; ask again with the same id.
    DatabaseUnavailable of Wallet = "urn:strongroom:problem:database-unavailable", 503, "The database cannot be used now";
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
            field: None,
            withdrawal: None,
            retry_after_secs: None,
        }
    }

    /// To be asked again in so many seconds.
    #[must_use]
    pub fn again_in(mut self, secs: NonZeroU16) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }

    /// About this field of the request.
    #[must_use]
    pub fn at(mut self, field: impl Into<Box<str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// With what is stored instead.
    #[must_use]
    pub fn instead(mut self, withdrawal: Withdrawal) -> Self {
        self.withdrawal = Some(Box::new(withdrawal));
        self
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
            assert!(!kind.apis().is_empty());
        }
    }
}
