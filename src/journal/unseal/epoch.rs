//! Beginning a new epoch in the journal that is there.

use policy::{
    Entry, Resumed,
    statement::{EpochFound, NewEpoch},
};
use tx::Time;

use super::{ResumeError, Resumption, SIGNATURES_MAX_BYTES, Said, SealedFolder};
use crate::Clock;

/// The first line of a statement by which an epoch begins.
const FIRST_LINE: &str = "strongroom-epoch-v1\n";
/// How many entries a log has that began with an epoch.
pub(super) const BEGUN_ENTRIES: u64 = 3;

/// Whether a text wants to be a statement by which an epoch begins.
pub fn is_epoch(text: &str) -> bool {
    text.starts_with(FIRST_LINE)
}

/// What is written of a statement that enough officers signed.
///
/// # Errors
/// [`ResumeError::Signatures`], [`ResumeError::Statement`].
pub(super) fn signed(
    statement: &NewEpoch,
    signatures: &str,
    policy: &policy::Policy,
) -> Result<Resumed, ResumeError> {
    if signatures.len() > SIGNATURES_MAX_BYTES {
        return Err(ResumeError::Signatures);
    }
    let whole = statement.check_whole(policy);
    whole.map_err(ResumeError::Statement)?;
    let signed_by = statement.signed_by(signatures, policy);
    Ok(Resumed {
        hash: statement.hash(),
        statement: statement.to_string(),
        signatures: signatures.into(),
        signed_by: signed_by.map_err(ResumeError::Statement)?,
    })
}

impl SealedFolder {
    /// Carries out a statement of either kind that enough officers signed. The journal opens when this
    /// returns.
    ///
    /// # Errors
    /// [`ResumeError`]; where it is about the statement, nothing was changed.
    pub fn carry_out(
        self,
        text: &str,
        signatures: &str,
        clock: &dyn Clock,
    ) -> Result<Resumption, ResumeError> {
        match is_epoch(text) {
            true => self.begin_epoch(text, signatures, clock),
            false => self.resume(text, signatures, clock),
        }
    }

    fn begin_epoch(
        mut self,
        text: &str,
        signatures: &str,
        clock: &dyn Clock,
    ) -> Result<Resumption, ResumeError> {
        let statement = NewEpoch::parse(text).map_err(ResumeError::Statement)?;
        let before = match statement.head.size {
            0 => BEGUN_ENTRIES.saturating_sub(1),
            size => size,
        };
        let said = Said {
            hash: statement.hash(),
            before,
            lost: &statement.lost,
            kept: self.kept,
        };
        let store = if self.state.was_resumed_by(&said.hash) {
            self.check_unfinished(&said)?;
            self.open()?
        } else {
            let began = self.epoch_decided(&statement, signatures, clock)?;
            let entry = Entry::EpochBegan(Box::new(began));
            self.append(entry, statement.begins, clock)?
        };
        super::finish(&self.disk, store, &said)
    }

    fn epoch_decided(
        &self,
        statement: &NewEpoch,
        signatures: &str,
        clock: &dyn Clock,
    ) -> Result<Resumed, ResumeError> {
        if self.seal.is_none() {
            return Err(ResumeError::NotSealed);
        }
        let waiting = self.waiting()?.ok_or(ResumeError::NoReport)?;
        let now = Time::from_millis(clock.read().wall_millis);
        let found = EpochFound {
            found: self.stated(waiting.nonce)?,
            sequence: self.policy.sequence,
            epoch: self.state.epoch(),
            last: self.last.lo,
        };
        let checked = statement.check(&found, now);
        checked.map_err(ResumeError::Statement)?;
        signed(statement, signatures, &self.policy)
    }
}
