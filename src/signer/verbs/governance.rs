//! `/v1/governance`: which bundle governs, which one waits, and statements of officers.

use std::collections::BTreeSet;

use api::{
    governance::{
        BookContent, FrozenScope, GovernanceAnswer, LoadedBook, ProposedBundle, RecoverySet,
    },
    problem::{Problem, ProblemKind},
    server::Answer,
    signing::{Statement, StatementAnswer},
};
use hyper::StatusCode;
use journal::Lifted;
use policy::{
    BookApart, BookStep, BookVetoed, BundleQuorum, FreezeScope, FreezeState, FrozenBy, Policy,
    PolicyVetoed, Proposed, Recovery, Resumed, State,
    statement::{BookVeto, Freeze, Header, Kind, StatementError, Unfreeze, Veto},
};
use tx::Name;

use crate::{
    log::chain,
    service::{Service, ask},
};

/// The longest signatures that an entry holds, in bytes.
pub(crate) const SIGNATURES_MAX_BYTES: usize = 32 * 1024;

/// Which bundle governs, and which one waits.
///
/// # Errors
/// A problem before the first bundle is active.
pub fn governance(service: &Service) -> Result<Answer, Problem> {
    let time = service.journal.now();
    let state = service.journal.state();
    let policy = state.policy().ok_or_else(super::no_policy)?;
    let governance = &policy.governance;
    let officers = governance.officers.iter().map(ToString::to_string);
    let answer = GovernanceAnswer {
        fleet: policy.fleet.to_string(),
        policy: policy.hash.to_string(),
        sequence: policy.sequence,
        officers: officers.collect(),
        threshold: governance.threshold,
        delay_secs: governance.delay_millis / 1_000,
        proposed: state.proposed().map(proposed),
        recovery: policy.recovery.as_ref().map(recovery),
        unfreeze_delay_secs: governance.unfreeze_delay_millis / 1_000,
        freezes: state.freezes(time.lo).map(frozen).collect(),
        unfrozen: state.last_unfrozen(),
        books: books(&state, policy),
        heartbeat: service
            .heartbeats
            .status(&state, time, service.checkpoints.newest()),
        time,
    };
    Ok(Answer::json(StatusCode::OK, &answer))
}

fn proposed(proposed: &Proposed) -> ProposedBundle {
    let signed_by = proposed.signed_by.iter().map(ToString::to_string);
    ProposedBundle {
        entry: proposed.entry,
        hash: proposed.hash.to_string(),
        sequence: proposed.sequence,
        signed_by: signed_by.collect(),
        not_before: proposed.not_before,
        by_recovery: proposed.quorum == BundleQuorum::Recovery,
    }
}

fn recovery(recovery: &Recovery) -> RecoverySet {
    RecoverySet {
        people: recovery.people.iter().map(ToString::to_string).collect(),
        threshold: recovery.threshold,
        delay_secs: recovery.delay_millis / 1_000,
    }
}

fn books(state: &State, policy: &Policy) -> Vec<LoadedBook> {
    let books = policy.books.iter();
    let apart = books.filter_map(|(name, book)| Some((name, book.apart.as_ref()?)));
    apart
        .map(|(name, apart)| loaded(state, name, apart))
        .collect()
}

fn loaded(state: &State, name: &Name, apart: &BookApart) -> LoadedBook {
    let book = state.book(name);
    let cooling = book.into_iter().flat_map(|book| &book.steps);
    let signers = apart.signers.iter().map(ToString::to_string);
    LoadedBook {
        book: name.to_string(),
        chain: apart.chain.to_string(),
        signers: signers.collect(),
        threshold: apart.threshold,
        cooling_secs: apart.cooling_millis / 1_000,
        sequence: book.map_or(0, |book| book.sequence),
        file: book.map(|book| book.file.to_string()),
        addresses: book.map_or(0, |book| book.addresses),
        is_there: state.is_shelved(name),
        cooling: cooling.map(content).collect(),
    }
}

fn content(step: &BookStep) -> BookContent {
    BookContent {
        sequence: step.sequence,
        entry: step.entry,
        file: step.file.to_string(),
        not_before: step.not_before,
        vetoed: step.vetoed,
    }
}

fn frozen((scope, freeze): (&FreezeScope, &FreezeState)) -> FrozenScope {
    FrozenScope {
        scope: scope.to_string(),
        entry: freeze.at,
        until: freeze.until,
    }
}

/// Takes a statement of officers. Who brings it counts for nothing; who signed it does.
///
/// # Errors
/// A problem that says why it counts for nothing.
pub async fn state(service: &Service, body: &Statement) -> Result<Answer, Problem> {
    let (header, _) =
        Header::parse(&body.statement).map_err(|error| refused(chain(&error)).at("statement"))?;
    let signatures = body.signatures.concat();
    if signatures.len() > SIGNATURES_MAX_BYTES {
        let detail = format!("they have more than {SIGNATURES_MAX_BYTES} bytes");
        return Err(refused(detail).at("signatures"));
    }
    let entry = match header.kind {
        Kind::Veto => veto(service, &body.statement, signatures).await?,
        Kind::BookVeto => veto_book(service, &body.statement, signatures).await?,
        Kind::Freeze => freeze(service, &body.statement, signatures).await?,
        Kind::Unfreeze => unfreeze(service, &body.statement, signatures).await?,
        _ => {
            let detail = format!("{} is decided elsewhere", header.namespace());
            return Err(refused(detail).at("statement"));
        }
    };
    let receipt = Some(super::receipt_of(service, entry)?);
    Ok(Answer::json(StatusCode::OK, &StatementAnswer { receipt }))
}

async fn veto(service: &Service, text: &str, signatures: String) -> Result<u64, Problem> {
    let statement = Veto::parse(text).map_err(|error| of_statement(&error))?;
    let policy = service.policy()?;
    let signed_by = statement.signed_by(&signatures, &policy);
    let signed_by = signed_by.map_err(|error| of_statement(&error))?;
    let vetoed = PolicyVetoed {
        bundle: statement.bundle,
        by: Resumed {
            hash: statement.hash(),
            statement: text.into(),
            signatures,
            signed_by,
        },
    };
    let officers = joined(&vetoed.by.signed_by);
    let taken = ask(|reply| {
        service.journal.veto(vetoed, reply);
        Ok(())
    });
    let entry = taken.await?.map_err(|error| refused(chain(&error)))?;
    tracing::warn!(bundle = %statement.bundle, officers, "the bundle that waited is vetoed");
    Ok(entry)
}

async fn veto_book(service: &Service, text: &str, signatures: String) -> Result<u64, Problem> {
    let statement = BookVeto::parse(text).map_err(|error| of_statement(&error))?;
    let policy = service.policy()?;
    let signed_by = statement.signed_by(&signatures, &policy);
    let signed_by = signed_by.map_err(|error| of_statement(&error))?;
    let sequence = {
        let state = service.journal.state();
        let book = state.book(&statement.book);
        let mut steps = book.into_iter().flat_map(|book| &book.steps);
        steps
            .find(|step| step.entry == statement.entry)
            .map(|step| step.sequence)
    };
    let vetoed = BookVetoed {
        // Of none that is cooling: the state says so.
        sequence: sequence.unwrap_or_default(),
        book: statement.book.clone(),
        by: Resumed {
            hash: statement.hash(),
            statement: text.into(),
            signatures,
            signed_by,
        },
    };
    let officers = joined(&vetoed.by.signed_by);
    let taken = ask(|reply| {
        service.journal.veto_book(vetoed, reply);
        Ok(())
    });
    let entry = taken.await?.map_err(|error| refused(chain(&error)))?;
    tracing::warn!(book = %statement.book, sequence, officers, "what the book changed is vetoed");
    Ok(entry)
}

async fn freeze(service: &Service, text: &str, signatures: String) -> Result<u64, Problem> {
    let statement = Freeze::parse(text).map_err(|error| of_statement(&error))?;
    let signed_by = statement.signed_by(&signatures, &*service.policy()?);
    check_scope(&service.journal.state(), &statement.scope)?;
    let frozen = FrozenBy {
        scope: statement.scope.clone(),
        by: Resumed {
            hash: statement.hash(),
            statement: text.into(),
            signatures,
            signed_by: signed_by.map_err(|error| of_statement(&error))?,
        },
    };
    let officers = joined(&frozen.by.signed_by);
    let taken = ask(|reply| {
        service.journal.freeze_by(frozen, reply);
        Ok(())
    });
    let entry = taken.await?.map_err(|error| refused(chain(&error)))?;
    tracing::warn!(scope = %statement.scope, officers, "frozen");
    Ok(entry)
}

/// Whoever misspells an account believes that it is frozen. The state takes such an entry: a log that has one is
/// good, and bundles come and go.
fn check_scope(state: &State, scope: &FreezeScope) -> Result<(), Problem> {
    let policy = state.policy().ok_or_else(super::no_policy)?;
    let known = match scope {
        FreezeScope::Account(account) => policy.accounts.contains_key(account),
        FreezeScope::Chain(chain) => policy.chains.contains_key(chain),
        FreezeScope::Key(key) => state.registration(key).is_some(),
        FreezeScope::Book(book) => policy.books.contains_key(book),
        FreezeScope::OwnClass(class) => {
            let mut accounts = policy.accounts.values();
            accounts.any(|account| account.class == *class)
        }
        // Everything.
        _ => true,
    };
    match known {
        true => Ok(()),
        false => Err(refused(format!("nothing here is in the scope {scope}")).at("statement")),
    }
}

async fn unfreeze(service: &Service, text: &str, signatures: String) -> Result<u64, Problem> {
    let statement = Unfreeze::parse(text).map_err(|error| of_statement(&error))?;
    let signed_by = statement.signed_by(&signatures, &*service.policy()?);
    let by = Resumed {
        hash: statement.hash(),
        statement: text.into(),
        signatures,
        signed_by: signed_by.map_err(|error| of_statement(&error))?,
    };
    let (scope, officers) = (statement.scope.clone(), joined(&by.signed_by));
    let taken = ask(|reply| {
        service.journal.unfreeze(scope, by, reply);
        Ok(())
    });
    let Lifted { entry, from } = taken.await?.map_err(|error| refused(chain(&error)))?;
    tracing::warn!(scope = %statement.scope, officers, %from, "un-frozen");
    Ok(entry)
}

pub(crate) fn joined(officers: &BTreeSet<Name>) -> String {
    let officers: Vec<&str> = officers.iter().map(Name::as_str).collect();
    officers.join(", ")
}

fn of_statement(error: &StatementError) -> Problem {
    refused(chain(error)).at("statement")
}

fn refused(why: String) -> Problem {
    Problem::new(ProblemKind::StatementRefused, format!("{why}."))
}
