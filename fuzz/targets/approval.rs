//! Bodies by which people's word about an intent or a transaction is brought, and the texts in them.
#![no_main]

use api::intents::ApprovalRequest;
use libfuzzer_sys::fuzz_target;
use policy::{
    approval::{Approval, TransactionApproval},
    statement::Signatures,
};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        read(text);
        read_of_transaction(text);
    }
    let Ok(body) = serde_json::from_slice::<ApprovalRequest>(bytes) else {
        return;
    };
    let written = serde_json::to_vec(&body).unwrap();
    assert_eq!(serde_json::from_slice::<ApprovalRequest>(&written).unwrap(), body);
    let _ = Signatures::parse_all(&body.signatures);
    read(&body.statement);
    read_of_transaction(&body.statement);
});

/// What is read of a text stands in it, once.
fn read(text: &str) {
    let Ok(said) = Approval::parse(text) else {
        return;
    };
    assert!(text.is_ascii() && text.starts_with("strongroom-approval-v1\n"));
    let header = format!("answers intent {}", said.intent);
    assert_eq!(text.lines().nth(2), Some(header.as_str()));
    stand_once(
        text,
        [
            format!("decision {}", said.says),
            format!("need {}", said.need),
            format!("rejected-before {}", said.rejected_before),
            format!("expires {}", said.expires),
        ],
    );
}

/// As that, of a transaction; no text is about both.
fn read_of_transaction(text: &str) {
    let Ok(said) = TransactionApproval::parse(text) else {
        return;
    };
    assert!(text.is_ascii() && text.starts_with("strongroom-transaction-approval-v1\n"));
    assert!(Approval::parse(text).is_err());
    let header = format!("answers entry {}", said.entry);
    assert_eq!(text.lines().nth(2), Some(header.as_str()));
    stand_once(
        text,
        [
            format!("decision {}", said.says),
            format!("transaction {}", said.transaction),
            format!("need {}", said.need),
            format!("rejected-before {}", said.rejected_before),
            format!("expires {}", said.expires),
        ],
    );
}

fn stand_once(text: &str, lines: impl IntoIterator<Item = String>) {
    for line in lines {
        assert_eq!(text.lines().filter(|other| **other == line).count(), 1);
    }
}
