//! `signerd`, as a lane sees it.

mod becomes;
mod prover;
mod remote;

pub use self::{
    becomes::{NotTheSame, becomes},
    remote::Remote,
};

use api::signing::{
    KeysAnswer, Need, Reason, RequestAnswer, RequestsAnswer, SignAnswer, SignRequest,
};
use async_trait::async_trait;
use std::sync::Arc;

use crate::change::Adopt;

/// What a call to sign came to.
#[derive(Clone, Debug)]
#[must_use]
pub enum SignOutcome {
    /// It is signed, and the receipt was verified against the request.
    Signed(Arc<SignAnswer>),
    /// The signer refuses; this call authorised nothing.
    Refused {
        /// Everything that spoke against it.
        reasons: Vec<Reason>,
        /// What it would wait for besides.
        needs: Vec<Need>,
    },
    /// People or attesters are needed first; this call authorised nothing.
    Pending {
        /// What is needed.
        needs: Vec<Need>,
    },
    /// Not now; this call authorised nothing. Nothing was sent, or the signer has no device, is
    /// busy, stopping or sealed.
    NotNow {
        /// Whether a person must act at the signer first.
        sealed: bool,
        /// What happened, for people.
        detail: String,
    },
    /// It may have been authorised, or signed. Ask again with the same request.
    Unknown {
        /// What happened, for people.
        detail: String,
    },
    /// The signer knows the request's id, or an intent's, with another content: this store and the
    /// signer's journal contradict each other.
    Contradiction {
        /// What, for people.
        detail: String,
    },
}

/// What the signer's policy would say of a request now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It would be signed.
    Allowed,
    /// It would wait for people or attesters.
    Needs {
        /// What is needed.
        needs: Vec<Need>,
    },
    /// It would be refused.
    Refused {
        /// Everything that speaks against it.
        reasons: Vec<Reason>,
        /// What it would wait for besides.
        needs: Vec<Need>,
    },
    /// Nobody could be asked, or what was asked is not what will be.
    Unknown {
        /// Why, for people.
        detail: String,
    },
}

/// The signer's journal, as far as it concerns one lane, compared with this store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The last journal index that was looked at.
    pub to: Option<u64>,
    /// What the signer authorised on this lane and this store does not know.
    pub unknown: Vec<Adopt>,
    /// The lane's epoch at the signer.
    pub epoch: u64,
    /// EVM: the next new nonce at the signer.
    pub next_nonce: Option<u64>,
}

/// The signer. What it answers is checked before it is returned.
#[async_trait]
pub trait Signer: Send + Sync + 'static {
    /// `POST /v1/sign`.
    async fn sign(&self, request: &SignRequest) -> SignOutcome;

    /// `GET /v1/keys`.
    ///
    /// # Errors
    /// What happened, for people.
    async fn keys(&self) -> Result<KeysAnswer, String>;

    /// `GET /v1/requests/{id}`: `None` only if the signer answered that it does not know it.
    ///
    /// # Errors
    /// What happened, for people.
    async fn request(&self, id: &str) -> Result<Option<RequestAnswer>, String>;

    /// `GET /v1/requests?after=`, all pages: everything that was authorised after a journal index.
    ///
    /// # Errors
    /// What happened, for people.
    async fn requests(&self, after: Option<u64>) -> Result<Vec<RequestAnswer>, String>;

    /// `GET /v1/requests?after=`, one page.
    ///
    /// # Errors
    /// What happened, for people.
    async fn page(&self, after: Option<u64>) -> Result<RequestsAnswer, String> {
        let requests = self.requests(after).await?;
        Ok(RequestsAnswer {
            requests,
            next: None,
        })
    }

    /// `POST /v1/evaluate`: nothing is consumed.
    async fn evaluate(&self, request: &SignRequest) -> Verdict {
        let id = &request.request_id;
        Verdict::Unknown {
            detail: format!("this signer says nothing of {id} before it is asked to sign"),
        }
    }

    /// Waits until the signer's log provably contains the decision of an answer, where the log's key is
    /// pinned; nothing that was decided is sent before.
    ///
    /// # Errors
    /// What happened, for people; it may be asked again.
    async fn prove(&self, _answer: &SignAnswer) -> Result<(), String> {
        Ok(())
    }

    /// Why the last call was not answered, if it was not.
    fn trouble(&self) -> Option<String> {
        None
    }
}
