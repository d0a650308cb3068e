//! Signing what was authorised.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{
    KeyPool, MemberId, PoolEvent, SignError,
    error::Lost,
    link::{Awaited, Link, NotSent},
    member::{Member, Offer},
};
use tx::Scheme;

use crate::{
    authorized::{Authorized, Signing},
    key::PublicKey,
    protocol::{Answer, Request, Sign, SignInput},
    sentinel::Sighting,
    verify::{Signature, SignatureError, SignatureValue},
};

/// A call with what its answer is held against.
struct Call {
    signing: Signing,
    public: PublicKey,
}

/// A call that the child has.
struct InFlight {
    call: Call,
    awaited: Awaited,
}

impl KeyPool {
    /// Makes every signature that was authorised, or none, all by one token. Each is verified under the
    /// registered public half of its key, has a low `s`, and an `r` that was not seen before.
    ///
    /// # Errors
    /// [`SignError`]; its documentation says whether the device was asked. When several signatures
    /// were to be made and one failed, the others are dropped.
    pub async fn sign(&self, authorized: Authorized) -> Result<Vec<Signature>, SignError> {
        self.sign_by(authorized, || self.offer()).await
    }

    /// [`KeyPool::sign`] by one token alone.
    ///
    /// # Errors
    /// [`SignError`].
    pub async fn sign_on(
        &self,
        member: MemberId,
        authorized: Authorized,
    ) -> Result<Vec<Signature>, SignError> {
        let one = || self.member(member).and_then(Member::offer);
        self.sign_by(authorized, one).await
    }

    async fn sign_by(
        &self,
        authorized: Authorized,
        offer: impl FnOnce() -> Option<Offer>,
    ) -> Result<Vec<Signature>, SignError> {
        let calls = self.plan(authorized)?;
        let Offer { member, link, .. } = offer().ok_or(SignError::NoDevice)?;
        let _places = self.place(calls.len()).ok_or(SignError::Busy)?;
        let _load = member.load(calls.len());
        let mut in_flight = Vec::with_capacity(calls.len());
        for call in calls {
            in_flight.push(self.ask(&link, call).await?);
        }
        let mut signatures = Vec::with_capacity(in_flight.len());
        for InFlight { call, awaited } in in_flight {
            let answer = awaited.taken().await;
            signatures.push(self.release(&member, &link, &call, answer)?);
        }
        Ok(signatures)
    }

    /// Everything that can be refused before the device is asked for anything.
    fn plan(&self, authorized: Authorized) -> Result<Vec<Call>, SignError> {
        let signings = authorized.into_signings();
        if signings.is_empty() {
            return Err(SignError::Nothing);
        }
        signings
            .into_iter()
            .map(|signing| {
                let Some(public) = self.registered(&signing.key) else {
                    return Err(SignError::KeyUnregistered { key: signing.key });
                };
                let algorithm = signing.input.algorithm();
                if public.algorithm() != algorithm {
                    let key = signing.key;
                    return Err(SignError::AlgorithmMismatch { key, algorithm });
                }
                Ok(Call { signing, public })
            })
            .collect()
    }

    async fn ask(&self, link: &Link, call: Call) -> Result<InFlight, SignError> {
        let Signing {
            call: number,
            key,
            input,
        } = &call.signing;
        let request = Request::Sign(Sign {
            call: *number,
            key: key.clone(),
            input: input.clone(),
        });
        let awaited = link
            .call(self.0.report.correlation(), request)
            .await
            .map_err(|NotSent| SignError::NoDevice)?;
        Ok(InFlight { call, awaited })
    }

    /// Holds an answer against its call.
    fn release(
        &self,
        member: &Member,
        link: &Arc<Link>,
        call: &Call,
        answer: Result<Answer, Lost>,
    ) -> Result<Signature, SignError> {
        let number = call.signing.call;
        let raw = match answer {
            Ok(Answer::Signed { call, signature }) if call == number => signature,
            Ok(Answer::Failed(failure)) => {
                member.failed_by(&failure);
                return Err(SignError::Failed {
                    call: number,
                    failure,
                });
            }
            Ok(_) => {
                self.0.report.counters.misanswered();
                member.failed();
                return Err(SignError::Misanswered { call: number });
            }
            Err(lost) => return Err(SignError::OutcomeUnknown { call: number, lost }),
        };
        let value = self.check(member, call, raw.as_bytes()).map_err(|error| {
            self.0.report.counters.bad_signature();
            member.failed();
            let key = call.signing.key.clone();
            link.tell_bad_signature(PoolEvent::BadSignature {
                call: number,
                key: key.clone(),
                error: error.clone(),
            });
            SignError::BadSignature {
                call: number,
                key,
                error,
            }
        })?;
        self.0.report.counters.released();
        member.signed();
        Ok(Signature {
            call: number,
            key: call.signing.key.clone(),
            value,
        })
    }

    fn check(
        &self,
        member: &Member,
        call: &Call,
        raw: &[u8],
    ) -> Result<SignatureValue, SignatureError> {
        let Signing { key, input, .. } = &call.signing;
        let value = self.0.familiar.check(&call.public, input, raw)?;
        match (&value, input) {
            (SignatureValue::Ecdsa(signature), SignInput::Digest(digest)) => {
                self.remember_r(signature.r, key, digest)
                    .map_err(SignatureError::RRepeated)?;
                show(member, call, Scheme::Ecdsa, digest, raw);
            }
            (SignatureValue::Bip340(signature), SignInput::Bip340(digest)) => {
                self.remember_r(signature.r, key, digest)
                    .map_err(SignatureError::RRepeated)?;
                show(member, call, Scheme::Bip340, digest, raw);
            }
            // R follows from the key and the message: the same for the same, and never for others.
            (SignatureValue::Ed25519(signature), SignInput::Message(message)) => {
                let message = Sha256::digest(message.as_bytes()).into();
                self.remember_same(key, message, *signature)
                    .map_err(SignatureError::Differs)?;
                if let Some(r) = signature.first_chunk() {
                    self.remember_r(*r, key, &message)
                        .map_err(SignatureError::RRepeated)?;
                }
            }
            _ => {}
        }
        Ok(value)
    }
}

/// Shows the token's sentinel a signature as the device made it: a low `s` may be another nonce's.
fn show(member: &Member, call: &Call, scheme: Scheme, digest: &[u8; 32], raw: &[u8]) {
    let halves = raw.first_chunk().zip(raw.last_chunk());
    if let (Some(public), Some((r, s))) = (call.public.point(), halves) {
        member.sentinel.see(Sighting {
            key: call.signing.key.clone(),
            scheme,
            public,
            digest: *digest,
            r: *r,
            s: *s,
        });
    }
}
