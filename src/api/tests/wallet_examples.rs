//! The same of the coordinator's API.

use serde_json::{Map, Value, json};
use strongroom_api::{
    problem::{Problem, ProblemKind},
    wallet::{
        AccountAnswer, AssetBalance, Attempt, AttemptStage, BulkAnswer, BulkRequest, BulkResult,
        ChainReport, CreditAnswer, Deciding, Event, EventsAnswer, Explanation, GateState,
        LaneReport, NewCredit, NewWithdrawal, Outcome, Place, PolicyAnswer, PolicyVerdict, Proof,
        Purpose, QuoteAnswer, QuoteRequest, SettleRequest, SignerReport, Stage, StageCount,
        StatusAnswer, Unattended, Waiting, WaitingReason, Withdrawal, WithdrawalsAnswer,
    },
};
use tx::{Amount, IntentId};

use crate::examples::{
    Example, attested_need, call, covered, example, interval, need, of_attesters, parsed, reason,
};

/// All of them.
pub fn all() -> Vec<Example> {
    let mut examples = requests();
    examples.extend(withdrawals());
    examples.extend(attempts());
    examples.extend(answers());
    examples.extend(reports());
    examples.extend(parts());
    examples
}

/// Every result that one withdrawal of several can have.
pub fn results() -> [BulkResult; 3] {
    [
        BulkResult::Accepted(Box::new(withdrawal())),
        BulkResult::Known(Box::new(untagged())),
        BulkResult::Problem(Box::new(problem())),
    ]
}

fn requests() -> Vec<Example> {
    let mut bare = new();
    bare.tag = None;
    let bulk = BulkRequest {
        withdrawals: vec![new(), bare.clone()],
    };
    let quote = QuoteRequest {
        account: parsed("ann"),
        asset: parsed("eip155:31337/native"),
        amount: Amount::ONE,
        destination: DESTINATION.into(),
    };
    let credit = NewCredit {
        id: parsed("deposit-1"),
        account: parsed("ann"),
        asset: parsed("litecoin:regtest/native"),
        amount: Amount::MAX,
        memo: "By hand, ticket 7".into(),
    };
    let settle = SettleRequest {
        txid: "0xab".into(),
        outcome: Outcome::PayAnew,
        why: "The token is paused, ticket 8".into(),
    };
    vec![
        example("SettleRequest", &settle, &settle),
        example("NewWithdrawal", &new(), &bare),
        example("BulkRequest", &bulk, &bulk),
        example("QuoteRequest", &quote, &quote),
        example("NewCredit", &credit, &credit),
    ]
}

fn withdrawals() -> Vec<Example> {
    let page = WithdrawalsAnswer {
        withdrawals: vec![withdrawal()],
        next: Some("17".into()),
    };
    let last = WithdrawalsAnswer {
        withdrawals: vec![],
        next: None,
    };
    let bulk = BulkAnswer {
        results: results().into(),
    };
    let mut shorter = waiting();
    shorter.reasons.clear();
    shorter.needs.clear();
    let bare = Problem::new(ProblemKind::NotFound, "There is no such withdrawal.");
    vec![
        example("Withdrawal", &withdrawal(), &untagged()),
        example("Waiting", &waiting(), &shorter),
        example("WithdrawalsAnswer", &page, &last),
        example("BulkAnswer", &bulk, &bulk),
        example("Problem", &problem(), &bare),
    ]
}

fn attempts() -> Vec<Example> {
    let explanation = Explanation {
        withdrawal: withdrawal(),
        attempts: vec![attempt()],
        events: vec![event()],
        next: Some(500),
    };
    let last = Explanation {
        next: None,
        ..explanation.clone()
    };
    let reserved = Attempt {
        stage: AttemptStage::Reserved,
        max_fee: None,
        broadcast_at: None,
        txid: None,
        decision: None,
        place: None,
        proof: None,
        ..attempt()
    };
    let unseen = Place {
        confirmations: None,
        ..place()
    };
    vec![
        example("Explanation", &explanation, &last),
        example("Attempt", &attempt(), &reserved),
        example("Deciding", &deciding(), &deciding()),
        example("Place", &place(), &unseen),
        example("Proof", &proof(), &proof()),
    ]
}

fn answers() -> Vec<Example> {
    let quote = QuoteAnswer {
        fee: Some(Amount::ONE),
        max_fee: Some(Amount::ONE),
        detail: Some("Two nodes disagree.".into()),
        available: Amount::ZERO,
        unattended: Unattended::Manual,
        policy: PolicyAnswer {
            verdict: PolicyVerdict::Refused,
            reasons: vec![reason()],
            needs: vec![need()],
            detail: Some("The signer is away.".into()),
        },
    };
    let allowed = PolicyAnswer {
        verdict: PolicyVerdict::Allowed,
        reasons: Vec::new(),
        needs: Vec::new(),
        detail: None,
    };
    let policy = quote.policy.clone();
    let unknown = QuoteAnswer {
        fee: None,
        max_fee: None,
        detail: None,
        ..quote.clone()
    };
    let credit = CreditAnswer {
        id: parsed("deposit-1"),
        account: parsed("ann"),
        asset: parsed("eip155:31337/native"),
        amount: Amount::ONE,
    };
    let account = AccountAnswer {
        account: parsed("ann"),
        balances: vec![balance()],
    };
    let events = EventsAnswer {
        events: vec![event()],
        next: Some(1),
    };
    let none = EventsAnswer {
        events: vec![],
        next: None,
    };
    vec![
        example("PolicyAnswer", &policy, &allowed),
        example("QuoteAnswer", &quote, &unknown),
        example("CreditAnswer", &credit, &credit),
        example("AccountAnswer", &account, &account),
        example("AssetBalance", &balance(), &balance()),
        example("EventsAnswer", &events, &none),
    ]
}

fn reports() -> Vec<Example> {
    let status = StatusAnswer {
        version: "0.1.0".into(),
        time: parsed("2026-11-20T12:00:00Z"),
        lanes: vec![lane()],
        stages: vec![count()],
        signer: signer(),
        chains: vec![chain()],
    };
    let coins = LaneReport {
        gate: GateState::Open,
        detail: None,
        next_nonce: None,
        compared_to: None,
        ..lane()
    };
    let reachable = SignerReport {
        reachable: true,
        detail: None,
    };
    let unknown = ChainReport {
        height: None,
        finalized: None,
        detail: None,
        ..chain()
    };
    vec![
        example("StatusAnswer", &status, &status),
        example("LaneReport", &lane(), &coins),
        example("StageCount", &count(), &count()),
        example("SignerReport", &signer(), &reachable),
        example("ChainReport", &chain(), &unknown),
    ]
}

/// What both APIs have.
fn parts() -> Vec<Example> {
    let effect = covered().effect;
    let mut fee = effect.clone();
    (fee.to, fee.tag, fee.call) = (None, None, None);
    let argument = call().arguments.remove(0);
    let mut foreign_argument = argument.clone();
    foreign_argument.own = None;
    let destination = effect.to.clone().unwrap();
    let own = destination.own.clone().unwrap();
    let mut foreign = destination.clone();
    foreign.own = None;
    let mut nameless = reason();
    (nameless.statement, nameless.at) = (None, None);
    let mut about_nothing = event();
    about_nothing.withdrawal = None;
    vec![
        example("Event", &event(), &about_nothing),
        example("IntentId", &id(), &id()),
        example("Interval", &interval(), &interval()),
        example("Need", &attested_need(), &need()),
        example("AttestedNeed", &of_attesters(), &of_attesters()),
        example("Reason", &reason(), &nameless),
        example("Effect", &effect, &fee),
        example("Call", &call(), &call()),
        example("Argument", &argument, &foreign_argument),
        example("Destination", &destination, &foreign),
        example("Own", &own, &own),
    ]
}

const DESTINATION: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

fn new() -> NewWithdrawal {
    NewWithdrawal {
        id: parsed("w-7"),
        account: parsed("ann"),
        asset: parsed("eip155:31337/native"),
        amount: Amount::ONE,
        destination: DESTINATION.into(),
        tag: Some("104".into()),
        max_fee: Amount::from(20_000_000_000_000_000u64),
        expires: parsed("2027-01-31T12:00:00Z"),
    }
}

fn withdrawal() -> Withdrawal {
    Withdrawal {
        source: parsed("payouts"),
        id: parsed("w-7"),
        client: parsed("exchange"),
        account: Some(parsed("ann")),
        asset: parsed("eip155:31337/native"),
        amount: Amount::ONE,
        destination: DESTINATION.into(),
        tag: Some("104".into()),
        max_fee: Amount::ONE,
        expires: parsed("2027-01-31T12:00:00Z"),
        stage: Stage::Approved,
        waiting: Some(waiting()),
        lane: Some(format!("eip155:31337:{DESTINATION}")),
        requested_at: parsed("2026-11-20T12:00:00Z"),
        changed_at: parsed("2026-11-20T12:00:00.5Z"),
    }
}

fn untagged() -> Withdrawal {
    Withdrawal {
        account: None,
        tag: None,
        waiting: None,
        lane: None,
        ..withdrawal()
    }
}

fn waiting() -> Waiting {
    Waiting {
        reason: WaitingReason::SignerRefused,
        detail: "The signer refuses.".into(),
        reasons: vec![reason()],
        needs: vec![need()],
        since: parsed("2026-11-20T12:00:00Z"),
        until: parsed("2026-11-20T12:00:05Z"),
    }
}

fn problem() -> Problem {
    Problem::new(ProblemKind::WithdrawalReused, "The stored one stands.")
        .at("withdrawals[2].id")
        .instead(withdrawal())
}

fn id() -> IntentId {
    IntentId {
        source: parsed("payouts"),
        id: parsed("w-7"),
    }
}

fn attempt() -> Attempt {
    let key = format!("nonce eip155:31337:{DESTINATION}:7");
    Attempt {
        lane: format!("eip155:31337:{DESTINATION}"),
        number: 3,
        set: 2,
        purpose: Purpose::Payout,
        stage: AttemptStage::Dead,
        anchor: parsed(&key),
        keys: vec![parsed(&key)],
        pays: vec![id()],
        request_id: format!("eip155:31337:{DESTINATION}:3"),
        lane_epoch: 1,
        max_fee: Some(Amount::ONE),
        created_at: parsed("2026-11-20T12:00:00Z"),
        broadcast_at: Some(parsed("2026-11-20T12:00:01Z")),
        txid: Some(format!("0x{}", "04".repeat(32))),
        decision: Some(deciding()),
        place: Some(place()),
        proof: Some(proof()),
    }
}

fn deciding() -> Deciding {
    Deciding {
        entry: 17,
        time: interval(),
        account: parsed("eth-hot"),
        effects: vec![covered().effect],
        allowed_by: vec![parsed("payments")],
        policy: "ab".repeat(32),
    }
}

fn place() -> Place {
    Place {
        height: 100,
        hash: format!("0x{}", "05".repeat(32)),
        txid: format!("0x{}", "04".repeat(32)),
        fee: Amount::ONE,
        confirmations: Some(3),
    }
}

fn proof() -> Proof {
    Proof {
        kind: "displaced".into(),
        certificate: object(json!({ "proof": "displaced", "attempt": 18 })),
    }
}

fn event() -> Event {
    Event {
        event: 1,
        at: parsed("2026-11-20T12:00:00Z"),
        topic: "withdrawal.signed".into(),
        withdrawal: Some(id()),
        body: object(json!({ "attempt": 3 })),
    }
}

fn balance() -> AssetBalance {
    AssetBalance {
        asset: parsed("eip155:31337/native"),
        available: Amount::ONE,
        held: Amount::ZERO,
    }
}

fn lane() -> LaneReport {
    LaneReport {
        lane: format!("eip155:31337:{DESTINATION}"),
        account: parsed("eth-hot"),
        epoch: 1,
        lease: 2,
        gate: GateState::Closed,
        detail: Some("The signer is not compared yet.".into()),
        next_nonce: Some(7),
        next_attempt: 4,
        compared_to: Some(17),
    }
}

fn count() -> StageCount {
    StageCount {
        stage: Stage::FailedOnChain,
        count: 1,
    }
}

fn signer() -> SignerReport {
    SignerReport {
        reachable: false,
        detail: Some("no connection was made".into()),
    }
}

fn chain() -> ChainReport {
    ChainReport {
        chain: parsed("eip155:31337"),
        height: Some(100),
        finalized: Some(90),
        detail: Some("Two nodes disagree.".into()),
    }
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}
