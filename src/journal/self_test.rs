//! Self-tests: what keys of their own sign, which no transaction and no checkpoint is.

use policy::{Digest, Entry, KeyAlgorithm, NumberedDigest, State, StateError};
use sha2::{Digest as _, Sha256};
use tx::Name;

use crate::{
    Committed, Reply, SelfTestOrder, SelfTestOutcome,
    command::Stopped,
    group::{OpenGroup, Untaken},
    writer::Writer,
};

/// What every message of a self-test begins with: none is a digest or a checkpoint of anything.
pub const SELF_TEST: &str = "strongroom-self-test-v1";

/// A message that a key of purpose [`policy::KeyPurpose::Test`] shall sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfTest {
    /// The key.
    pub key: Name,
    /// Its algorithm: with ECDSA the message's SHA-256 is signed.
    pub algorithm: KeyAlgorithm,
    /// What distinguishes the message from others.
    pub label: String,
}

impl SelfTest {
    /// The message.
    pub fn message(&self) -> String {
        format!("{SELF_TEST}\n{}\n{}\n", self.key, self.label)
    }
}

/// What was decided of a self-test, before it is durable.
enum Draft {
    Order { index: u64, order: SelfTestOrder },
    Refused(StateError),
}

impl Draft {
    /// The order becomes real here and nowhere else: behind the flush.
    fn behind_flush(self) -> SelfTestOutcome {
        match self {
            Self::Order { index, order } => SelfTestOutcome::Order(Committed::new(index, order)),
            Self::Refused(error) => SelfTestOutcome::Refused(error),
        }
    }
}

impl Writer {
    /// Answers with the order to make the calls of a self-test, behind the flush.
    pub(crate) fn order_self_test(
        &self,
        state: &mut State,
        group: &mut OpenGroup,
        tests: Vec<SelfTest>,
        reply: Reply<Result<SelfTestOutcome, Stopped>>,
    ) -> Result<(), Stopped> {
        let drafted = self.self_test(state, group, tests);
        let reply = Reply::new(|durable: Result<Draft, _>| {
            reply.send(durable.map(Draft::behind_flush));
        });
        group.answer(reply, drafted)
    }

    /// Numbers the calls of a self-test. A key that is frozen is not tested.
    fn self_test(
        &self,
        state: &mut State,
        group: &mut OpenGroup,
        tests: Vec<SelfTest>,
    ) -> Result<Draft, Stopped> {
        let lo = group.now.lo;
        if let Some(frozen) = tests.iter().find(|test| state.is_key_frozen(&test.key, lo)) {
            let key = frozen.key.clone();
            return Ok(Draft::Refused(StateError::KeyFrozen { key }));
        }
        let numbered: Vec<(NumberedDigest, SelfTest)> = (state.next_call()..=u64::MAX)
            .zip(tests)
            .map(|(call, test)| (numbered(call, &test), test))
            .collect();
        let calls = numbered.iter().map(|(call, _)| call.clone()).collect();
        let expected = state.entries();
        match group.offer(state, Entry::SelfTest { calls })? {
            Ok(index) => Ok(Draft::Order {
                index,
                order: SelfTestOrder::new(numbered),
            }),
            Err(Untaken::State(error)) => Ok(Draft::Refused(error)),
            Err(untaken) => Err(untaken.stops(expected)),
        }
    }
}

fn numbered(call: u64, test: &SelfTest) -> NumberedDigest {
    NumberedDigest {
        call,
        key: test.key.clone(),
        algorithm: test.algorithm,
        digest: Digest(Sha256::digest(test.message()).into()),
    }
}
