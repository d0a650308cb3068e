//! The signer over its API.

use std::{
    error::Error,
    sync::{Arc, PoisonError, RwLock},
};

use api::{
    client::{Client, ClientError, Settings, SettingsError},
    known::KnownLog,
    problem::{Problem, ProblemKind},
    signing::{
        AttestedNeed, KeysAnswer, Need, Reason, RequestAnswer, RequestsAnswer, SignAnswer,
        SignRequest,
    },
};
use async_trait::async_trait;

use super::{SignOutcome, Signer, Verdict, becomes, prover::Prover};
use crate::text::{chain, shown};

/// `signerd` behind its API: one HTTP/2 connection that all calls share.
#[derive(Debug)]
pub struct Remote {
    client: Client,
    trouble: RwLock<Option<String>>,
    /// Where the key of the signer's log is pinned.
    prover: Option<Prover>,
}

impl Remote {
    /// Checks the settings. Nothing is connected yet.
    ///
    /// # Errors
    /// [`SettingsError`] names what cannot be used.
    pub fn new(settings: &Settings<'_>) -> Result<Self, SettingsError> {
        Ok(Self {
            client: Client::new(settings)?,
            trouble: RwLock::default(),
            prover: None,
        })
    }

    /// With the signer's log, of which what is decided must be proved before it is sent.
    #[must_use]
    pub fn proved_by(mut self, log: KnownLog) -> Self {
        self.prover = Some(Prover::new(log));
        self
    }

    /// Remembers whether a call was answered at all.
    fn note<T>(&self, result: &Result<T, ClientError>) {
        let trouble = match result {
            Err(
                error @ (ClientError::Unreachable { .. }
                | ClientError::Unknown { .. }
                | ClientError::Malformed { .. }),
            ) => Some(chain(error)),
            Err(ClientError::Problem(problem)) => unusable(problem),
            _ => None,
        };
        let known = self.trouble.read().unwrap_or_else(PoisonError::into_inner);
        if *known != trouble {
            drop(known);
            *self.trouble.write().unwrap_or_else(PoisonError::into_inner) = trouble;
        }
    }

    /// Registers what people are to approve, so that they can be asked. Where that fails they cannot, and it
    /// is tried again with the request.
    async fn register(&self, request: &SignRequest) {
        for intent in &request.intents {
            if let Err(error) = self.client.register(intent).await {
                let (id, error) = (&intent.intent.id, chain(&error));
                tracing::warn!(intent = %id, error, "people cannot be asked for their approval");
            }
        }
    }

    /// An answer about requests or keys; `None` where the signer says that there is none.
    fn found<T>(&self, result: Result<T, ClientError>) -> Result<Option<T>, String> {
        self.note(&result);
        match result {
            Ok(answer) => Ok(Some(answer)),
            Err(ClientError::Problem(problem)) if problem.kind == ProblemKind::NotFound => Ok(None),
            Err(error) => Err(chain(&error)),
        }
    }
}

#[async_trait]
impl Signer for Remote {
    async fn sign(&self, request: &SignRequest) -> SignOutcome {
        let result = self.client.sign(request).await;
        self.note(&result);
        match result {
            Ok(answer) => verified(request, answer),
            Err(error) => {
                if matches!(error, ClientError::Pending(_)) {
                    self.register(request).await;
                }
                outcome(&error)
            }
        }
    }

    /// What was seen of its log is told first: one that runs on an older copy says nothing more.
    async fn keys(&self) -> Result<KeysAnswer, String> {
        if let Some(prover) = &self.prover {
            prover.remind(&self.client).await?;
        }
        let result = self.client.keys().await;
        self.found(result)?
            .ok_or_else(|| "the signer has no keys to tell of".into())
    }

    async fn request(&self, id: &str) -> Result<Option<RequestAnswer>, String> {
        let result = self.client.request(id).await;
        let found = self.found(result)?;
        match found {
            Some(answer) if answer.request_id != id => {
                Err("the signer's answer is about another request".into())
            }
            found => Ok(found),
        }
    }

    async fn requests(&self, after: Option<u64>) -> Result<Vec<RequestAnswer>, String> {
        let mut all = Vec::new();
        let mut after = after;
        loop {
            let page = self.page(after).await?;
            all.extend(page.requests);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }

    async fn page(&self, after: Option<u64>) -> Result<RequestsAnswer, String> {
        let result = self.client.requests(after).await;
        let page = self
            .found(result)?
            .ok_or("the signer has no list of requests")?;
        // A page that does not go on would be asked for without end.
        let rises = |next: u64| after.is_none_or(|after| next > after);
        if !page.next.is_none_or(rises) {
            return Err("the signer's list of requests does not go on".into());
        }
        Ok(page)
    }

    async fn evaluate(&self, request: &SignRequest) -> Verdict {
        let result = self.client.evaluate(request).await;
        self.note(&result);
        match result {
            Ok(_) => Verdict::Allowed,
            Err(error) => verdict(outcome(&error)),
        }
    }

    async fn prove(&self, answer: &SignAnswer) -> Result<(), String> {
        match &self.prover {
            Some(prover) => prover.prove(&self.client, &answer.receipt).await,
            None => Ok(()),
        }
    }

    fn trouble(&self) -> Option<String> {
        self.trouble
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// An answer is believed only with its receipt, and only if it signs what was sent.
fn verified(request: &SignRequest, answer: SignAnswer) -> SignOutcome {
    let unknown = |error: &dyn Error| SignOutcome::Unknown {
        detail: format!("the signer's answer is not used: {}", chain(error)),
    };
    if let Err(error) = answer.verify(request) {
        return unknown(&error);
    }
    if let Err(error) = becomes(&request.transaction, &answer.transaction) {
        return unknown(&error);
    }
    SignOutcome::Signed(Arc::new(answer))
}

/// What a call that was not answered with a signature came to.
fn outcome(error: &ClientError) -> SignOutcome {
    match error {
        ClientError::Pending(pending) => SignOutcome::Pending {
            needs: needs(&pending.needs),
        },
        ClientError::Problem(problem) => said(problem),
        ClientError::Unreachable { .. }
        | ClientError::RequestId
        | ClientError::Unwritable(_)
        | ClientError::Uri(_) => SignOutcome::NotNow {
            sealed: false,
            detail: chain(error),
        },
        _ => SignOutcome::Unknown {
            detail: chain(error),
        },
    }
}

/// What the same answer means to a question by which nothing can be authorised.
fn verdict(outcome: SignOutcome) -> Verdict {
    match outcome {
        SignOutcome::Refused { reasons, needs } => Verdict::Refused { reasons, needs },
        SignOutcome::Pending { needs } => Verdict::Needs { needs },
        SignOutcome::NotNow { detail, .. }
        | SignOutcome::Unknown { detail }
        | SignOutcome::Contradiction { detail } => Verdict::Unknown { detail },
        SignOutcome::Signed(_) => Verdict::Unknown {
            detail: "the signer answers another question than was asked".into(),
        },
    }
}

/// What a problem of the signer means. What is not listed may have been authorised.
fn said(problem: &Problem) -> SignOutcome {
    use ProblemKind as Kind;
    let detail = explained(problem);
    match problem.kind {
        Kind::Refused if contradicts(&problem.reasons) => SignOutcome::Contradiction { detail },
        Kind::Refused => SignOutcome::Refused {
            reasons: problem.reasons.iter().map(reason).collect(),
            needs: needs(&problem.needs),
        },
        // The body was not taken in: no verdict was reached.
        Kind::Malformed | Kind::TooLarge => SignOutcome::Refused {
            reasons: vec![unreadable(problem)],
            needs: Vec::new(),
        },
        Kind::RequestReused => SignOutcome::Contradiction { detail },
        Kind::NoDevice
        | Kind::Busy
        | Kind::TooManyRequests
        | Kind::RequestTimeout
        | Kind::Stopping => SignOutcome::NotNow {
            sealed: false,
            detail,
        },
        // A person must act at the signer or its configuration.
        Kind::Sealed
        | Kind::UnknownClient
        | Kind::NotGranted
        | Kind::NotFound
        | Kind::MethodNotAllowed
        | Kind::MediaType => SignOutcome::NotNow {
            sealed: true,
            detail,
        },
        _ => SignOutcome::Unknown { detail },
    }
}

/// Why a signer that answers cannot be used.
fn unusable(problem: &Problem) -> Option<String> {
    use ProblemKind as Kind;
    matches!(
        problem.kind,
        Kind::NoDevice
            | Kind::Stopping
            | Kind::Sealed
            | Kind::JournalStopped
            | Kind::UnknownClient
            | Kind::NotGranted
    )
    .then(|| explained(problem))
}

/// The signer's journal holds another content of this request or of one of its intents.
fn contradicts(reasons: &[Reason]) -> bool {
    reasons
        .iter()
        .any(|reason| matches!(reason.code.as_str(), "intent-reused" | "request-reused"))
}

fn explained(problem: &Problem) -> String {
    let (title, detail) = (problem.kind.title(), shown(&problem.detail));
    format!("the signer says: {title}: {detail}")
}

fn unreadable(problem: &Problem) -> Reason {
    Reason {
        code: "malformed".into(),
        statement: None,
        at: None,
        detail: explained(problem),
        remedy: "Send what the signer's API describes.".into(),
    }
}

/// A reason as it is stored and shown.
fn reason(reason: &Reason) -> Reason {
    Reason {
        code: shown(&reason.code),
        statement: reason.statement.as_deref().map(shown),
        at: reason.at.as_deref().map(shown),
        detail: shown(&reason.detail),
        remedy: shown(&reason.remedy),
    }
}

fn needs(needs: &[Need]) -> Vec<Need> {
    let need = |need: &Need| Need {
        statement: shown(&need.statement),
        at: shown(&need.at),
        threshold: need.threshold,
        people: need.people.iter().map(|person| shown(person)).collect(),
        attested: need.attested.as_ref().map(|need| AttestedNeed {
            kind: shown(&need.kind),
            within_secs: need.within_secs,
        }),
    };
    needs.iter().map(need).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each kind of problem comes to, in one word.
    fn word(outcome: &SignOutcome) -> &'static str {
        match outcome {
            SignOutcome::Signed(_) => "signed",
            SignOutcome::Refused { .. } => "refused",
            SignOutcome::Pending { .. } => "pending",
            SignOutcome::NotNow { sealed: false, .. } => "not now",
            SignOutcome::NotNow { sealed: true, .. } => "sealed",
            SignOutcome::Unknown { .. } => "unknown",
            SignOutcome::Contradiction { .. } => "contradiction",
        }
    }

    fn because(code: &str) -> Problem {
        let reason = Reason {
            code: code.into(),
            statement: None,
            at: None,
            detail: "It \u{1b}[31mis\u{1b}[0m so.".into(),
            remedy: "None.".into(),
        };
        Problem::new(ProblemKind::Refused, "no").with(vec![reason], Vec::new())
    }

    #[test]
    fn every_kind_of_problem_has_its_meaning() {
        use ProblemKind as Kind;
        for kind in Kind::ALL {
            let expected = match kind {
                Kind::Refused | Kind::Malformed | Kind::TooLarge => "refused",
                Kind::RequestReused => "contradiction",
                Kind::NoDevice
                | Kind::Busy
                | Kind::TooManyRequests
                | Kind::RequestTimeout
                | Kind::Stopping => "not now",
                Kind::Sealed
                | Kind::UnknownClient
                | Kind::NotGranted
                | Kind::NotFound
                | Kind::MethodNotAllowed
                | Kind::MediaType => "sealed",
                // Among them what the signer never says: whatever it is, it may have happened.
                _ => "unknown",
            };
            assert_eq!(
                word(&said(&Problem::new(*kind, "why"))),
                expected,
                "{kind:?}"
            );
        }
        for kind in [
            Kind::JournalStopped,
            Kind::OutcomeUnknown,
            Kind::InProgress,
            Kind::Withheld,
            Kind::Unwitnessed,
            Kind::Internal,
        ] {
            assert_eq!(
                word(&said(&Problem::new(kind, "why"))),
                "unknown",
                "{kind:?}"
            );
        }
    }

    #[test]
    fn another_content_is_a_contradiction_and_an_undeclared_conflict_is_not() {
        assert_eq!(word(&said(&because("intent-reused"))), "contradiction");
        assert_eq!(word(&said(&because("request-reused"))), "contradiction");
        assert_eq!(word(&said(&because("undeclared-conflict"))), "refused");
        assert_eq!(word(&said(&because("limit"))), "refused");
    }

    #[test]
    fn what_was_not_sent_was_not_authorised() {
        let unreachable = ClientError::Unreachable {
            server: "signer:1".into(),
            source: api::client::Obstacle::TimedOut,
        };
        assert_eq!(word(&outcome(&unreachable)), "not now");
        assert_eq!(word(&outcome(&ClientError::RequestId)), "not now");
    }

    #[test]
    fn what_was_sent_and_not_answered_may_have_happened() {
        let server = || "signer:1".to_owned();
        let lost = ClientError::Unknown {
            server: server(),
            source: api::client::Lost::TimedOut,
        };
        assert_eq!(word(&outcome(&lost)), "unknown");
        let odd = ClientError::Malformed {
            server: server(),
            status: 200,
            source: api::client::Oddity::OtherRequest,
        };
        assert_eq!(word(&outcome(&odd)), "unknown");
    }

    #[test]
    fn a_verdict_is_what_the_same_answer_says_of_a_signature() {
        let refused = verdict(said(&because("limit")));
        assert!(matches!(refused, Verdict::Refused { reasons, .. } if reasons[0].code == "limit"));
        for kind in [
            ProblemKind::Sealed,
            ProblemKind::Busy,
            ProblemKind::Internal,
        ] {
            let unknown = verdict(said(&Problem::new(kind, "why")));
            assert!(matches!(unknown, Verdict::Unknown { .. }), "{kind:?}");
        }
        let needs = verdict(SignOutcome::Pending { needs: Vec::new() });
        assert_eq!(needs, Verdict::Needs { needs: Vec::new() });
    }

    #[test]
    fn people_are_waited_for() {
        let pending = api::signing::PendingAnswer {
            request_id: "r".into(),
            needs: Vec::new(),
        };
        assert_eq!(
            word(&outcome(&ClientError::Pending(Box::new(pending)))),
            "pending"
        );
    }

    #[test]
    fn what_the_signer_says_is_shown_without_its_control_characters() {
        let SignOutcome::Refused { reasons, .. } = said(&because("limit")) else {
            panic!("it is refused");
        };
        assert!(!reasons[0].detail.contains('\u{1b}'), "{reasons:?}");
    }

    #[test]
    fn an_answer_without_its_receipt_is_not_used() {
        let request = SignRequest {
            request_id: "eip155:1:0x0:0".into(),
            lane_epoch: 1,
            intents: Vec::new(),
            replaces: Vec::new(),
            transaction: tx::Transaction::Eip2718 {
                chain: "eip155:1".parse().unwrap(),
                from: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8".into(),
                payload: "0x02c20102".into(),
            },
            proofs: Vec::new(),
        };
        let answer = SignAnswer {
            request_id: request.request_id.clone(),
            attempt: 3,
            transaction: tx::SignedTransaction {
                raw: "02c50102010506".into(),
                txid: "0x00".into(),
            },
            receipt: api::signing::Receipt {
                version: 1,
                log: "00".repeat(32),
                entry: 3,
                salt: "00".repeat(32),
                body: "{}".into(),
                inclusion: None,
            },
        };
        assert_eq!(word(&verified(&request, answer)), "unknown");
    }
}
