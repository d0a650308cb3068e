//! Clients of both APIs: TLS 1.3 with a certificate of its own, one connection, deadlines. The signing
//! API's is [`Client`], the coordinator's [`wallet::Client`].
//!
//! The other end may be the signer that holds the keys, but what comes over the network is not taken on trust: an answer has
//! a size and a time, and is read strictly. What matters most is what a failure means, so that
//! nobody pays twice: [`ClientError::Unreachable`] says that nothing was sent,
//! [`ClientError::Unknown`] that it may have happened.

mod connect;
mod error;
mod link;
mod transport;
pub mod wallet;
mod watched;

use std::time::Duration;

use hyper::StatusCode;
use serde::{Serialize, de::DeserializeOwned};
use tlog::tile::Resource;
use tx::{IntentId, Name};

use self::transport::{Success, Transport};
pub use self::{
    connect::SettingsError,
    error::{ClientError, Lost, Obstacle, Oddity},
};
use crate::{
    governance::GovernanceAnswer,
    intents::IntentAnswer,
    journal::{
        BODIES_PAGE_BYTES, BodiesAnswer, BundleAnswer, CHECKPOINT_MAX, ConsistencyAnswer,
        CosignaturesAnswer, CosignaturesRequest, ProofsAnswer, ProofsRequest, SeenCheckpoint,
    },
    signing::{
        EvaluateAnswer, KeysAnswer, PAGE_BYTES, PendingAnswer, RequestAnswer, RequestsAnswer,
        SignAnswer, SignRequest, SignedIntent, Statement, StatementAnswer,
    },
    transactions::{TransactionAnswer, TransactionRequest},
};

/// The largest answer about one request: a request has at most 1 MiB, and its answer holds its
/// transaction signed, and once more in the receipt.
const ANSWER_MAX_BYTES: usize = 8 << 20;
/// The largest page of requests: it ends with the one that reaches its bound.
const PAGE_MAX_BYTES: usize = PAGE_BYTES + ANSWER_MAX_BYTES;
/// The largest page of bodies: escaped in JSON, and it ends with the one that reaches its bound.
const BODIES_MAX_BYTES: usize = 2 * (BODIES_PAGE_BYTES + ANSWER_MAX_BYTES);
/// The largest tile or bundle of commitments: 256 of 33 bytes and a length.
const TILE_MAX_BYTES: usize = 16 << 10;
/// The largest bundle.
const BUNDLE_MAX_BYTES: usize = 256 << 20;

/// How to reach a daemon.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Where it listens: `host:port`.
    pub server: &'a str,
    /// The name in its certificate, where that is not `host`.
    pub server_name: Option<&'a str>,
    /// Certificates of the authorities that certify the server, PEM.
    pub roots: &'a [u8],
    /// The client's certificate chain, PEM.
    pub certificate: &'a [u8],
    /// The client's private key, PEM.
    pub key: &'a [u8],
    /// What is spoken.
    pub protocol: Protocol,
    /// How long one call may take, connecting included.
    pub timeout: Duration,
}

/// What is spoken on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1: calls wait for one another.
    Http1,
    /// HTTP/2: calls share the connection, as many at the same time as the signer allows.
    Http2,
}

/// A client of the signing API: one connection, made when it is needed and made again when it was
/// closed.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
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

    /// `POST /v1/sign`. The same request again gets the same answer.
    ///
    /// # Errors
    /// [`ClientError`]; after [`ClientError::Unknown`] ask again with the same request.
    pub async fn sign(&self, request: &SignRequest) -> Result<SignAnswer, ClientError> {
        let answer: SignAnswer = self.post("/v1/sign", request).await?;
        if answer.request_id != request.request_id {
            return Err(self
                .transport
                .malformed(StatusCode::OK, Oddity::OtherRequest));
        }
        Ok(answer)
    }

    /// `POST /v1/evaluate`. Nothing is consumed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn evaluate(&self, request: &SignRequest) -> Result<EvaluateAnswer, ClientError> {
        self.post("/v1/evaluate", request).await
    }

    /// `GET /v1/keys`: the keys of the client's accounts and the room left in the limits.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn keys(&self) -> Result<KeysAnswer, ClientError> {
        self.fetch("/v1/keys", ANSWER_MAX_BYTES).await
    }

    /// `GET /v1/keys/{key}`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn key(&self, key: &Name) -> Result<KeysAnswer, ClientError> {
        self.fetch(&format!("/v1/keys/{key}"), ANSWER_MAX_BYTES)
            .await
    }

    /// `GET /v1/requests/{id}`: what became of a request.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::RequestId`] for a text that no request can have as its id.
    pub async fn request(&self, id: &str) -> Result<RequestAnswer, ClientError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
        // A path is made of it: what is no id must not become another path.
        if !(1..=128).contains(&id.len()) || !id.bytes().all(allowed) {
            return Err(ClientError::RequestId);
        }
        self.fetch(&format!("/v1/requests/{id}"), ANSWER_MAX_BYTES)
            .await
    }

    /// `GET /v1/requests`: a page of what was authorised after the entry `after`, or from the
    /// beginning.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn requests(&self, after: Option<u64>) -> Result<RequestsAnswer, ClientError> {
        let path = match after {
            Some(after) => format!("/v1/requests?after={after}"),
            None => "/v1/requests".to_owned(),
        };
        self.fetch(&path, PAGE_MAX_BYTES).await
    }

    /// `GET /v1/journal/checkpoint`: the newest signed checkpoint, or the first that covers an entry,
    /// for which the signer waits [`COVERS_SECS`](crate::journal::COVERS_SECS).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn checkpoint(&self, covers: Option<u64>) -> Result<String, ClientError> {
        let path = match covers {
            Some(entry) => format!("/v1/journal/checkpoint?covers={entry}"),
            None => "/v1/journal/checkpoint".to_owned(),
        };
        let answer = self.transport.fetch(&path, CHECKPOINT_MAX).await?;
        self.transport.text(&answer)
    }

    /// `POST /v1/journal/checkpoint`: tells of a checkpoint that somebody has seen.
    ///
    /// # Errors
    /// [`ClientError`]; the problem `sealed` when the signer's log does not contain it.
    pub async fn tell_checkpoint(&self, seen: &SeenCheckpoint) -> Result<(), ClientError> {
        let answer = self
            .transport
            .post("/v1/journal/checkpoint", seen, CHECKPOINT_MAX)
            .await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(()),
            status => Err(self.transport.malformed(status, Oddity::MediaType)),
        }
    }

    /// `POST /v1/journal/cosignatures`: brings what witnesses said.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cosign(
        &self,
        request: &CosignaturesRequest,
    ) -> Result<CosignaturesAnswer, ClientError> {
        self.post("/v1/journal/cosignatures", request).await
    }

    /// `GET /v1/governance`: which bundle governs, and which one waits.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn governance(&self) -> Result<GovernanceAnswer, ClientError> {
        self.fetch("/v1/governance", ANSWER_MAX_BYTES).await
    }

    /// `POST /v1/governance/statements`: brings a statement of officers.
    ///
    /// # Errors
    /// [`ClientError`]; the problem `statement-refused` when it counts for nothing.
    pub async fn state(&self, statement: &Statement) -> Result<StatementAnswer, ClientError> {
        self.post("/v1/governance/statements", statement).await
    }

    /// `POST /v1/statements`: brings a statement of an attester.
    ///
    /// # Errors
    /// [`ClientError`]; the problem `statement-refused` when it counts for nothing.
    pub async fn attest(&self, statement: &Statement) -> Result<StatementAnswer, ClientError> {
        self.post("/v1/statements", statement).await
    }

    /// `POST /v1/intents`: registers an intent for people to approve.
    ///
    /// # Errors
    /// [`ClientError`]; the problem `intent-refused` when it is not registered.
    pub async fn register(&self, intent: &SignedIntent) -> Result<IntentAnswer, ClientError> {
        self.post("/v1/intents", intent).await
    }

    /// `GET /v1/intents/{source}/{id}`: how an intent stands that was registered.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn intent(&self, id: &IntentId) -> Result<IntentAnswer, ClientError> {
        self.fetch(&path_of(id), ANSWER_MAX_BYTES).await
    }

    /// `POST /v1/intents/{source}/{id}/approvals`: brings what people said of an intent.
    ///
    /// # Errors
    /// [`ClientError`]; the problem `statement-refused` when it counts for nothing.
    pub async fn approve(
        &self,
        id: &IntentId,
        statement: &Statement,
    ) -> Result<IntentAnswer, ClientError> {
        let path = format!("{}/approvals", path_of(id));
        self.post(&path, statement).await
    }

    /// `POST /v1/transactions`: registers a transaction that pays no intent for people to approve.
    ///
    /// # Errors
    /// [`ClientError`]; the problem `transaction-refused` when it is not registered.
    pub async fn register_transaction(
        &self,
        request: &TransactionRequest,
    ) -> Result<TransactionAnswer, ClientError> {
        self.post("/v1/transactions", request).await
    }

    /// `GET /v1/transactions/{entry}`: how a transaction stands that was registered.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn transaction(&self, entry: u64) -> Result<TransactionAnswer, ClientError> {
        let path = format!("/v1/transactions/{entry}");
        self.fetch(&path, ANSWER_MAX_BYTES).await
    }

    /// `POST /v1/transactions/{entry}/approvals`: brings what people said of a transaction.
    ///
    /// # Errors
    /// [`ClientError`]; the problem `statement-refused` when it counts for nothing.
    pub async fn approve_transaction(
        &self,
        entry: u64,
        statement: &Statement,
    ) -> Result<TransactionAnswer, ClientError> {
        let path = format!("/v1/transactions/{entry}/approvals");
        self.post(&path, statement).await
    }

    /// `POST /v1/journal/proofs`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn proofs(&self, request: &ProofsRequest) -> Result<ProofsAnswer, ClientError> {
        self.post("/v1/journal/proofs", request).await
    }

    /// `GET /v1/journal/consistency`: the proof that the tree of the first `to` entries begins with
    /// that of the first `from`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn consistency(&self, from: u64, to: u64) -> Result<ConsistencyAnswer, ClientError> {
        let path = format!("/v1/journal/consistency?from={from}&to={to}");
        self.fetch(&path, ANSWER_MAX_BYTES).await
    }

    /// `GET /v1/journal/tile/…`: a tile or a bundle of commitments. Its bytes are the signer's word: what
    /// shows whether they are the log's is [`tlog::tile::TilePlan`].
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn resource(&self, resource: Resource) -> Result<Vec<u8>, ClientError> {
        let path = format!("/v1/journal/{resource}");
        let answer = self.transport.fetch(&path, TILE_MAX_BYTES).await?;
        Ok(answer.into_bytes())
    }

    /// `GET /v1/journal/bodies`: entries from this one on, so many at most, of which a page has up to
    /// [`BODIES_PER_PAGE_MAX`](crate::journal::BODIES_PER_PAGE_MAX).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn bodies(&self, from: u64, count: usize) -> Result<BodiesAnswer, ClientError> {
        let path = format!("/v1/journal/bodies?from={from}&count={count}");
        self.fetch(&path, BODIES_MAX_BYTES).await
    }

    /// `GET /v1/journal/bundles/{hash}`: the files of a bundle that governed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn bundle(&self, hash: [u8; 32]) -> Result<BundleAnswer, ClientError> {
        let path = format!("/v1/journal/bundles/{}", hex::encode(hash));
        self.fetch(&path, BUNDLE_MAX_BYTES).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        request: &impl Serialize,
    ) -> Result<T, ClientError> {
        let answer = self.transport.post(path, request, ANSWER_MAX_BYTES);
        self.read(answer.await?)
    }

    async fn fetch<T: DeserializeOwned>(&self, path: &str, limit: usize) -> Result<T, ClientError> {
        self.read(self.transport.fetch(path, limit).await?)
    }

    fn read<T: DeserializeOwned>(&self, answer: Success) -> Result<T, ClientError> {
        match answer.status {
            StatusCode::OK => self.transport.read(&answer),
            StatusCode::ACCEPTED => {
                let pending: PendingAnswer = self.transport.read(&answer)?;
                Err(ClientError::Pending(Box::new(pending)))
            }
            status => Err(self.transport.malformed(status, Oddity::MediaType)),
        }
    }
}

/// The path of an intent: a source's and an intent's name need no escape.
fn path_of(id: &IntentId) -> String {
    format!("/v1/intents/{}/{}", id.source, id.id)
}
