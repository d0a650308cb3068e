//! Taking a new child into service.

use std::{collections::BTreeSet, os::unix::net, sync::Arc};

use tokio::{io::AsyncReadExt, net::UnixStream, time::timeout};
use zeroize::Zeroizing;

use super::{
    AttachError, CallError, KeyPool, MemberId, PoolEvent,
    link::{Closing, Link},
    member::Member,
};
use crate::{
    device::{Essentials, TokenIdentity, TokenSelector},
    key::{KeyId, PublicKey},
    protocol::{Answer, FRAME_MAX, Frame, Hello, Inbox, Request, Text},
};

/// The correlation number of the greeting; calls have others.
const GREETING: u64 = 0;

/// What the token must be.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Its label and serial number.
    pub token: TokenSelector,
    /// Its model and firmware.
    pub profile: Essentials,
}

impl KeyPool {
    /// Takes a new child of a token, at the other end of `socket`, into service in place of the old one.
    /// It was greeted by its owner, by [`greeting`]: the pool waits until it is logged in, holds the token
    /// against what is expected, and finds every registered key on it. `generation` is the owner's number
    /// of the child, by which it is told of it.
    /// Must be called in a Tokio runtime. Ends with [`PoolEvent::Ready`], or with
    /// [`PoolEvent::PinRejected`] when the device rejects the PIN.
    ///
    /// # Errors
    /// [`AttachError`]; the token is then without a child, and the caller ends the new one.
    pub async fn attach(
        &self,
        member: MemberId,
        generation: u32,
        socket: net::UnixStream,
        expected: Expected,
    ) -> Result<TokenIdentity, AttachError> {
        let place = self.member(member).ok_or(AttachError::NoMember)?;
        let _turn = place.attaching.lock().await;
        self.detach(member);
        let member = (Arc::clone(place), generation);
        let outcome = self.greet(member, socket, expected).await;
        let member = place;
        match outcome {
            Ok((identity, link)) => {
                // Before the names can change: whoever changes them looks at what is installed.
                let named = super::read(&self.0.named);
                if !is_named(&named, &identity.serial) {
                    drop(named);
                    link.close(Closing::Detached);
                    let serial = identity.serial;
                    return Err(AttachError::Unnamed { serial });
                }
                let old = member.install(link, identity.serial.clone());
                drop(named);
                if let Some(old) = old {
                    old.close(Closing::Detached);
                }
                member.tell_of(generation, PoolEvent::Ready(identity.clone()));
                Ok(identity)
            }
            Err(error) => {
                if let AttachError::Failed(failure) = &error
                    && error.is_of_pin()
                {
                    member.tell_of(generation, PoolEvent::PinRejected(failure.clone()));
                }
                Err(error)
            }
        }
    }

    async fn greet(
        &self,
        member: (Arc<Member>, u32),
        socket: net::UnixStream,
        expected: Expected,
    ) -> Result<(TokenIdentity, Arc<Link>), AttachError> {
        let config = &self.0.config;
        socket.set_nonblocking(true).map_err(AttachError::Socket)?;
        let mut socket = UnixStream::from_std(socket).map_err(AttachError::Socket)?;
        let mut inbox = Inbox::default();
        let greeting = ready(&mut socket, &mut inbox);
        let (identity, sessions) = timeout(config.slow_deadline, greeting)
            .await
            .map_err(|_| AttachError::Deadline)??;
        if !expected.token.selects(&identity) {
            return Err(AttachError::Token);
        }
        expected
            .profile
            .admits(&identity)
            .map_err(AttachError::Identity)?;
        self.check_named(&identity.serial)?;
        let link = Link::start(socket.into_split(), inbox, sessions, config, member);
        if let Err(error) = self.check_keys(&link).await {
            link.close(Closing::Detached);
            return Err(error);
        }
        Ok((identity, link))
    }

    /// Whether a token may be used.
    pub(super) fn check_named(&self, serial: &Text<16>) -> Result<(), AttachError> {
        match is_named(&super::read(&self.0.named), serial) {
            true => Ok(()),
            false => Err(AttachError::Unnamed {
                serial: serial.clone(),
            }),
        }
    }

    /// Finds the registered keys on every token but the first again, after some were registered. One that
    /// has not got them is lost as a child that ends is; why, when the next is attached.
    pub async fn recheck(&self) {
        for member in self.0.members.iter().skip(1) {
            if let Some(link) = member.link()
                && self.check_keys(&link).await.is_err()
            {
                link.close(Closing::Gone);
            }
        }
    }

    /// Finds every registered key: warm handles, and no charge for a key that is not there.
    async fn check_keys(&self, link: &Link) -> Result<(), AttachError> {
        for (key, public) in self.all_registered() {
            let request = Request::Find { key: key.clone() };
            let found = match self.call_on(link, request).await {
                Ok(Answer::Key(found)) if found.key == key => found,
                Ok(_) => {
                    let error = CallError::Misanswered;
                    return Err(AttachError::Key { key, error });
                }
                Err(error) => return Err(AttachError::Key { key, error }),
            };
            if found.public != public {
                return Err(AttachError::KeyChanged { key });
            }
        }
        Ok(())
    }

    fn all_registered(&self) -> Vec<(KeyId, PublicKey)> {
        let keys = super::read(&self.0.keys);
        keys.iter().map(|(key, p)| (key.clone(), *p)).collect()
    }
}

fn is_named(named: &Option<BTreeSet<String>>, serial: &Text<16>) -> bool {
    let named = named.as_ref();
    named.is_none_or(|named| named.contains(serial.as_str()))
}

/// The frame with which a child is greeted, PIN and all. Who starts the child sends it; the pool
/// never sees the PIN.
pub fn greeting(hello: Hello) -> Zeroizing<Vec<u8>> {
    // Never reallocated, so that no copy of the PIN is left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FRAME_MAX));
    Frame {
        correlation: GREETING,
        message: Request::Hello(hello),
    }
    .append_to(&mut bytes);
    bytes
}

/// Waits for the child's answer to the greeting.
async fn ready(
    socket: &mut UnixStream,
    inbox: &mut Inbox,
) -> Result<(TokenIdentity, u16), AttachError> {
    let answer = loop {
        if let Some(frame) = inbox.frame::<Answer>().map_err(AttachError::Decode)? {
            break frame;
        }
        match socket.read(inbox.spare()).await {
            Ok(0) => return Err(AttachError::Ended),
            Ok(length) => inbox.received(length),
            Err(error) => return Err(AttachError::Socket(error)),
        }
    };
    match answer.message {
        _ if answer.correlation != GREETING => Err(AttachError::Misanswered),
        Answer::Ready { identity, sessions } => Ok((identity, sessions)),
        Answer::Failed(failure) => Err(AttachError::Failed(failure)),
        _ => Err(AttachError::Misanswered),
    }
}
