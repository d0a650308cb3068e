//! Between the policy's words and the wire's.

use api::signing::{AttestedNeed, CoveredEffect, LimitRoom, Need, Reason, SignRequest};
use policy::{
    AllowedBy, AttemptId, Blob, Location, Proof, Request, RequestHash, Room, SignedIntent,
    UnmetNeed,
};
use tx::Name;

use api::problem::{Problem, ProblemKind};

/// A request of a client, and the JSON of its transaction.
///
/// # Errors
/// A problem that names the field.
pub fn request(client: &Name, wire: &SignRequest) -> Result<(Request, String), Problem> {
    let malformed = |detail: String| Problem::new(ProblemKind::Malformed, detail);
    if let Some(list) = wire.overlong() {
        return Err(malformed(format!("There are too many entries in {list}.")));
    }
    let id = wire
        .request_id
        .parse()
        .map_err(|error| malformed(format!("request_id: {error}.")))?;
    let unreadable = |error: serde_json::Error| malformed(error.to_string());
    let hash = RequestHash(wire.fingerprint().map_err(unreadable)?);
    let transaction = serde_json::to_string(&wire.transaction).map_err(unreadable)?;
    let intents = wire.intents.iter().map(|signed| SignedIntent {
        intent: signed.intent.clone(),
        signatures: signed.signatures.clone(),
    });
    let proofs = wire.proofs.iter().map(|proof| Proof {
        statement: proof.statement.clone(),
        signatures: proof.signatures.clone(),
    });
    let request = Request {
        client: client.clone(),
        id,
        hash,
        lane_epoch: wire.lane_epoch,
        intents: intents.collect(),
        replaces: wire.replaces.iter().copied().map(AttemptId).collect(),
        transaction: Blob::of(&transaction),
        proofs: proofs.collect(),
    };
    Ok((request, transaction))
}

/// What spoke against a request.
pub fn reason(reason: &policy::Reason) -> Reason {
    // The code's one spelling is its serde form.
    let code = serde_json::to_value(reason.code).ok();
    Reason {
        code: code
            .and_then(|code| code.as_str().map(str::to_owned))
            .unwrap_or_default(),
        statement: reason.statement.as_ref().map(ToString::to_string),
        at: reason.at.as_ref().map(location),
        detail: reason.detail.clone(),
        remedy: reason.remedy.clone(),
    }
}

/// What a request waits for.
pub fn need(need: &UnmetNeed) -> Need {
    Need {
        statement: need.statement.to_string(),
        at: location(&need.at),
        threshold: need.threshold,
        people: need.people.iter().map(ToString::to_string).collect(),
        attested: need.attested.as_ref().map(|need| AttestedNeed {
            kind: need.attested.as_str().to_owned(),
            within_secs: need.within_millis.checked_div(1000).unwrap_or(0),
        }),
    }
}

/// A limit's state.
pub fn room(room: &Room) -> LimitRoom {
    let which = |(what, which): &(policy::Group, String)| {
        let what = serde_json::to_value(what).ok();
        let what = what
            .as_ref()
            .and_then(|what| what.as_str())
            .unwrap_or_default();
        format!("{what}={which}")
    };
    LimitRoom {
        limit: room.limit.to_string(),
        group: room.group.iter().map(which).collect(),
        cap: room.cap,
        used: room.used,
        left: room.cap.saturating_sub(room.used),
        window_secs: room.window_millis.checked_div(1000).unwrap_or(0),
    }
}

/// An effect and what covers it.
pub fn covered(allowed: &AllowedBy) -> CoveredEffect {
    let statement = |(name, at): &(Name, Location)| format!("{name} ({})", location(at));
    CoveredEffect {
        effect: allowed.fact.effect.clone(),
        allowed_by: allowed.statements.iter().map(statement).collect(),
    }
}

fn location(at: &Location) -> String {
    format!("{}:{}", at.file, at.line)
}
