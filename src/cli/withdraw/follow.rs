//! Following a withdrawal: what is new about it, as it happens.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use api::wallet::{Attempt, Explanation, Stage, Waiting, WaitingReason};
use tx::IntentKey;

use crate::client::{Wallet, WalletError, plain};
use crate::output::Format;
use crate::withdrawals::view;

/// How often is asked.
const INTERVAL: Duration = Duration::from_millis(500);

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Paid, for good.
    Paid,
    /// Not paid, or not without a person.
    NotPaid,
}

/// Follows a withdrawal to its end and shows each step, as text.
///
/// # Errors
/// [`WalletError`]; what passes is asked again.
pub fn follow(
    wallet: &Wallet,
    id: &IntentKey,
    patience: Duration,
    format: Format,
) -> Result<(Explanation, Ended), WalletError> {
    let began = Instant::now();
    let mut told = Told::default();
    let mut stage = "not known";
    loop {
        let lines = match wallet.glance(None, id) {
            Ok(explanation) => {
                let lines = told.news(&explanation);
                if let Some(ended) = ended(&explanation) {
                    show(format, &lines);
                    return Ok((explanation, ended));
                }
                stage = explanation.withdrawal.stage.name();
                lines
            }
            Err(error) if error.passes() => told.silence(&error),
            Err(error) => return Err(error),
        };
        show(format, &lines);
        if began.elapsed() >= patience {
            return Err(WalletError::StillOpen {
                id: id.clone(),
                stage,
                seconds: patience.as_secs(),
            });
        }
        wallet.pause(INTERVAL);
    }
}

/// Whether it goes on by itself.
fn ended(explanation: &Explanation) -> Option<Ended> {
    let withdrawal = &explanation.withdrawal;
    let needs_a_person = withdrawal.waiting.as_ref().is_some_and(|waiting| {
        matches!(
            waiting.reason,
            WaitingReason::Limit
                | WaitingReason::SignerRefused
                | WaitingReason::SignerNeeds
                | WaitingReason::Expired
                | WaitingReason::Unbuildable
                | WaitingReason::Epoch
        )
    });
    match withdrawal.stage {
        Stage::Final => Some(Ended::Paid),
        Stage::Released | Stage::Halted | Stage::Manual => Some(Ended::NotPaid),
        _ => needs_a_person.then_some(Ended::NotPaid),
    }
}

/// With JSON there is one object, at the end.
fn show(format: Format, lines: &[String]) {
    if format == Format::Text {
        let mut out = std::io::stdout().lock();
        for line in lines {
            // Nobody reads a closed pipe; the withdrawal goes on all the same.
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        }
    }
}

/// What was told already.
#[derive(Debug, Default)]
struct Told {
    stage: Option<Stage>,
    waiting: Option<(WaitingReason, String)>,
    /// By lane and number: whether the decision was told, and how deep it was.
    attempts: BTreeMap<(String, u64), (bool, Option<u64>)>,
    is_silent: bool,
}

impl Told {
    /// What is new.
    fn news(&mut self, explanation: &Explanation) -> Vec<String> {
        self.is_silent = false;
        let withdrawal = &explanation.withdrawal;
        let mut lines = Vec::new();
        if self.stage != Some(withdrawal.stage) {
            self.stage = Some(withdrawal.stage);
            lines.push(withdrawal.stage.name().to_owned());
        }
        for attempt in &explanation.attempts {
            self.attempt(attempt, &mut lines);
        }
        self.wait(withdrawal.waiting.as_ref(), &mut lines);
        lines
    }

    fn wait(&mut self, waiting: Option<&Waiting>, lines: &mut Vec<String>) {
        let says = waiting.map(|waiting| (waiting.reason, waiting.detail.clone()));
        if self.waiting != says {
            self.waiting = says;
            lines.extend(waiting.into_iter().flat_map(view::waiting));
        }
    }

    fn attempt(&mut self, attempt: &Attempt, lines: &mut Vec<String>) {
        let name = (attempt.lane.clone(), attempt.number);
        let (was_signed, was_deep) = self.attempts.get(&name).copied().unwrap_or_default();
        if let (Some(txid), false) = (&attempt.txid, was_signed) {
            lines.push(format!("  transaction {}", plain(txid)));
            lines.extend(attempt.decision.iter().flat_map(view::decision));
        }
        let deep = attempt.place.as_ref().and_then(|place| place.confirmations);
        if let Some(place) = attempt.place.as_ref().filter(|_| deep != was_deep) {
            lines.push(format!("  {}", view::place(place)));
        }
        self.attempts.insert(name, (attempt.txid.is_some(), deep));
    }

    fn silence(&mut self, error: &WalletError) -> Vec<String> {
        if std::mem::replace(&mut self.is_silent, true) {
            return Vec::new();
        }
        vec![format!("no answer ({error}); asking again")]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn explanation(stage: &str, attempt: Option<serde_json::Value>) -> Explanation {
        serde_json::from_value(json!({
            "withdrawal": {
                "source": "payouts", "id": "w-1", "client": "exchange", "account": "ann",
                "asset": "eip155:31337/native", "amount": "100",
                "destination": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "max_fee": "1",
                "expires": "2026-11-21T12:00:00Z", "stage": stage,
                "requested_at": "2026-11-20T12:00:00Z", "changed_at": "2026-11-20T12:00:00Z",
            },
            "attempts": attempt.into_iter().collect::<Vec<_>>(),
            "events": [],
        }))
        .unwrap()
    }

    fn attempt(stage: &str, confirmations: Option<u64>) -> serde_json::Value {
        let place = confirmations.map(|deep| {
            json!({ "height": 7, "hash": "0xb", "txid": "0xa", "fee": "21000", "confirmations": deep })
        });
        let mut attempt = json!({
            "lane": "eip155:31337:0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F", "number": 0, "set": 0,
            "purpose": "payout", "stage": stage,
            "anchor": "nonce eip155:31337:0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F:0",
            "keys": [], "pays": [], "request_id": "r", "lane_epoch": 1,
            "created_at": "2026-11-20T12:00:00Z", "txid": "0xa",
        });
        if let Some(place) = place {
            attempt["place"] = place;
        }
        attempt
    }

    #[test]
    fn each_step_is_told_once() {
        let mut told = Told::default();
        let mut news = |explanation| told.news(&explanation);
        assert_eq!(news(explanation("approved", None)), ["approved"]);
        assert!(news(explanation("approved", None)).is_empty());
        let signed = news(explanation("signed", Some(attempt("signed", None))));
        assert_eq!(signed, ["signed", "  transaction 0xa"]);
        let included = news(explanation("included", Some(attempt("included", Some(1)))));
        assert_eq!(included[0], "included");
        assert!(included[1].contains("block 7") && included[1].contains("1 confirmation"));
        assert!(news(explanation("included", Some(attempt("included", Some(1))))).is_empty());
        let deeper = news(explanation("included", Some(attempt("included", Some(2)))));
        assert_eq!(deeper.len(), 1);
        assert!(deeper[0].contains("2 confirmations"));
    }

    #[test]
    fn it_ends_where_it_does_not_go_on_by_itself() {
        for (stage, expected) in [
            ("approved", None),
            ("included", None),
            ("failed-on-chain", None),
            ("final", Some(Ended::Paid)),
            ("released", Some(Ended::NotPaid)),
            ("halted", Some(Ended::NotPaid)),
            ("manual", Some(Ended::NotPaid)),
        ] {
            assert_eq!(ended(&explanation(stage, None)), expected, "{stage}");
        }
        let mut waiting = explanation("approved", None);
        for reason in WaitingReason::ALL {
            waiting.withdrawal.waiting = Some(Waiting {
                reason,
                detail: "why".into(),
                reasons: Vec::new(),
                needs: Vec::new(),
                since: "2026-11-20T12:00:00Z".parse().unwrap(),
                until: "2026-11-20T12:00:00Z".parse().unwrap(),
            });
            let passes = matches!(
                reason,
                WaitingReason::SignerUnavailable
                    | WaitingReason::SignerSealed
                    | WaitingReason::SignerUnknown
                    | WaitingReason::NodeUnavailable
                    | WaitingReason::Funds
                    | WaitingReason::Fee
                    | WaitingReason::LaneClosed
            );
            assert_eq!(ended(&waiting).is_none(), passes, "{reason:?}");
        }
    }
}
