//! What a node's body says, held against what it was asked.

use bytes::Bytes;
use hyper::StatusCode;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::CallError;

/// A whole HTTP answer.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// One JSON-RPC answer, of version 1 or 2. A member that stands twice makes it none.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default, borrow)]
    id: Option<&'a RawValue>,
    // Kept as text: Bitcoin Core writes amounts as decimal numbers, which must not become floats.
    #[serde(default, borrow, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<RemoteError>,
}

#[derive(Deserialize)]
struct RemoteError {
    code: i64,
    #[serde(default)]
    message: Option<String>,
}

/// A null result is a result; a missing one is none.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

impl Answered {
    /// The result of the one call that was made.
    pub(crate) fn result<T: DeserializeOwned>(
        &self,
        method: &'static str,
        id: u64,
    ) -> Result<T, CallError> {
        self.check_credentials()?;
        let envelope = serde_json::from_slice(&self.body)
            .ok()
            .and_then(Envelope::of)
            .ok_or_else(|| self.not_json_rpc(method))?;
        read(self.raw(envelope, method, id)?, method)
    }

    /// The results of a batch, in the order of the calls, which may not be that of the answers.
    pub(crate) fn results<T: DeserializeOwned>(
        &self,
        calls: &[(&'static str, u64)],
    ) -> Result<Vec<Result<T, CallError>>, CallError> {
        self.check_credentials()?;
        let Some((method, first)) = calls.first().copied() else {
            return Ok(Vec::new());
        };
        let envelopes: Result<Vec<&RawValue>, _> = serde_json::from_slice(&self.body);
        let Ok(envelopes) = envelopes else {
            // One error for them all, from a node that did not look at them singly.
            let refused = self.result::<IgnoredAny>(method, first).err();
            return Err(refused
                .filter(|error| matches!(error, CallError::Refused { .. }))
                .unwrap_or_else(|| self.not_json_rpc(method)));
        };
        let mut results: Vec<_> = calls.iter().map(|_| None).collect();
        for envelope in envelopes {
            let envelope = Envelope::of(envelope).ok_or_else(|| self.not_json_rpc(method))?;
            let other = CallError::OtherCall { method };
            let place = calls.iter().position(|(_, id)| envelope.is_for(*id));
            let Some((place, (method, id))) =
                place.and_then(|place| Some((place, *calls.get(place)?)))
            else {
                return Err(other);
            };
            let result = self
                .raw(envelope, method, id)
                .and_then(|raw| read(raw, method));
            match results.get_mut(place) {
                Some(empty @ None) => *empty = Some(result),
                _ => return Err(other),
            }
        }
        results
            .into_iter()
            .map(|result| result.ok_or(CallError::OtherCall { method }))
            .collect()
    }

    fn raw<'a>(
        &self,
        envelope: Envelope<'a>,
        method: &'static str,
        id: u64,
    ) -> Result<&'a RawValue, CallError> {
        let (for_this, for_none) = (envelope.is_for(id), envelope.id.is_none());
        match (envelope.error, envelope.result) {
            // JSON-RPC 2.0 §5: null where the node could not read the id.
            (Some(_), _) if !for_this && !for_none => Err(CallError::OtherCall { method }),
            (Some(error), None) => Err(error.refused(method)),
            // Version 1 writes both, one of them null.
            (Some(error), Some(result)) if result.get() == "null" => Err(error.refused(method)),
            (Some(_), Some(_)) => Err(self.not_json_rpc(method)),
            (None, _) if !for_this => Err(CallError::OtherCall { method }),
            (None, Some(result)) if self.status.is_success() => Ok(result),
            (None, _) => Err(self.not_json_rpc(method)),
        }
    }

    fn check_credentials(&self) -> Result<(), CallError> {
        match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(CallError::Unauthorized {
                status: self.status.as_u16(),
            }),
            _ => Ok(()),
        }
    }

    fn not_json_rpc(&self, method: &'static str) -> CallError {
        CallError::NotJsonRpc {
            method,
            status: self.status.as_u16(),
        }
    }
}

impl<'a> Envelope<'a> {
    fn of(answer: &'a RawValue) -> Option<Self> {
        // An array would be read as its members in their order.
        let object = answer.get().starts_with('{');
        object.then(|| serde_json::from_str(answer.get()).ok())?
    }

    fn is_for(&self, id: u64) -> bool {
        self.id.is_some_and(|raw| raw.get().parse() == Ok(id))
    }
}

impl RemoteError {
    fn refused(self, method: &'static str) -> CallError {
        CallError::refused(method, self.code, &self.message.unwrap_or_default())
    }
}

fn read<T: DeserializeOwned>(result: &RawValue, method: &'static str) -> Result<T, CallError> {
    serde_json::from_str(result.get())
        .map_err(|error| CallError::unexpected(method, &error.to_string()))
}
