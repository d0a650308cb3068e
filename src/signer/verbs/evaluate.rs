//! `POST /v1/evaluate`: the verdict that `sign` would give, with nothing consumed.

use api::{
    problem::{Problem, ProblemKind},
    server::Answer,
    signing::{EvaluateAnswer, PendingAnswer, SignRequest},
};
use hyper::StatusCode;
use policy::Verdict;
use tx::Name;

use super::{Record, understand};
use crate::{
    service::{Service, ask},
    wire,
};

/// Evaluates a request on the state of the moment.
///
/// # Errors
/// A problem: the refusal, or why there is no verdict.
pub async fn evaluate_request(
    service: &Service,
    client: &Name,
    request: &SignRequest,
) -> Result<Answer, Problem> {
    let command = understand(service, client, request, Record::Nothing).await?;
    let verdict = ask(|reply| service.journal.evaluate(command, reply)).await?;
    match verdict {
        Verdict::Permit(permit) => Ok(Answer::json(
            StatusCode::OK,
            &EvaluateAnswer {
                effects: permit.allowed_by().iter().map(wire::covered).collect(),
                limits: permit.room().iter().map(wire::room).collect(),
            },
        )),
        Verdict::Pending(needs) => Ok(pending(request, &needs)),
        Verdict::Refuse(refusal) => Err(refuse(&refusal)),
    }
}

/// There is no answer, because what it hangs on cannot be read.
pub fn unknown(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error, "the state cannot be asked what an answer hangs on");
    Problem::new(ProblemKind::Internal, error.to_string())
}

/// The answer to a request that waits for people.
pub fn pending(request: &SignRequest, needs: &[policy::UnmetNeed]) -> Answer {
    let needs = needs.iter().map(wire::need).collect();
    let body = PendingAnswer {
        request_id: request.request_id.clone(),
        needs,
    };
    Answer::json(StatusCode::ACCEPTED, &body)
}

/// The problem of a request that the policy refuses.
pub fn refuse(refusal: &policy::Refusal) -> Problem {
    let first = refusal.reasons.first().map(|reason| reason.detail.as_str());
    Problem::new(ProblemKind::Refused, first.unwrap_or("The policy refuses.")).with(
        refusal.reasons.iter().map(wire::reason).collect(),
        refusal.needs.iter().map(wire::need).collect(),
    )
}
