//! What accepted transactions do.

use strongroom_tx::evm::{Action, Unsigned};
use strongroom_tx::{
    AccountClass, Address, Amount, Asset, ConflictKey, Effect, EffectKind, FeeTerms, ValidUntil,
};

use super::fixture::{
    COLD, MAINNET, STRANGER, TOKEN, address, decode_from_hot, decode_request, deposit, eip155,
    eip1559, eip2930, erc20, hot, hot_too, native, payload, request, terms,
};

/// The effect before the fee.
fn moved(action: Action) -> Effect {
    let decoded = decode_from_hot(&payload(eip1559(), action)).unwrap();
    let [moved, fee] = decoded.effects() else {
        panic!("{:?}", decoded.effects());
    };
    assert_eq!(fee.kind, EffectKind::Fee);
    assert_eq!(fee.asset, Asset::native(MAINNET));
    assert_eq!(fee.amount, Amount::from(60_000 * 30_000_000_000_u64));
    assert_eq!((&fee.to, &fee.tag), (&None, &None));
    assert_eq!(moved.account.as_str(), "hot");
    moved.clone()
}

fn own_class(effect: &Effect) -> Option<AccountClass> {
    let own = effect.to.as_ref().unwrap().own.as_ref();
    own.map(|own| own.class)
}

#[test]
fn native_transfers_are_told_by_who_owns_the_destination() {
    for (to, kind, class) in [
        (address(STRANGER), EffectKind::Payment, None),
        (
            address(COLD),
            EffectKind::OwnTransfer,
            Some(AccountClass::Cold),
        ),
        (
            deposit(),
            EffectKind::OwnTransfer,
            Some(AccountClass::Deposit),
        ),
        (hot_too(), EffectKind::OwnTransfer, Some(AccountClass::Hot)),
    ] {
        let effect = moved(native(to.clone(), 5));
        assert_eq!(effect.kind, kind);
        assert_eq!(own_class(&effect), class);
        assert_eq!(effect.asset, Asset::native(MAINNET));
        assert_eq!(effect.amount, Amount::from(5_u64));
        assert_eq!(effect.to.unwrap().address, to);
    }
}

#[test]
fn token_transfers_pay_the_recipient_in_the_calldata() {
    for (to, kind) in [
        (address(STRANGER), EffectKind::Payment),
        (deposit(), EffectKind::OwnTransfer),
    ] {
        let effect = moved(erc20(address(TOKEN), to.clone(), 7));
        assert_eq!(effect.kind, kind);
        assert_eq!(effect.asset, Asset::erc20(address(TOKEN)));
        assert_eq!(effect.amount, Amount::from(7_u64));
        assert_eq!(effect.to.unwrap().address, to);
    }
}

/// Polygon's native token has its contract among the system contracts.
#[test]
fn a_token_may_live_in_the_reserved_range() {
    let token = address("0x0000000000000000000000000000000000001010");
    let effect = moved(erc20(token.clone(), address(STRANGER), 7));
    assert_eq!(effect.asset, Asset::erc20(token));
}

#[test]
fn nothing_to_oneself_is_a_cancellation() {
    let effect = moved(Action::cancellation(hot()));
    assert_eq!(effect.kind, EffectKind::Cancellation);
    assert_eq!(effect.amount, Amount::ZERO);
    assert_eq!(own_class(&effect), Some(AccountClass::Hot));
}

#[test]
fn terms_conflict_key_and_signing() {
    for fees in [eip155(), eip2930(), eip1559()] {
        let decoded = decode_from_hot(&payload(fees, native(address(STRANGER), 5))).unwrap();
        assert_eq!(decoded.chain(), MAINNET);
        assert_eq!(decoded.account().as_str(), "hot");
        assert_eq!(decoded.valid_until(), ValidUntil::Unbounded);
        assert_eq!(
            decoded.fee_terms(),
            FeeTerms::Evm {
                max_fee_per_gas: fees.max_fee_per_gas(),
                max_priority_fee_per_gas: fees.max_priority_fee_per_gas(),
                gas_limit: 60_000,
            }
        );
        let nonce = ConflictKey::Nonce {
            account: hot(),
            nonce: 9,
        };
        assert!(decoded.conflict_keys().iter().eq([&nonce]));
        assert_eq!(decoded.signings().len(), 1);
        assert_eq!(decoded.signings()[0].key.as_str(), "hot-1");
    }
}

#[test]
fn each_address_is_signed_for_by_its_own_key() {
    let payload = payload(eip1559(), native(address(STRANGER), 5));
    for (from, key, account) in [
        (hot(), "hot-1", "hot"),
        (hot_too(), "hot-2", "hot"),
        (deposit(), "deposit-1", "customers"),
    ] {
        let decoded = decode_request(&request(&from.to_string(), &payload)).unwrap();
        assert_eq!(decoded.signings()[0].key.as_str(), key);
        assert_eq!(decoded.account().as_str(), account);
        assert_eq!(decoded.effects()[0].account.as_str(), account);
    }
}

#[test]
fn hexadecimal_of_either_case_is_the_same_transaction() {
    let lower = payload(eip1559(), native(address(STRANGER), 5));
    let upper = format!("0x{}", lower[2..].to_ascii_uppercase());
    let digest = |payload: &str| decode_from_hot(payload).unwrap().signings()[0].digest;
    assert_ne!(lower, upper);
    assert_eq!(digest(&lower), digest(&upper));
}

#[test]
fn a_payload_shows_what_went_into_it() {
    for fees in [eip155(), eip2930(), eip1559()] {
        for action in [
            native(address(STRANGER), 5),
            erc20(address(TOKEN), address(STRANGER), 7),
        ] {
            let payload = payload(fees, action.clone());
            let shown = Unsigned::parse(MAINNET, &payload).unwrap();
            assert_eq!(shown.chain(), MAINNET);
            assert_eq!(shown.terms(), terms(fees));
            assert_eq!(shown.action(), &action);
            assert_eq!(
                Some(shown.fee_max()),
                fees.max_fee_per_gas().checked_mul(Amount::from(60_000_u64))
            );
        }
    }
}

#[test]
fn fields_are_shown_as_json() {
    let payload = payload(eip1559(), erc20(address(TOKEN), address(STRANGER), 7));
    let shown = Unsigned::parse(MAINNET, &payload).unwrap();
    assert_eq!(
        serde_json::to_value(&shown).unwrap(),
        serde_json::json!({
            "chain_id": 1,
            "nonce": 9,
            "gas_limit": 60_000,
            "fees": {
                "type": "eip1559",
                "max_fee_per_gas": "30000000000",
                "max_priority_fee_per_gas": "1000000000",
            },
            "action": {
                "kind": "erc20",
                "token": format!("eip155:1:{TOKEN}"),
                "to": format!("eip155:1:{STRANGER}"),
                "amount": "7",
            },
            "fee_max": "1800000000000000",
        })
    );
}

#[test]
fn the_same_sender_on_another_chain_is_another_account() {
    let chain = strongroom_tx::Chain::Evm(31337);
    let to = Address::parse(chain, STRANGER).unwrap();
    let unsigned = Unsigned::new(chain, terms(eip1559()), native(to, 5)).unwrap();
    let request = strongroom_tx::Transaction::Eip2718 {
        chain,
        from: hot().to_string(),
        payload: unsigned.payload(),
    };
    let decoded = decode_request(&request).unwrap();
    assert_eq!(decoded.effects()[0].asset, Asset::native(chain));
    let key = decoded.conflict_keys().first().unwrap().to_string();
    assert_eq!(key, format!("nonce eip155:31337:{}:9", hot()));
}
