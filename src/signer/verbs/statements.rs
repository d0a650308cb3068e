//! `POST /v1/statements`: what attesters saw. Who brings it counts for nothing; who signed it does.

use api::{
    problem::{Problem, ProblemKind},
    server::Answer,
    signing::Statement,
};
use policy::StateError;

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

fn refused(why: String) -> Problem {
    Problem::new(ProblemKind::StatementRefused, format!("{why}."))
}
