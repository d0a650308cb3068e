//! Examples of transactions that people approve one by one.

use strongroom_api::transactions::{
    ListedTransaction, NamedKey, TransactionAnswer, TransactionRequest, TransactionsAnswer,
};

use crate::examples::{Example, covered, eip2718, example, needs, now};

/// Transactions that pay no intent, registered for people to approve.
pub fn examples() -> Vec<Example> {
    let (_, need, met) = needs();
    let request = TransactionRequest {
        request_id: "stake-7".into(),
        transaction: eip2718(),
        expires: now().hi.after_millis(86_400_000),
    };
    let key = NamedKey {
        name: "eth-hot-1".into(),
        public: format!(
            "02{}",
            "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
        )
        .parse()
        .unwrap(),
    };
    let bare = TransactionAnswer {
        entry: 1207,
        client: "walletd".into(),
        request_id: request.request_id.clone(),
        transaction: request.transaction.clone(),
        digest: "0d".repeat(32),
        expires: request.expires,
        rejected: 0,
        closed_by: None,
        effects: vec![],
        keys: vec![],
        needs: vec![need],
        receipt: None,
        policy: "0b".repeat(32),
        fleet: "main".into(),
        time: now(),
    };
    let whole = TransactionAnswer {
        rejected: 1208,
        closed_by: Some(1208),
        effects: vec![covered().effect],
        keys: vec![key.clone()],
        needs: vec![met],
        receipt: Some(super::examples::sign_answer().receipt),
        ..bare.clone()
    };
    let listed = ListedTransaction {
        entry: 1207,
        client: "walletd".into(),
        request_id: "stake-7".into(),
        expires: request.expires,
        asked_by: vec!["require stakes".into()],
    };
    let list = TransactionsAnswer {
        transactions: vec![listed.clone()],
        more: true,
    };
    let empty = TransactionsAnswer {
        transactions: vec![],
        more: false,
    };
    vec![
        example("TransactionRequest", &request, &request),
        example("TransactionAnswer", &whole, &bare),
        example("NamedKey", &key, &key),
        example("ListedTransaction", &listed, &listed),
        example("TransactionsAnswer", &list, &empty),
    ]
}
