//! What attesters said became of attempts.

use tx::{Name, Time};

use super::{NotRecalled, RowKey, State, StateError};
use crate::{
    Attempt, AttemptId, AttestationKind, Attested, Digest, Policy, RequestHash, RequestState,
    code::Code,
    statement::{Attestation, Fate, Seen},
};

/// What an attester said of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FateSaid {
    /// Who said it.
    pub attester: Name,
    /// What became of it.
    pub fate: Fate,
    /// The statement's number.
    pub number: u64,
    /// Its hash.
    pub hash: Digest,
    /// The key that it was signed with.
    pub key: Box<str>,
}

impl State {
    /// What each attester said last of an attempt, in the order of their names.
    ///
    /// # Errors
    /// [`NotRecalled`].
    pub fn fates(&self, attempt: AttemptId) -> Result<&[FateSaid], NotRecalled> {
        let said = self.fates.get(&attempt).map(Vec::as_slice);
        let said = self.found(said, || RowKey::Fate(attempt))?;
        Ok(said.unwrap_or_default())
    }

    /// Whether an attempt is in a final block, as enough attesters say.
    ///
    /// # Errors
    /// [`NotRecalled`].
    pub fn is_final(&self, attempt: AttemptId) -> Result<bool, NotRecalled> {
        let said = self.fates(attempt)?;
        Ok(self
            .policy()
            .is_some_and(|policy| is_said(policy, said, Fate::Final)))
    }

    /// Whether an attempt can never be included: of one that is signed enough attesters say so, and none of
    /// them that it is final. One that is not signed, and too old to be finished, is signed as another
    /// attempt or never. Nothing is dead where the bundle asks nobody.
    ///
    /// # Errors
    /// [`NotRecalled`].
    pub fn is_dead(&self, id: AttemptId, lo: Time) -> Result<bool, NotRecalled> {
        let Some(attempt) = self.attempt(id)? else {
            return Ok(false);
        };
        let Some(policy) = self.policy() else {
            return Ok(false);
        };
        let said = match attempt.is_signed() {
            true => self.fates(id)?,
            false => &[],
        };
        let standing = Standing::of(policy, attempt.is_signed(), said);
        Ok(standing.is_dead(attempt.charged_at(), lo))
    }

    /// What a re-issue says of earlier attempts is so. A fold without bundles takes the entry's word for it.
    pub(super) fn validate_dead(&self, lo: Time, attempt: &Attempt) -> Result<(), StateError> {
        if self.policy().is_none() {
            return Ok(());
        }
        let reissued = attempt.facts.iter().filter(|fact| !fact.dead.is_empty());
        for fact in reissued {
            let intent = fact.intent.as_ref().ok_or(StateError::NotDead)?;
            let known = self.intent(intent).map_err(StateError::NotRecalled)?;
            let known = known.ok_or(StateError::NotDead)?;
            if !known.attempts().iter().eq(&fact.dead) {
                return Err(StateError::NotDead);
            }
            for id in &fact.dead {
                if !self.is_dead(*id, lo).map_err(StateError::NotRecalled)? {
                    return Err(StateError::NotDead);
                }
            }
        }
        Ok(())
    }

    /// What an attester said of an attempt before.
    pub(super) fn fate_said(
        &self,
        attempt: AttemptId,
        attester: &Name,
    ) -> Result<Option<&FateSaid>, StateError> {
        let said = self.fates(attempt).map_err(StateError::NotRecalled)?;
        Ok(said.iter().find(|said| said.attester == *attester))
    }

    /// Whether an attempt is the one that was asked for so, and signed; and whether the attester says something
    /// new of it. What is dead may turn out to be final; the other way there is none.
    pub(super) fn is_fate(
        &self,
        policy: &Policy,
        attester: &Name,
        (attempt, request, fate): (AttemptId, RequestHash, Fate),
    ) -> Result<(), StateError> {
        let known = self.attempt(attempt).map_err(StateError::NotRecalled)?;
        let known = known.ok_or(StateError::UnknownAttempt { attempt })?;
        if known.request_hash() != request {
            return Err(StateError::OtherRequest { attempt });
        }
        if !known.is_signed() {
            return Err(StateError::NotSigned { attempt });
        }
        match self.fate_said(attempt, attester)? {
            Some(said) if !said.counts(policy) => Ok(()),
            Some(said) if said.fate == fate => Err(StateError::SaidAlready),
            Some(said) if said.fate == Fate::Final => Err(StateError::IsFinal { attempt }),
            _ => Ok(()),
        }
    }

    pub(super) fn take_fate(&mut self, attempt: AttemptId, said: FateSaid) {
        said.among(self.fates.entry(attempt).or_default());
    }
}

/// How an attempt stands, by what the attesters of a bundle say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It may confirm.
    Open,
    /// It is not signed, and dead once it is too old to be finished.
    Unsigned,
    /// It can never be included.
    Dead,
    /// It is in a final block.
    Final,
}

impl Standing {
    pub(super) fn of(policy: &Policy, is_signed: bool, said: &[FateSaid]) -> Self {
        if is_said(policy, said, Fate::Final) {
            return Self::Final;
        }
        if policy.attestations.needed(AttestationKind::Dead) == 0 {
            return Self::Open;
        }
        if !is_signed {
            return Self::Unsigned;
        }
        let is_alive = counted(policy, said, Fate::Final).next().is_some();
        match !is_alive && is_said(policy, said, Fate::Dead) {
            true => Self::Dead,
            false => Self::Open,
        }
    }

    /// Whether an attempt that was charged at `at` can never be included any more at `lo`.
    pub(crate) fn is_dead(self, at: Time, lo: Time) -> bool {
        self == Self::Dead || self.lapses(at).is_some_and(|lapses| lapses <= lo)
    }

    /// From when on one that is not signed is dead.
    pub(crate) fn lapses(self, at: Time) -> Option<Time> {
        let millis = RequestState::FINISHABLE_MILLIS.saturating_add(1);
        (self == Self::Unsigned).then(|| at.after_millis(millis))
    }
}

impl FateSaid {
    pub(super) fn of(statement: &Attestation, said: &Attested, fate: Fate) -> Self {
        Self {
            attester: statement.attester.clone(),
            fate,
            number: statement.number,
            hash: said.hash,
            key: said.key.as_str().into(),
        }
    }

    /// Puts it in the place of what the attester said before.
    pub(super) fn among(self, all: &mut Vec<Self>) {
        match all.binary_search_by(|other| other.attester.cmp(&self.attester)) {
            Ok(place) => {
                if let Some(known) = all.get_mut(place) {
                    *known = self;
                }
            }
            Err(place) => all.insert(place, self),
        }
    }

    /// Whether the bundle names the attester for it, with the key.
    fn counts(&self, policy: &Policy) -> bool {
        let attester = policy.attestations.attesters.get(&self.attester);
        attester.is_some_and(|attester| {
            attester.says.contains(&self.fate.kind()) && attester.line(&self.key).is_some()
        })
    }
}

/// Those that count of what attesters say became of an attempt.
fn counted<'a>(
    policy: &'a Policy,
    said: &'a [FateSaid],
    fate: Fate,
) -> impl Iterator<Item = &'a FateSaid> {
    let said = said.iter();
    said.filter(move |said| said.fate == fate && said.counts(policy))
}

fn is_said(policy: &Policy, said: &[FateSaid], fate: Fate) -> bool {
    let needed = policy.attestations.needed(fate.kind());
    let saying = counted(policy, said, fate).count();
    needed > 0 && usize::try_from(needed).is_ok_and(|needed| saying >= needed)
}

impl Code for Fate {
    fn write(&self, to: &mut Vec<u8>) {
        to.push(match self {
            Self::Final => 0,
            Self::Dead => 1,
        });
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        match u8::read(from)? {
            0 => Some(Self::Final),
            1 => Some(Self::Dead),
            _ => None,
        }
    }
}

impl Code for FateSaid {
    fn write(&self, to: &mut Vec<u8>) {
        self.attester.write(to);
        self.fate.write(to);
        self.number.write(to);
        self.hash.write(to);
        self.key.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            attester: Code::read(from)?,
            fate: Code::read(from)?,
            number: Code::read(from)?,
            hash: Code::read(from)?,
            key: Code::read(from)?,
        })
    }
}

/// What a statement of an attester says of which attempt.
pub(super) fn fate_of(said: &Attested) -> Option<(AttemptId, FateSaid)> {
    let statement = Attestation::parse(&said.statement).ok()?;
    match statement.seen {
        Seen::Fate { attempt, fate, .. } => Some((attempt, FateSaid::of(&statement, said, fate))),
        _ => None,
    }
}

/// The attempt that a statement of an attester is about, of its text.
pub(super) fn attempt_of(said: &Attested) -> Option<AttemptId> {
    match Attestation::parse(&said.statement).ok()?.seen {
        Seen::Fate { attempt, .. } => Some(attempt),
        _ => None,
    }
}
