//! What is recorded of a request that was not signed: enough to refuse it again, and never much.

use std::collections::BTreeSet;

use tx::Name;

use crate::{Asked, BundleHash, Reason, Refused, Request, text::shortened};

/// Most reasons in one entry: a hostile request can have one for each pair of effect and statement.
const REASONS_MAX: usize = 64;
/// Most bytes of a reason's sentence: it may quote the request.
const SENTENCE_BYTES: usize = 1024;
/// Most bytes of what a request says beside its transaction.
const ASKED_BYTES: usize = 16 * 1024;

impl Refused {
    /// That a request was refused, or waits for people where there are no reasons. It is small whatever
    /// was asked: the first reasons stand for the others.
    pub fn new(
        request: &Request,
        policy: BundleHash,
        reasons: Vec<Reason>,
        needs: BTreeSet<Name>,
    ) -> Self {
        Self {
            client: request.client.clone(),
            request: request.id.clone(),
            request_hash: request.hash,
            transaction: request.transaction.clone(),
            asked: Asked::of(request),
            policy,
            reasons: bounded(reasons),
            needs,
        }
    }
}

impl Asked {
    fn of(request: &Request) -> Option<Self> {
        let asked = Self {
            lane_epoch: request.lane_epoch,
            intents: request.intents.clone(),
            replaces: request.replaces.clone(),
            proofs: request.proofs.clone(),
        };
        (asked.bytes() <= ASKED_BYTES).then_some(asked)
    }

    /// How long it is as JSON; the most there is where it has none.
    pub fn bytes(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |json| json.len())
    }
}

fn bounded(mut reasons: Vec<Reason>) -> Vec<Reason> {
    let left_out = reasons.len().saturating_sub(REASONS_MAX);
    reasons.truncate(REASONS_MAX);
    for reason in &mut reasons {
        for sentence in [&mut reason.detail, &mut reason.remedy] {
            *sentence = shortened(std::mem::take(sentence), SENTENCE_BYTES);
        }
    }
    if let Some(last) = reasons.last_mut().filter(|_| left_out > 0) {
        last.remedy = format!(
            "{} ({left_out} further reasons are not recorded)",
            last.remedy
        );
    }
    reasons
}

#[cfg(test)]
mod tests {
    use crate::{Blob, Proof, ReasonCode, RequestHash};

    use super::*;

    fn request(proofs: usize) -> Request {
        let proof = Proof {
            statement: "s".repeat(1024),
            signatures: Vec::new(),
        };
        Request {
            client: "a".parse().unwrap(),
            id: "r".parse().unwrap(),
            hash: RequestHash([1; 32]),
            lane_epoch: 7,
            intents: Vec::new(),
            replaces: Vec::new(),
            transaction: Blob::Inline(String::new()),
            proofs: vec![proof; proofs],
        }
    }

    fn reason(n: usize) -> Reason {
        Reason {
            code: ReasonCode::Uncovered,
            statement: None,
            at: None,
            detail: format!("{n} {}", "é".repeat(4000)),
            remedy: "none".into(),
        }
    }

    #[test]
    fn an_entry_is_small_whatever_was_refused() {
        let reasons = (0..500).map(reason).collect();
        let kept = Refused::new(&request(2), Default::default(), reasons, BTreeSet::new());
        assert_eq!(kept.reasons.len(), REASONS_MAX);
        let longest = kept.reasons.iter().map(|reason| reason.detail.len()).max();
        assert!(longest.unwrap() <= SENTENCE_BYTES);
        let last = &kept.reasons[REASONS_MAX - 1];
        assert_eq!(last.remedy, "none (436 further reasons are not recorded)");
        assert_eq!(kept.reasons[0].remedy, "none");
        let asked = kept.asked.unwrap();
        assert_eq!((asked.lane_epoch, asked.proofs.len()), (7, 2));
        let long = Refused::new(
            &request(16),
            Default::default(),
            Vec::new(),
            BTreeSet::new(),
        );
        assert_eq!(long.asked, None);
    }
}
