//! A coordinator, as the commands ask it.

use std::time::Duration;

use api::client::wallet::{Client, Deed, Once, Which};
use api::client::{ClientError, Obstacle};
use api::problem::{Problem, ProblemKind};
use api::wallet::{
    CreditAnswer, Explanation, LaneReport, NewCredit, NewWithdrawal, QuoteAnswer, QuoteRequest,
    SettleRequest, StatusAnswer, Withdrawal, WithdrawalsAnswer,
};
use serde_json::Value;
use tokio::runtime::Runtime;
use tx::{IntentKey, Name};

use super::error::SignerError;
use crate::failure::{Exit, Explained};
use crate::transaction::base_units::BaseUnitsError;

/// A coordinator, and what is needed to ask it.
pub struct Wallet {
    client: Client,
    runtime: Runtime,
}

/// Why a coordinator could not be asked, or said no.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalletError {
    /// It cannot be reached with what is known of it.
    #[error(transparent)]
    Peer(SignerError),
    /// A wish was not answered with a yes.
    #[error(transparent)]
    Told(SignerError),
    /// A question was not answered. It changed nothing, whatever became of it.
    #[error(transparent)]
    Asked(SignerError),
    /// An amount is none.
    #[error("--{option} cannot be read")]
    Amount {
        /// The option.
        option: &'static str,
        /// Why not.
        #[source]
        source: BaseUnitsError,
    },
    /// A text is neither a time nor a span.
    #[error("{text:?} is no time and no span")]
    Expiry {
        /// The text.
        text: String,
    },
    /// No highest fee was given and the coordinator cannot tell one.
    #[error("the coordinator cannot tell what the network takes")]
    NoFee {
        /// Why not.
        detail: Option<String>,
    },
    /// The time for following is up.
    #[error("{id} is {stage} after {seconds} s")]
    StillOpen {
        /// The withdrawal.
        id: IntentKey,
        /// How far it is.
        stage: &'static str,
        /// How long it was followed.
        seconds: u64,
    },
}

impl Wallet {
    pub(super) fn new(client: Client, runtime: Runtime) -> Self {
        Self { client, runtime }
    }

    /// Asks for a withdrawal.
    ///
    /// # Errors
    /// [`WalletError::Told`].
    pub fn withdraw(&self, new: &NewWithdrawal) -> Result<Once<Withdrawal>, WalletError> {
        self.tell(self.client.withdraw(new))
    }

    /// Books a deposit.
    ///
    /// # Errors
    /// [`WalletError::Told`].
    pub fn credit(&self, new: &NewCredit) -> Result<Once<CreditAnswer>, WalletError> {
        self.tell(self.client.credit(new))
    }

    /// Cancels, approves or rejects.
    ///
    /// # Errors
    /// [`WalletError::Told`].
    pub fn decide(
        &self,
        deed: Deed,
        source: Option<&Name>,
        id: &IntentKey,
    ) -> Result<Withdrawal, WalletError> {
        self.tell(self.client.decide(deed, source, id))
    }

    /// Says what came of a transaction that did not log its payment.
    ///
    /// # Errors
    /// [`WalletError::Told`].
    pub fn settle(
        &self,
        source: Option<&Name>,
        id: &IntentKey,
        request: &SettleRequest,
    ) -> Result<Withdrawal, WalletError> {
        self.tell(self.client.settle(source, id, request))
    }

    /// Has a halted lane compared anew.
    ///
    /// # Errors
    /// [`WalletError::Told`].
    pub fn open_lane(&self, lane: &str) -> Result<LaneReport, WalletError> {
        self.tell(self.client.open_lane(lane))
    }

    /// What a withdrawal would cost.
    ///
    /// # Errors
    /// [`WalletError::Asked`].
    pub fn quote(&self, request: &QuoteRequest) -> Result<QuoteAnswer, WalletError> {
        self.ask(self.client.quote(request))
    }

    /// A withdrawal.
    ///
    /// # Errors
    /// [`WalletError::Asked`].
    pub fn withdrawal(
        &self,
        source: Option<&Name>,
        id: &IntentKey,
    ) -> Result<Withdrawal, WalletError> {
        self.ask(self.client.withdrawal(source, id))
    }

    /// Withdrawals.
    ///
    /// # Errors
    /// [`WalletError::Asked`].
    pub fn withdrawals(&self, which: &Which) -> Result<WithdrawalsAnswer, WalletError> {
        self.ask(self.client.withdrawals(which))
    }

    /// Everything about a withdrawal, with all of its events.
    ///
    /// # Errors
    /// [`WalletError::Asked`].
    pub fn explain(
        &self,
        source: Option<&Name>,
        id: &IntentKey,
    ) -> Result<Explanation, WalletError> {
        let mut whole = self.glance(source, id)?;
        while let Some(event) = whole.next {
            let more = self.ask(self.client.explain_after(source, id, event))?;
            whole.events.extend(more.events);
            // It must go on, or it would be asked for ever.
            whole.next = more.next.filter(|next| *next > event);
        }
        Ok(whole)
    }

    /// The same with its first events only.
    ///
    /// # Errors
    /// [`WalletError::Asked`].
    pub fn glance(
        &self,
        source: Option<&Name>,
        id: &IntentKey,
    ) -> Result<Explanation, WalletError> {
        self.ask(self.client.explain(source, id))
    }

    /// The coordinator itself.
    ///
    /// # Errors
    /// [`WalletError::Asked`].
    pub fn status(&self) -> Result<StatusAnswer, WalletError> {
        self.ask(self.client.status())
    }

    /// Lets time pass.
    pub fn pause(&self, time: Duration) {
        self.runtime
            .block_on(async { tokio::time::sleep(time).await });
    }

    fn ask<T>(&self, call: impl Future<Output = Result<T, ClientError>>) -> Result<T, WalletError> {
        let answer = self.runtime.block_on(call);
        answer.map_err(|error| WalletError::Asked(SignerError::Ask(error)))
    }

    fn tell<T>(
        &self,
        call: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, WalletError> {
        let answer = self.runtime.block_on(call);
        answer.map_err(|error| WalletError::Told(SignerError::Sign(error)))
    }
}

impl WalletError {
    /// The problem that was answered, if one was.
    pub fn problem(&self) -> Option<&Problem> {
        match self.client_error()? {
            ClientError::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether the same question may be answered in a moment.
    pub fn passes(&self) -> bool {
        let Some(error) = self.client_error() else {
            return false;
        };
        match error {
            ClientError::Problem(problem) => matches!(
                problem.kind,
                ProblemKind::DatabaseUnavailable
                    | ProblemKind::TooManyRequests
                    | ProblemKind::Busy
                    | ProblemKind::Stopping
            ),
            ClientError::Unreachable { source, .. } => {
                matches!(
                    source,
                    Obstacle::Connection(_) | Obstacle::Http(_) | Obstacle::TimedOut
                )
            }
            ClientError::Unknown { .. } => true,
            _ => false,
        }
    }

    fn client_error(&self) -> Option<&ClientError> {
        match self {
            Self::Told(SignerError::Sign(error)) | Self::Asked(SignerError::Ask(error)) => {
                Some(error)
            }
            _ => None,
        }
    }
}

impl Explained for WalletError {
    fn kind(&self) -> &'static str {
        match self {
            Self::Peer(error) | Self::Told(error) | Self::Asked(error) => error.kind(),
            Self::Amount { .. } => "amount",
            Self::Expiry { .. } => "expires",
            Self::NoFee { .. } => "no-fee",
            Self::StillOpen { .. } => "still-open",
        }
    }

    fn exit(&self) -> Exit {
        let kind = self.problem().map(|problem| problem.kind);
        match self {
            // A transaction whose end was not seen may stand.
            Self::Told(_) if kind == Some(ProblemKind::DatabaseUnavailable) => Exit::Unknown,
            Self::Peer(error) | Self::Told(error) | Self::Asked(error) => error.exit(),
            Self::Amount { .. } | Self::Expiry { .. } => Exit::Usage,
            Self::NoFee { .. } => Exit::Refused,
            Self::StillOpen { .. } => Exit::Unknown,
        }
    }

    fn next(&self) -> String {
        if let Some(problem) = self.problem() {
            return of_kind(problem.kind).into();
        }
        match self {
            Self::Told(_) if self.exit() == Exit::Unknown => {
                "It may have happened. Ask again with the same id and the same content: it happens once.".into()
            }
            Self::Told(SignerError::Sign(ClientError::Unreachable { .. }))
            | Self::Asked(SignerError::Ask(ClientError::Unreachable { .. })) => {
                "Nothing was sent. Check that walletd runs and listens at --connect, and the certificates.".into()
            }
            Self::Asked(_) => "Ask again; check that this is walletd, of the same version.".into(),
            Self::Peer(error) | Self::Told(error) => error.next(),
            Self::Amount { .. } => {
                "Write base units, or a number with a unit of the asset's native coin, as 0.5ether or 0.1ltc.".into()
            }
            Self::Expiry { .. } => "Write 30m, 24h or 7d, or a time as 2026-11-20T12:00:00Z.".into(),
            Self::NoFee { .. } => "Give --max-fee, or ask again when the coordinator's nodes answer.".into(),
            Self::StillOpen { id, .. } => {
                format!("It goes on. `strongroom withdrawals explain {id}` says where it is and why it waits.")
            }
        }
    }

    fn why(&self) -> Vec<String> {
        match self {
            Self::Peer(error) | Self::Told(error) | Self::Asked(error) => {
                let mut why = error.why();
                let field = self.problem().and_then(|problem| problem.field.as_deref());
                why.extend(field.map(|field| format!("the field is {}", super::plain(field))));
                why
            }
            Self::Amount { source, .. } => {
                let cause = std::error::Error::source(source).map(ToString::to_string);
                std::iter::once(source.to_string()).chain(cause).collect()
            }
            Self::NoFee { detail } => detail.iter().map(|detail| super::plain(detail)).collect(),
            Self::Expiry { .. } | Self::StillOpen { .. } => Vec::new(),
        }
    }

    fn details(&self) -> Option<Value> {
        match self {
            Self::Peer(error) | Self::Told(error) | Self::Asked(error) => error.details(),
            _ => None,
        }
    }
}

fn of_kind(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::UnknownClient => {
            "Use a certificate whose URI a [[client]] of walletd's configuration names."
        }
        ProblemKind::NotGranted => {
            "Have the configuration grant it to this client, or use another client."
        }
        ProblemKind::WithdrawalReused | ProblemKind::CreditReused => {
            "The stored one stands. Use a new id for a new one."
        }
        ProblemKind::NotNow => "Nothing changed. Look at the withdrawal's stage.",
        ProblemKind::UnknownAsset | ProblemKind::NoLimit => {
            "Check the asset; walletd's configuration names the chains and the limits."
        }
        ProblemKind::InsufficientFunds => "Nothing was frozen. Check the account's balance.",
        ProblemKind::InvalidDestination => {
            "Check the address, its network and its letters; nothing was frozen."
        }
        ProblemKind::DatabaseUnavailable | ProblemKind::Internal => {
            "Ask again with the same id and the same content: it happens once. walletd's log says more."
        }
        ProblemKind::TooManyRequests | ProblemKind::Busy | ProblemKind::Stopping => {
            "Nothing was written. Ask again in a moment."
        }
        ProblemKind::NotFound => "Check the name or the id, and the source with --source.",
        _ => "Check what was asked, and the versions of both ends.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_is_told_from_a_no() {
        for kind in ProblemKind::ALL {
            let problem = || ClientError::Problem(Box::new(Problem::new(*kind, "why")));
            let told = WalletError::Told(SignerError::Sign(problem()));
            let doubtful = matches!(
                kind,
                ProblemKind::DatabaseUnavailable
                    | ProblemKind::Internal
                    | ProblemKind::OutcomeUnknown
                    | ProblemKind::InProgress
                    | ProblemKind::Unwitnessed
            );
            assert_eq!(told.exit() == Exit::Unknown, doubtful, "{kind:?}");
            let asked = WalletError::Asked(SignerError::Ask(problem()));
            assert_eq!(asked.exit(), Exit::Refused, "{kind:?}");
            assert!(!asked.next().is_empty());
        }
    }
}
