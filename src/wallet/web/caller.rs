//! Who asks, and what they may.

use std::time::Duration;

use api::{
    problem::{Problem, ProblemKind},
    server::Credentials,
};
use axum::{extract::FromRequestParts, http::request::Parts};
use tx::Name;

use super::{App, Client, Grant, fault::Fault};

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) name: Name,
    pub(super) client: Client,
    /// How long the body may take.
    pub(super) patience: Duration,
}

impl Caller {
    /// The one client with these credentials. A certificate that fits two is nobody's.
    pub(super) fn of(app: &App, credentials: &Credentials, patience: Duration) -> Option<Self> {
        let mut fitting = app
            .clients
            .iter()
            .filter(|(_, client)| credentials.holds_uri(&client.uri));
        let (name, client) = fitting.next()?;
        fitting.next().is_none().then(|| Self {
            name: name.clone(),
            client: client.clone(),
            patience,
        })
    }

    pub(super) fn may(&self, grant: Grant) -> bool {
        self.client.grants.contains(&grant)
    }

    /// The source that is asked about: the client's own, or another's for who decides.
    pub(super) fn source(&self, asked: Option<Name>) -> Result<Name, Fault> {
        match asked {
            Some(other) if other != self.client.source && !self.may(Grant::Decide) => {
                let detail = "The client sees withdrawals of its own source only.";
                Err(Problem::new(ProblemKind::NotGranted, detail)
                    .at("source")
                    .into())
            }
            Some(source) => Ok(source),
            None => Ok(self.client.source.clone()),
        }
    }

    /// The one source that the client sees; `None` for all.
    pub(super) fn sees(&self) -> Option<&Name> {
        (!self.may(Grant::Decide)).then_some(&self.client.source)
    }

    fn granted(parts: &Parts, grant: Grant) -> Result<Self, Fault> {
        let caller: &Self = parts.extensions.get().ok_or_else(Fault::nobody)?;
        if caller.may(grant) {
            return Ok(caller.clone());
        }
        let detail = format!("The configuration does not grant this to {}.", caller.name);
        Err(Problem::new(ProblemKind::NotGranted, detail).into())
    }
}

macro_rules! granted {
    ($($(#[$doc:meta])* $name:ident = $grant:ident;)*) => {$(
        $(#[$doc])*
        pub(super) struct $name(pub(super) Caller);

        impl<S: Sync> FromRequestParts<S> for $name {
            type Rejection = Fault;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
                Caller::granted(parts, Grant::$grant).map(Self)
            }
        }
    )*};
}

// A verb that takes one of these cannot be called by a client without its grant.
granted! {
    /// Who may ask for withdrawals.
    Withdrawer = Withdraw;
    /// Who may look.
    Reader = Read;
    /// Who decides what waits for a person.
    Decider = Decide;
    /// Who books deposits.
    Creditor = Credit;
}
