//! A client of the coordinator's API.

use std::fmt::Write as _;

use hyper::StatusCode;
use serde::{Serialize, de::DeserializeOwned};
use tx::{IntentKey, Name};

use super::{
    ClientError, Oddity, Settings, SettingsError,
    transport::{Success, Transport},
};
use crate::wallet::{
    AccountAnswer, BulkAnswer, BulkRequest, CreditAnswer, EventsAnswer, Explanation, LaneReport,
    NewCredit, NewWithdrawal, QuoteAnswer, QuoteRequest, SettleRequest, Stage, StatusAnswer,
    Withdrawal, WithdrawalsAnswer,
};

/// The largest answer: a page, or a thousand results.
const ANSWER_MAX_BYTES: usize = 16 << 20;

/// A client of the coordinator: one connection, made when it is needed and made again when it was
/// closed.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
}

/// What became of a wish that can be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Once<T> {
    /// It is new and durable.
    New(T),
    /// It was made before, with the same content.
    Same(T),
}

/// Which withdrawals are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// Of this source; else of the client's own, or of all for one that decides.
    pub source: Option<Name>,
    /// In this stage.
    pub stage: Option<Stage>,
    /// Of this customer.
    pub account: Option<Name>,
    /// Where an earlier page ended.
    pub after: Option<String>,
    /// At most this many.
    pub limit: Option<u32>,
}

/// What is done with one withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The client takes its withdrawal back.
    Cancel,
    /// A person lets it go on beyond a limit.
    Approve,
    /// A person ends it.
    Reject,
}

impl Client {
    /// Checks the settings. Nothing is connected yet.
    ///
    /// # Errors
    /// [`SettingsError`] names what cannot be used.
    pub fn new(settings: &Settings<'_>) -> Result<Self, SettingsError> {
        Ok(Self {
            transport: Transport::new(settings)?,
        })
    }

    /// `POST /v1/withdrawals`. The same id with the same content is the same withdrawal.
    ///
    /// # Errors
    /// [`ClientError`]; after [`ClientError::Unknown`] ask again with the same request.
    pub async fn withdraw(&self, new: &NewWithdrawal) -> Result<Once<Withdrawal>, ClientError> {
        self.once("/v1/withdrawals", new).await
    }

    /// `POST /v1/withdrawals` with several: each is accepted or refused by itself.
    ///
    /// # Errors
    /// [`ClientError`]; after [`ClientError::Unknown`] ask again with the same request.
    pub async fn withdraw_all(&self, new: &BulkRequest) -> Result<BulkAnswer, ClientError> {
        let answer = self
            .transport
            .post("/v1/withdrawals", new, ANSWER_MAX_BYTES);
        let answer = answer.await?;
        let malformed = |oddity| Err(self.transport.malformed(answer.status, oddity));
        if answer.status != StatusCode::MULTI_STATUS {
            return malformed(Oddity::MediaType);
        }
        let bulk: BulkAnswer = self.transport.read(&answer)?;
        if bulk.results.len() != new.withdrawals.len() {
            return malformed(Oddity::OtherRequest);
        }
        Ok(bulk)
    }

    /// `GET /v1/withdrawals/{id}`, of the client's own source or of another.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn withdrawal(
        &self,
        source: Option<&Name>,
        id: &IntentKey,
    ) -> Result<Withdrawal, ClientError> {
        self.fetch(&path_of(source, id, "")).await
    }

    /// `GET /v1/withdrawals/{id}/explain`, with the first page of its events.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn explain(
        &self,
        source: Option<&Name>,
        id: &IntentKey,
    ) -> Result<Explanation, ClientError> {
        self.fetch(&path_of(source, id, "/explain")).await
    }

    /// The same, with the events after one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn explain_after(
        &self,
        source: Option<&Name>,
        id: &IntentKey,
        event: u64,
    ) -> Result<Explanation, ClientError> {
        let mut path = path_of(source, id, "/explain");
        path.push(if source.is_some() { '&' } else { '?' });
        path.push_str(&format!("after={event}"));
        self.fetch(&path).await
    }

    /// `POST /v1/withdrawals/{id}/cancel`, `…/approve` or `…/reject`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn decide(
        &self,
        deed: Deed,
        source: Option<&Name>,
        id: &IntentKey,
    ) -> Result<Withdrawal, ClientError> {
        let verb = match deed {
            Deed::Cancel => "/cancel",
            Deed::Approve => "/approve",
            Deed::Reject => "/reject",
        };
        let path = path_of(source, id, verb);
        self.read(&self.transport.tell(&path, ANSWER_MAX_BYTES).await?)
    }

    /// `POST /v1/withdrawals/{id}/settle`.
    ///
    /// # Errors
    /// [`ClientError`]; after [`ClientError::Unknown`] ask again: it changes nothing twice.
    pub async fn settle(
        &self,
        source: Option<&Name>,
        id: &IntentKey,
        request: &SettleRequest,
    ) -> Result<Withdrawal, ClientError> {
        self.post(&path_of(source, id, "/settle"), request).await
    }

    /// `GET /v1/withdrawals`: a page.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn withdrawals(&self, which: &Which) -> Result<WithdrawalsAnswer, ClientError> {
        self.fetch(&which.path()).await
    }

    /// `POST /v1/quote`. Nothing is consumed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn quote(&self, request: &QuoteRequest) -> Result<QuoteAnswer, ClientError> {
        self.post("/v1/quote", request).await
    }

    /// `POST /v1/credits`.
    ///
    /// # Errors
    /// [`ClientError`]; after [`ClientError::Unknown`] ask again with the same request.
    pub async fn credit(&self, new: &NewCredit) -> Result<Once<CreditAnswer>, ClientError> {
        self.once("/v1/credits", new).await
    }

    /// `GET /v1/accounts/{name}`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn account(&self, name: &Name) -> Result<AccountAnswer, ClientError> {
        self.fetch(&format!("/v1/accounts/{name}")).await
    }

    /// `GET /v1/events`: a page of what was recorded after an event, or from the beginning.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn events(&self, after: Option<u64>) -> Result<EventsAnswer, ClientError> {
        let path = match after {
            Some(after) => format!("/v1/events?after={after}"),
            None => "/v1/events".to_owned(),
        };
        self.fetch(&path).await
    }

    /// `GET /v1/status`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn status(&self) -> Result<StatusAnswer, ClientError> {
        self.fetch("/v1/status").await
    }

    /// `POST /v1/lanes/{lane}/open`: a halted lane is compared anew.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn open_lane(&self, lane: &str) -> Result<LaneReport, ClientError> {
        let path = format!("/v1/lanes/{}/open", escaped(lane));
        self.read(&self.transport.tell(&path, ANSWER_MAX_BYTES).await?)
    }

    async fn once<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<Once<T>, ClientError> {
        let answer = self.transport.post(path, body, ANSWER_MAX_BYTES).await?;
        match answer.status {
            StatusCode::CREATED => self.transport.read(&answer).map(Once::New),
            StatusCode::OK => self.transport.read(&answer).map(Once::Same),
            status => Err(self.transport.malformed(status, Oddity::MediaType)),
        }
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let answer = self.transport.post(path, body, ANSWER_MAX_BYTES).await?;
        self.read(&answer)
    }

    async fn fetch<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.transport.fetch(path, ANSWER_MAX_BYTES).await?;
        self.read(&answer)
    }

    fn read<T: DeserializeOwned>(&self, answer: &Success) -> Result<T, ClientError> {
        match answer.status {
            StatusCode::OK => self.transport.read(answer),
            status => Err(self.transport.malformed(status, Oddity::MediaType)),
        }
    }
}

impl<T> Once<T> {
    /// What it is about.
    pub fn into_inner(self) -> T {
        match self {
            Self::New(value) | Self::Same(value) => value,
        }
    }
}

impl Which {
    fn path(&self) -> String {
        let mut path = "/v1/withdrawals".to_owned();
        let mut separator = '?';
        let mut add = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                // Writing to a String does not fail.
                let _ = write!(path, "{separator}{key}={value}");
                separator = '&';
            }
        };
        add("source", self.source.as_ref().map(Name::to_string));
        add("stage", self.stage.map(|stage| stage.name().to_owned()));
        add("account", self.account.as_ref().map(Name::to_string));
        add("after", self.after.as_deref().map(escaped));
        add("limit", self.limit.map(|limit| limit.to_string()));
        path
    }
}

/// Ids and names are made of characters that stand for themselves in a path.
fn path_of(source: Option<&Name>, id: &IntentKey, verb: &str) -> String {
    let query = source.map(|source| format!("?source={source}"));
    format!("/v1/withdrawals/{id}{verb}{}", query.unwrap_or_default())
}

/// Cursors and lanes come from outside: what does not stand for itself is escaped.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_become_another() {
        let which = Which {
            after: Some("a&stage=final#?/%".into()),
            limit: Some(3),
            ..Which::default()
        };
        assert_eq!(
            which.path(),
            "/v1/withdrawals?after=a%26stage%3Dfinal%23%3F%2F%25&limit=3"
        );
        let id: IntentKey = "w:1".parse().unwrap();
        let source: Name = "payouts".parse().unwrap();
        assert_eq!(
            path_of(Some(&source), &id, "/explain"),
            "/v1/withdrawals/w:1/explain?source=payouts"
        );
    }
}
