//! The state from its parts.

use std::collections::BTreeMap;

use thiserror::Error;
use tx::Name;

use super::{Consumed, HotState, Numbered, Row, State};
use crate::{AttemptId, ChargeState, ChargeStateError, KeptBlocks, window::Windows};

/// Why parts are none of one state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The attempts of a client are not as many as the hot state says, or not in order.
    #[error("the rows do not have the attempts of client {client}")]
    Attempts {
        /// The client.
        client: Name,
    },
    /// A key is consumed by nothing.
    #[error("a key is consumed by nothing")]
    Consumed,
    /// The blocks of charges are not those of the charge state.
    #[error("the charges are not as they were kept")]
    Charges(#[source] ChargeStateError),
}

/// The attempts of each client, by their numbers.
type Attempts = BTreeMap<Name, BTreeMap<u64, AttemptId>>;

impl State {
    /// The state of its hot part, all rows and the charges. No policy governs it before
    /// [`State::activate`] is called with the one of [`HotState::active`].
    ///
    /// Whether the parts are those of a history is not known by that: a hash says it.
    ///
    /// # Errors
    /// [`RestoreError`] for parts that contradict each other.
    pub fn restore<S: AsRef<[u8]>>(
        hot: HotState,
        rows: impl IntoIterator<Item = Row>,
        charges: ChargeState,
        blocks: KeptBlocks<impl IntoIterator<Item = S>>,
    ) -> Result<Self, RestoreError> {
        let (mut state, counts) = hot.thawed();
        let mut numbered = Attempts::new();
        for row in rows {
            state.insert(row, &mut numbered)?;
        }
        for (client, count) in counts {
            let attempts = numbered.remove(&client).unwrap_or_default();
            state.authorise(client, count, &attempts)?;
        }
        if let Some((client, _)) = numbered.pop_first() {
            return Err(RestoreError::Attempts { client });
        }
        state.put_charges(charges, blocks)?;
        Ok(state)
    }

    pub(super) fn put_charges<S: AsRef<[u8]>>(
        &mut self,
        charges: ChargeState,
        blocks: KeptBlocks<impl IntoIterator<Item = S>>,
    ) -> Result<(), RestoreError> {
        self.turned = !charges.is_counted();
        self.windows = Windows::of_parts(charges, blocks).map_err(RestoreError::Charges)?;
        Ok(())
    }

    fn insert(&mut self, row: Row, numbered: &mut Attempts) -> Result<(), RestoreError> {
        match row {
            Row::ClientAttempt(client, number, attempt) => {
                numbered.entry(client).or_default().insert(number, attempt);
            }
            Row::Consumed(_, Consumed { attempts, .. }) if attempts.is_empty() => {
                return Err(RestoreError::Consumed);
            }
            row => self.put(row),
        }
        Ok(())
    }

    fn authorise(
        &mut self,
        client: Name,
        count: u64,
        numbered: &BTreeMap<u64, AttemptId>,
    ) -> Result<(), RestoreError> {
        let are_all = numbered.keys().copied().eq(0..count);
        if !are_all || !numbered.values().is_sorted_by(|one, next| one < next) {
            return Err(RestoreError::Attempts { client });
        }
        let known = numbered.clone();
        self.authorised.insert(client, Numbered { count, known });
        Ok(())
    }
}
