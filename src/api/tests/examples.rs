//! One whole and one smallest example of each wire type, as JSON.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use strongroom_api::{
    governance::{
        BookContent, FrozenScope, GovernanceAnswer, HeartbeatDue, HeartbeatStatus, LoadedBook,
        ProposedBundle, RecoverySet,
    },
    intents::{
        ApprovalRequest, IntentAnswer, IntentNeed, IntentUnit, IntentsAnswer, ListedIntent,
        PasskeyAssertion, PersonDecided,
    },
    journal::{
        BodiesAnswer, BodyOpening, BundleAnswer, BundleFile, ConsistencyAnswer, CosignaturesAnswer,
        CosignaturesRequest, EntryProof, Exposure, JournalBody, LogStatus, ProofsAnswer,
        ProofsRequest, ScrubStatus, SeenCheckpoint, WitnessStatus,
    },
    problem::{Problem, ProblemKind},
    signing::{
        AttestedNeed, CoveredEffect, EvaluateAnswer, Inclusion, Key, KeyAddress, KeysAnswer,
        LimitRoom, Need, PendingAnswer, Reason, Receipt, RequestAnswer, RequestStatus,
        RequestsAnswer, SignAnswer, SignRequest, SignedIntent, Statement, StatementAnswer,
        TimeCredit,
    },
};
use tx::{
    AccountClass, Amount, Destination, Effect, EffectKind, Intent, Interval, Own,
    SignedTransaction, Time, Transaction,
};

/// A wire type with its examples.
pub struct Example {
    /// The schema's name in the document.
    pub schema: &'static str,
    /// With everything optional.
    pub whole: Value,
    /// With nothing optional.
    pub smallest: Value,
    /// Whether JSON is a value of the type.
    pub reads: fn(&Value) -> bool,
}

pub fn example<T: Serialize + DeserializeOwned>(
    schema: &'static str,
    whole: &T,
    smallest: &T,
) -> Example {
    Example {
        schema,
        whole: serde_json::to_value(whole).unwrap(),
        smallest: serde_json::to_value(smallest).unwrap(),
        reads: |value| serde_json::from_value::<T>(value.clone()).is_ok(),
    }
}

/// All of them.
pub fn all() -> Vec<Example> {
    let mut examples = requests();
    examples.extend(journal());
    examples.extend(bodies());
    examples.extend(witnesses());
    examples.extend(governance());
    examples.extend(intents());
    examples.extend(crate::transactions::examples());
    examples.extend(answers());
    examples.extend(parts());
    examples
}

pub fn parsed<T: std::str::FromStr>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|_| panic!("{text} does not parse"))
}

fn requests() -> Vec<Example> {
    let bare = SignRequest {
        request_id: "withdrawal-7.1".into(),
        lane_epoch: 0,
        intents: vec![],
        replaces: vec![],
        transaction: psbt(),
        proofs: vec![],
    };
    let whole = SignRequest {
        intents: vec![SignedIntent {
            intent: intent(),
            signatures: vec!["-----BEGIN".into()],
        }],
        replaces: vec![17],
        proofs: vec![statement()],
        transaction: eip2718(),
        ..bare.clone()
    };
    let mut untagged = intent();
    untagged.tag = None;
    let unsigned = SignedIntent {
        intent: untagged.clone(),
        signatures: vec![],
    };
    let signed = SignedIntent {
        intent: intent(),
        signatures: vec!["-----BEGIN".into()],
    };
    vec![
        example("SignRequest", &whole, &bare),
        example("SignedIntent", &signed, &unsigned),
        example("Intent", &intent(), &untagged),
        example("Statement", &statement(), &statement()),
        example(
            "StatementAnswer",
            &StatementAnswer {
                receipt: Some(sign_answer().receipt),
            },
            &StatementAnswer { receipt: None },
        ),
    ]
}

/// A book that was loaded, one that never was, and a content that is cooling.
fn books(now: Time) -> (LoadedBook, LoadedBook, BookContent) {
    let content = BookContent {
        sequence: 4,
        entry: 1400,
        file: "0d".repeat(32),
        not_before: now.after_millis(86_400_000),
        vetoed: false,
    };
    let never = LoadedBook {
        book: "customers".into(),
        chain: "eip155:1".into(),
        signers: vec!["ann".into(), "cem".into()],
        threshold: 2,
        cooling_secs: 86_400,
        sequence: 0,
        file: None,
        addresses: 0,
        is_there: false,
        cooling: vec![],
    };
    let loaded = LoadedBook {
        sequence: 4,
        file: Some(content.file.clone()),
        addresses: 812_345,
        is_there: true,
        cooling: vec![content.clone()],
        ..never.clone()
    };
    (loaded, never, content)
}

fn governance() -> Vec<Example> {
    let time = Interval {
        lo: Time::from_millis(1_790_000_000_000),
        hi: Time::from_millis(1_790_000_000_500),
    };
    let proposed = ProposedBundle {
        entry: 1207,
        hash: "0a".repeat(32),
        sequence: 5,
        signed_by: vec!["ann".into(), "ben".into()],
        not_before: time.lo.after_millis(86_400_000),
        by_recovery: true,
    };
    let by_officers = ProposedBundle {
        by_recovery: false,
        ..proposed.clone()
    };
    let bare = GovernanceAnswer {
        fleet: "main".into(),
        policy: "0b".repeat(32),
        sequence: 4,
        officers: vec!["ann".into()],
        threshold: 1,
        delay_secs: 86_400,
        proposed: None,
        unfreeze_delay_secs: 0,
        freezes: vec![],
        unfrozen: 0,
        books: vec![],
        heartbeat: None,
        recovery: None,
        time,
    };
    let frozen = FrozenScope {
        scope: "account eth-hot".into(),
        entry: 1301,
        until: None,
    };
    let lifted = FrozenScope {
        until: Some(time.hi),
        ..frozen.clone()
    };
    let (loaded, never, content) = books(time.lo);
    let whole = GovernanceAnswer {
        books: vec![loaded.clone(), never.clone()],
        heartbeat: Some(heartbeat()),
        recovery: Some(recovery()),
        proposed: Some(proposed.clone()),
        freezes: vec![lifted.clone()],
        unfrozen: 1200,
        ..bare.clone()
    };
    vec![
        example("GovernanceAnswer", &whole, &bare),
        example("ProposedBundle", &proposed, &by_officers),
        example("RecoverySet", &recovery(), &recovery()),
        example("FrozenScope", &lifted, &frozen),
        example("HeartbeatStatus", &heartbeat(), &unheard()),
        example("HeartbeatDue", &unheard().due, &unheard().due),
        example("LoadedBook", &loaded, &never),
        example("BookContent", &content, &content),
    ]
}

fn recovery() -> RecoverySet {
    RecoverySet {
        people: vec!["rita".into(), "roy".into()],
        threshold: 2,
        delay_secs: 1_209_600,
    }
}

fn heartbeat() -> HeartbeatStatus {
    HeartbeatStatus {
        entry: Some(1290),
        checkpoint: Some("strongroom/main/0011\n7\n".into()),
        ..unheard()
    }
}

/// Before anybody said so.
fn unheard() -> HeartbeatStatus {
    HeartbeatStatus {
        people: vec!["ann".into(), "ben".into()],
        threshold: 1,
        due: HeartbeatDue {
            within_secs: 259_200,
            since: now().lo,
            due: now().lo.after_millis(259_200_000),
            overdue: false,
        },
        entry: None,
        checkpoint: None,
    }
}

/// The time of an answer.
pub fn now() -> Interval {
    Interval {
        lo: Time::from_millis(1_790_000_000_000),
        hi: Time::from_millis(1_790_000_000_500),
    }
}

/// What a person said, a need that nobody has met, and the same met by that.
pub fn needs() -> (PersonDecided, IntentNeed, IntentNeed) {
    let time = now();
    let decided = PersonDecided {
        person: "ann".into(),
        says: "approve".into(),
        entry: 1207,
        since: time.lo,
        expires: time.hi.after_millis(86_400_000),
    };
    let need = IntentNeed {
        fingerprint: "0c".repeat(32),
        asked_by: vec!["require large-eth".into()],
        threshold: 1,
        people: vec!["ann".into(), "ben".into()],
        delay_secs: 0,
        valid_secs: 604_800,
        rejection: "blocks".into(),
        passkeys: "refused".into(),
        decided: vec![],
        counted: vec![],
        enough_from: None,
        approve: "strongroom-approval-v1\n".into(),
        reject: "strongroom-approval-v1\n".into(),
    };
    let met = IntentNeed {
        decided: vec![decided.clone()],
        counted: vec!["ann".into()],
        enough_from: Some(time.lo),
        ..need.clone()
    };
    (decided, need, met)
}

fn intents() -> Vec<Example> {
    let (decided, need, met) = needs();
    let unit = IntentUnit {
        name: "ltc".into(),
        decimals: 8,
    };
    let mut untagged = intent();
    untagged.tag = None;
    let bare = IntentAnswer {
        payload: untagged.payload(),
        intent: untagged,
        client: "walletd".into(),
        entry: 1200,
        requesters: vec![],
        rejected: 0,
        closed_by: None,
        units: vec![],
        in_books: vec![],
        own_accounts: vec![],
        needs: vec![need.clone()],
        receipt: None,
        policy: "0b".repeat(32),
        fleet: "main".into(),
        approval_page: None,
        time: now(),
    };
    let whole = IntentAnswer {
        intent: intent(),
        requesters: vec!["cem".into()],
        rejected: 1207,
        closed_by: Some(1207),
        units: vec![unit.clone()],
        in_books: vec!["customers".into()],
        own_accounts: vec!["cold".into()],
        needs: vec![met.clone()],
        receipt: Some(sign_answer().receipt),
        approval_page: Some("https://approve.example.org".into()),
        ..bare.clone()
    };
    let answers = [
        example("IntentUnit", &unit, &unit),
        example("IntentAnswer", &whole, &bare),
        example("IntentNeed", &met, &need),
        example("PersonDecided", &decided, &decided),
    ];
    answers.into_iter().chain(about_intents()).collect()
}

/// The list of what waits, and what people say.
fn about_intents() -> [Example; 4] {
    let listed = ListedIntent {
        intent: intent(),
        asked_by: vec!["require large-eth".into()],
    };
    let list = IntentsAnswer {
        intents: vec![listed.clone()],
        more: true,
    };
    let empty = IntentsAnswer {
        intents: vec![],
        more: false,
    };
    let passkey = PasskeyAssertion {
        authenticator_data: "AA".into(),
        client_data: "e30".into(),
        signature: "AA".into(),
    };
    // The schema has both forms, of which a request brings one.
    let forms = ApprovalRequest {
        statement: "strongroom-approval-v1\n".into(),
        signatures: vec!["-----BEGIN SSH SIGNATURE-----\n".into()],
        passkey: Some(passkey.clone()),
    };
    let neither = ApprovalRequest {
        signatures: vec![],
        passkey: None,
        ..forms.clone()
    };
    [
        example("IntentsAnswer", &list, &empty),
        example("ListedIntent", &listed, &listed),
        example("PasskeyAssertion", &passkey, &passkey),
        example("ApprovalRequest", &forms, &neither),
    ]
}

fn journal() -> Vec<Example> {
    let asked = ProofsRequest {
        size: 18,
        entries: vec![17, 3],
    };
    let proof = EntryProof {
        entry: 17,
        path: vec!["03".repeat(32)],
    };
    let proofs = ProofsAnswer {
        proofs: vec![proof.clone()],
    };
    let consistency = ConsistencyAnswer {
        path: vec!["03".repeat(32)],
    };
    let seen = SeenCheckpoint {
        checkpoint: inclusion().checkpoint,
    };
    let young = LogStatus {
        checkpoint: None,
        log_key: None,
        trouble: None,
        witnesses: None,
        exposure: None,
        scrub: None,
        ..log_status()
    };
    vec![
        example("ProofsRequest", &asked, &asked),
        example("ProofsAnswer", &proofs, &proofs),
        example("EntryProof", &proof, &proof),
        example("ConsistencyAnswer", &consistency, &consistency),
        example("SeenCheckpoint", &seen, &seen),
        example("LogStatus", &log_status(), &young),
    ]
}

fn bodies() -> Vec<Example> {
    let opening = BodyOpening {
        salt: "03".repeat(32),
        body: "{}".into(),
        apart: Some("{}".into()),
    };
    let told = JournalBody {
        entry: 0,
        commitment: "04".repeat(32),
        opening: Some(opening.clone()),
    };
    let withheld = JournalBody {
        opening: None,
        ..told.clone()
    };
    let inline = BodyOpening {
        apart: None,
        ..opening.clone()
    };
    let bodies = BodiesAnswer {
        bodies: vec![told.clone(), withheld.clone()],
        covered: 2,
        policy: Some("05".repeat(32)),
    };
    let of_before = BodiesAnswer {
        policy: None,
        ..bodies.clone()
    };
    let file = BundleFile {
        path: "manifest".into(),
        text: "strongroom".into(),
    };
    let bundle = BundleAnswer {
        files: vec![file.clone()],
    };
    vec![
        example("BodiesAnswer", &bodies, &of_before),
        example("JournalBody", &told, &withheld),
        example("BodyOpening", &opening, &inline),
        example("BundleAnswer", &bundle, &bundle),
        example("BundleFile", &file, &file),
    ]
}

fn witnesses() -> Vec<Example> {
    let brought = CosignaturesRequest {
        size: 18,
        cosignatures: vec!["— w1.example AAAA".into()],
    };
    let counted = CosignaturesAnswer {
        cosigned: 1,
        needed: 2,
        witnessed: 12,
    };
    vec![
        example("CosignaturesRequest", &brought, &brought),
        example("CosignaturesAnswer", &counted, &counted),
        example("WitnessStatus", &witness_status(), &witness_status()),
        example("Exposure", &exposure(), &exposure()),
        example(
            "ScrubStatus",
            &scrub_status(),
            &ScrubStatus {
                finished: None,
                ..scrub_status()
            },
        ),
    ]
}

fn log_status() -> LogStatus {
    LogStatus {
        origin: "strongroom/main/0101010101010101".into(),
        entries: 20,
        uncovered: 2,
        checkpoint: Some(18),
        log_key: Some("strongroom/main/0101010101010101+00000000+AQ==".into()),
        trouble: Some("no device answers".into()),
        witnesses: Some(witness_status()),
        exposure: Some(exposure()),
        scrub: Some(scrub_status()),
    }
}

fn scrub_status() -> ScrubStatus {
    ScrubStatus {
        entries: 40,
        finished: Some(tx::Time::from_millis(1_800_000_000_000)),
    }
}

fn witness_status() -> WitnessStatus {
    WitnessStatus {
        named: 3,
        needed: 2,
        witnessed: 12,
    }
}

fn exposure() -> Exposure {
    Exposure {
        entries: 8,
        secs: 3,
    }
}

fn answers() -> Vec<Example> {
    let problem = Problem::new(ProblemKind::Refused, "The hour's limit has no room.");
    let refused = problem.clone().with(vec![reason()], vec![need()]);
    let pending = PendingAnswer {
        request_id: "r".into(),
        needs: vec![need()],
    };
    let evaluated = EvaluateAnswer {
        effects: vec![covered()],
        limits: vec![room()],
    };
    let credited = TimeCredit {
        by: "attesters".into(),
        entry: 12,
        lo: interval().lo,
        millis: 36_000_000,
    };
    let keys = KeysAnswer {
        keys: vec![key()],
        limits: vec![room()],
        epoch: 3,
        policy: "ab".repeat(32),
        time: interval(),
        journal: Some(log_status()),
        heartbeat: Some(unheard().due),
        credited: Some(credited.clone()),
    };
    let bare_keys = KeysAnswer {
        journal: None,
        heartbeat: None,
        credited: None,
        ..keys.clone()
    };
    let requests = RequestsAnswer {
        requests: vec![request_answer()],
        next: Some(17),
    };
    let last = RequestsAnswer {
        requests: vec![],
        next: None,
    };
    vec![
        example("SignAnswer", &sign_answer(), &sign_answer()),
        example("PendingAnswer", &pending, &pending),
        example("EvaluateAnswer", &evaluated, &evaluated),
        example("KeysAnswer", &keys, &bare_keys),
        example("TimeCredit", &credited, &credited),
        example("RequestsAnswer", &requests, &last),
        example("Problem", &refused, &problem),
    ]
}

fn parts() -> Vec<Example> {
    let receipt = sign_answer().receipt;
    let unproven = Receipt {
        inclusion: None,
        ..receipt.clone()
    };
    let effect = covered().effect;
    let fee = Effect {
        kind: EffectKind::Fee,
        to: None,
        tag: None,
        call: None,
        ..effect.clone()
    };
    let argument = call().arguments.remove(0);
    let foreign_argument = tx::Argument {
        own: None,
        ..argument.clone()
    };
    let destination = effect.to.clone().unwrap();
    let own = destination.own.clone().unwrap();
    let foreign = Destination {
        own: None,
        ..destination.clone()
    };
    let utxo = KeyAddress {
        next_sequence: None,
        ..address()
    };
    let unsigned = RequestAnswer {
        transaction: None,
        receipt: None,
        unsigned: None,
        ..request_answer()
    };
    let ungrouped = LimitRoom {
        group: vec![],
        ..room()
    };
    let nameless = Reason {
        statement: None,
        at: None,
        ..reason()
    };
    vec![
        example("Receipt", &receipt, &unproven),
        example("Inclusion", &inclusion(), &inclusion()),
        example("SignedTransaction", &signed(), &signed()),
        example("Need", &attested_need(), &need()),
        example("AttestedNeed", &of_attesters(), &of_attesters()),
        example("Reason", &reason(), &nameless),
        example("CoveredEffect", &covered(), &covered()),
        example("Effect", &effect, &fee),
        example("Call", &call(), &call()),
        example("Argument", &argument, &foreign_argument),
        example("Destination", &destination, &foreign),
        example("Own", &own, &own),
        example("LimitRoom", &room(), &ungrouped),
        example("Key", &key(), &key()),
        example("KeyAddress", &address(), &utxo),
        example("RequestAnswer", &request_answer(), &unsigned),
        example("Interval", &interval(), &interval()),
    ]
}

/// Every form of a transaction; the schema has an alternative for each.
pub fn transactions() -> [Transaction; 2] {
    [eip2718(), psbt()]
}

pub fn eip2718() -> Transaction {
    Transaction::Eip2718 {
        chain: parsed("eip155:31337"),
        from: "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266".into(),
        payload: "0x02c0".into(),
    }
}

fn psbt() -> Transaction {
    Transaction::Psbt {
        chain: parsed("litecoin:regtest"),
        psbt: "cHNidP8=".into(),
    }
}

pub fn intent() -> Intent {
    serde_json::from_value(json!({
        "source": "payouts",
        "id": "w-7",
        "epoch": 1,
        "asset": "eip155:31337/erc20:0x5FbDB2315678afecb367f032d93F642f64180aa3",
        "amount": "1000000",
        "destination": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "tag": "104",
        "max_fee": "20000000000000000",
        "expires": "2027-01-31T12:00:00Z",
    }))
    .unwrap()
}

fn statement() -> Statement {
    Statement {
        statement: "strongroom-intent-v1\n".into(),
        signatures: vec!["-----BEGIN SSH SIGNATURE-----".into()],
    }
}

pub(crate) fn sign_answer() -> SignAnswer {
    SignAnswer {
        request_id: "withdrawal-7.1".into(),
        attempt: 17,
        transaction: signed(),
        receipt: Receipt {
            version: 1,
            log: "01".repeat(32),
            entry: 17,
            salt: "02".repeat(32),
            body: "{}".into(),
            inclusion: Some(inclusion()),
        },
    }
}

fn inclusion() -> Inclusion {
    Inclusion {
        checkpoint: "strongroom/main\n18\n".into(),
        path: vec!["03".repeat(32)],
    }
}

fn signed() -> SignedTransaction {
    SignedTransaction {
        raw: "02f8".into(),
        txid: format!("0x{}", "04".repeat(32)),
    }
}

pub fn need() -> Need {
    Need {
        statement: "large-eth".into(),
        at: "statements.toml:81".into(),
        threshold: 1,
        people: vec!["alice".into(), "bob".into()],
        attested: None,
    }
}

pub fn attested_need() -> Need {
    Need {
        people: vec![],
        attested: Some(of_attesters()),
        ..need()
    }
}

pub fn of_attesters() -> AttestedNeed {
    AttestedNeed {
        kind: "head".into(),
        within_secs: 600,
    }
}

pub fn reason() -> Reason {
    Reason {
        code: "limit".into(),
        statement: Some("eth-hour".into()),
        at: Some("limits.toml:42".into()),
        detail: "The hour's limit has no room.".into(),
        remedy: "Wait, or let one of two people carry it.".into(),
    }
}

/// A call of which one argument is an own address.
pub fn call() -> tx::Call {
    tx::Call {
        function: parsed("stake"),
        signature: "stake(address)".into(),
        arguments: vec![tx::Argument {
            name: "owner".into(),
            value: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8".into(),
            own: Some(Own {
                account: parsed("eth-cold"),
                class: AccountClass::Cold,
            }),
        }],
    }
}

pub fn covered() -> CoveredEffect {
    CoveredEffect {
        effect: Effect {
            kind: EffectKind::OwnTransfer,
            account: parsed("eth-hot"),
            asset: parsed("eip155:31337/native"),
            amount: Amount::MAX,
            to: Some(Destination {
                address: tx::Address::parse_qualified(
                    "eip155:31337:0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
                )
                .unwrap(),
                own: Some(Own {
                    account: parsed("eth-cold"),
                    class: AccountClass::Cold,
                }),
            }),
            tag: Some("104".into()),
            call: Some(Box::new(call())),
        },
        allowed_by: vec!["to-cold (statements.toml:7)".into()],
    }
}

fn room() -> LimitRoom {
    LimitRoom {
        limit: "eth-destination-day".into(),
        group: vec!["destination=0x70997970C51812dc3A010C7d01b50e0d17dc79C8".into()],
        cap: Amount::from(10u64),
        used: Amount::ONE,
        left: Amount::from(9u64),
        window_secs: 86_400,
    }
}

fn key() -> Key {
    Key {
        name: parsed("eth-hot-1"),
        account: parsed("eth-hot"),
        class: AccountClass::Hot,
        public_key: format!("02{}", "05".repeat(32)),
        assurance: "hsm".into(),
        addresses: vec![address()],
    }
}

fn address() -> KeyAddress {
    KeyAddress {
        chain: parsed("eip155:31337"),
        address: "0x70997970C51812dc3A010C7d01b50e0d17dc79C8".into(),
        lane_epoch: 1,
        next_sequence: Some(7),
    }
}

fn request_answer() -> RequestAnswer {
    RequestAnswer {
        request_id: "withdrawal-7.1".into(),
        attempt: 17,
        status: RequestStatus::Signed,
        lane_epoch: 1,
        conflict_keys: vec![parsed(
            "nonce eip155:31337:0x70997970C51812dc3A010C7d01b50e0d17dc79C8:7",
        )],
        transaction: Some(signed()),
        receipt: Some(sign_answer().receipt),
        unsigned: Some(psbt()),
    }
}

pub fn interval() -> Interval {
    Interval {
        lo: parsed("2026-11-20T12:00:00Z"),
        hi: parsed("2026-11-20T12:00:00.25Z"),
    }
}
