//! What the simulated signer refuses, as the real one does.

use api::signing::{Need, Reason, SignRequest};
use tx::{ConflictKey, Decoded, EffectKind, FeeTerms, Intent};

use super::{State, reason};

impl State {
    pub(super) fn reasons(&self, request: &SignRequest, decoded: &Decoded) -> Vec<Reason> {
        let mut reasons = Vec::new();
        self.check_lane(request, &mut reasons);
        self.check_intents(request, decoded, &mut reasons);
        if self.conflicts {
            self.check_conflicts(request, decoded, &mut reasons);
        }
        self.check_sequence(decoded, &mut reasons);
        let refused = |intent: &&Intent| self.faults.refused.contains(&intent.id);
        for intent in request.intents.iter().map(|i| &i.intent).filter(refused) {
            reasons.push(reason("limit", format!("limit reached for {}", intent.id)));
        }
        reasons
    }

    fn check_lane(&self, request: &SignRequest, reasons: &mut Vec<Reason>) {
        let (asked, present) = (request.lane_epoch, self.epoch);
        if self.epochs && asked != present && asked != present + 1 {
            let detail = format!("the lane has epoch {present}, not {asked}");
            reasons.push(reason("lane-epoch", detail));
        }
    }

    fn check_intents(&self, request: &SignRequest, decoded: &Decoded, reasons: &mut Vec<Reason>) {
        let mut payments: Vec<_> = decoded
            .effects()
            .iter()
            .filter(|effect| effect.kind == EffectKind::Payment)
            .map(|effect| {
                let to = effect.to.as_ref().unwrap().address.clone();
                (effect.asset.clone(), effect.amount, to)
            })
            .collect();
        let mut fees = tx::Amount::ZERO;
        for intent in request.intents.iter().map(|signed| &signed.intent) {
            let paid = (
                intent.asset.clone(),
                intent.amount,
                intent.destination.clone(),
            );
            match payments.iter().position(|payment| *payment == paid) {
                Some(at) => drop(payments.swap_remove(at)),
                None => reasons.push(reason(
                    "intent-mismatch",
                    format!("{} is not paid", intent.id),
                )),
            }
            let known = self.intents.get(&intent.id);
            if known.is_some_and(|known| known.payload != intent.payload()) {
                reasons.push(reason("intent-reused", format!("{} is another", intent.id)));
            }
            if self.now > intent.expires {
                reasons.push(reason("intent-closed", format!("{} expired", intent.id)));
            }
            fees = fees.checked_add(intent.max_fee).unwrap();
        }
        if !payments.is_empty() {
            reasons.push(reason(
                "intent-mismatch",
                format!("{payments:?} has no intent"),
            ));
        }
        let fee = decoded.effects().iter().find(|e| e.kind == EffectKind::Fee);
        if !request.intents.is_empty() && fee.is_some_and(|fee| fee.amount > fees) {
            reasons.push(reason(
                "intent-fee",
                "the fee is above what the intents allow",
            ));
        }
    }

    fn check_conflicts(&self, request: &SignRequest, decoded: &Decoded, reasons: &mut Vec<Reason>) {
        let keys = decoded.conflict_keys();
        for (index, entry) in &self.journal {
            if entry.keys.is_disjoint(keys) {
                continue;
            }
            if !request.replaces.contains(index) {
                let detail = format!("attempt {index} consumes what this consumes");
                reasons.push(reason("undeclared-conflict", detail));
            }
            if !replaceable(&entry.fee_terms, &decoded.fee_terms()) {
                let detail = format!("too little more than attempt {index} offers");
                reasons.push(reason("replacement-fee", detail));
            }
        }
        for intent in request.intents.iter().map(|signed| &signed.intent) {
            let known = self.intents.get(&intent.id);
            if known.is_some_and(|known| known.anchors.is_disjoint(keys)) && !self.reissues {
                let detail = format!("no statement allows a re-issue of {}", intent.id);
                reasons.push(reason("uncovered", detail));
            }
        }
    }

    fn check_sequence(&self, decoded: &Decoded, reasons: &mut Vec<Reason>) {
        for key in decoded.conflict_keys() {
            if let ConflictKey::Nonce { nonce, .. } = key
                && *nonce > self.next
            {
                let detail = format!("{nonce} leaves a gap after the next one, {}", self.next);
                reasons.push(reason("sequence", detail));
            }
        }
    }

    pub(super) fn needs(&self, request: &SignRequest) -> Vec<Need> {
        let mut waiting = request.intents.iter().map(|signed| &signed.intent.id);
        if !waiting.any(|id| self.faults.pending.contains(id)) {
            return Vec::new();
        }
        vec![Need {
            statement: "large".into(),
            at: "policy.toml:7".into(),
            threshold: 2,
            people: vec!["ann".into(), "bob".into(), "eve".into()],
            attested: None,
        }]
    }
}

fn replaceable(old: &FeeTerms, new: &FeeTerms) -> bool {
    let tenth_more = |old: tx::Amount, new: tx::Amount| {
        let times = |amount: tx::Amount, by: u64| amount.checked_mul(by.into()).unwrap();
        times(new, 10) >= times(old, 11)
    };
    match (*old, *new) {
        (
            FeeTerms::Evm {
                max_fee_per_gas: old_fee,
                max_priority_fee_per_gas: old_tip,
                ..
            },
            FeeTerms::Evm {
                max_fee_per_gas: fee,
                max_priority_fee_per_gas: tip,
                ..
            },
        ) => tenth_more(old_fee, fee) && tenth_more(old_tip, tip),
        (FeeTerms::Utxo { fee: old, .. }, FeeTerms::Utxo { fee, vsize }) => fee >= old + vsize,
        _ => false,
    }
}
