//! `POST /v1/statements`: what attesters saw, and that people are there. Who brings it counts for nothing; who
//! signed it does.

use api::{
    problem::{Problem, ProblemKind},
    server::Answer,
    signing::Statement,
};
use policy::{
    Resumed, StateError,
    statement::{Header, Heartbeat, Kind, StatementError},
};

use super::governance::{SIGNATURES_MAX_BYTES, joined};
use crate::{
    log::chain,
    service::{Service, ask},
};

/// The longest signature that an entry holds, in bytes: one, by the longest key that is taken.
const SIGNATURE_MAX_BYTES: usize = 4 * 1024;

/// Takes what an attester said. The very same statement again changes nothing.
///
/// # Errors
/// A problem that says why it counts for nothing.
pub async fn attest(service: &Service, body: &Statement) -> Result<Answer, Problem> {
    let header = Header::parse(&body.statement);
    if header.is_ok_and(|(header, _)| header.kind == Kind::Heartbeat) {
        return heartbeat(service, body).await;
    }
    let signature = body.signatures.concat();
    if signature.len() > SIGNATURE_MAX_BYTES {
        let detail = format!("it has more than {SIGNATURE_MAX_BYTES} bytes");
        return Err(refused(detail).at("signatures"));
    }
    let attesting = {
        let state = service.journal.state();
        state.attesting(&body.statement, &signature)
    };
    let said = attesting.map_err(|error| refused(chain(&error)))?;
    let (attester, key) = (said.attester.clone(), said.key.clone());
    let taken = ask(|reply| service.journal.attest(said, reply)).await?;
    match taken {
        Ok(()) => tracing::info!(%attester, key, "attested"),
        Err(StateError::SaidAlready) => {}
        Err(error) => return Err(refused(chain(&error))),
    }
    Ok(Answer::empty())
}

/// Takes what people said of being there. The very same statement again changes nothing.
async fn heartbeat(service: &Service, body: &Statement) -> Result<Answer, Problem> {
    let signatures = body.signatures.concat();
    if signatures.len() > SIGNATURES_MAX_BYTES {
        let detail = format!("they have more than {SIGNATURES_MAX_BYTES} bytes");
        return Err(refused(detail).at("signatures"));
    }
    let wrong = |error: StatementError| refused(chain(&error)).at("statement");
    let said = Heartbeat::parse(&body.statement).map_err(wrong)?;
    said.check(service.journal.origin()).map_err(wrong)?;
    let policy = service.policy()?;
    if policy.heartbeat.is_none() {
        return Err(refused(StateError::NoHeartbeat.to_string()));
    }
    let signed_by = said.signed_by(&signatures, &policy);
    let by = Resumed {
        hash: said.hash(),
        statement: body.statement.clone(),
        signatures,
        signed_by: signed_by.map_err(wrong)?,
    };
    let people = joined(&by.signed_by);
    let taken = ask(|reply| service.journal.heartbeat(by, reply)).await?;
    match taken {
        Ok(()) => tracing::info!(people, at = %said.at, "people are there"),
        Err(StateError::SaidAlready) => {}
        Err(error) => return Err(refused(chain(&error))),
    }
    Ok(Answer::empty())
}

fn refused(why: String) -> Problem {
    Problem::new(ProblemKind::StatementRefused, format!("{why}."))
}
