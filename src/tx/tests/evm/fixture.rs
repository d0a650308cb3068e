//! The accounts, keys and transactions of the tests.

use std::sync::LazyLock;

use k256::ecdsa::SigningKey;
use strongroom_tx::evm::{Action, Fees, Functions, Refusal, Terms, Unsigned};
use strongroom_tx::{
    AccountClass, Address, Amount, Chain, ChainRules, Decoded, EcdsaSignature, KeySignature, Own,
    OwnAddress, OwnKey, PublicKey, Registry, Transaction, decode,
};

pub(crate) const MAINNET: Chain = Chain::Evm(1);
pub(crate) const RULES: ChainRules<'static> = ChainRules {
    locktime_height_max: 0,
    functions: Functions::NONE,
};
/// A destination that is not ours.
pub(crate) const STRANGER: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
/// The contract of a token.
pub(crate) const TOKEN: &str = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48";
/// An address of ours that is signed for elsewhere.
pub(crate) const COLD: &str = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359";

/// The key whose 32 bytes are all `byte`.
pub(crate) fn secret(byte: u8) -> SigningKey {
    SigningKey::from_slice(&[byte; 32]).unwrap()
}

pub(crate) fn public(byte: u8) -> PublicKey {
    let point = secret(byte).verifying_key().to_encoded_point(true);
    PublicKey::from_bytes(point.as_bytes().try_into().unwrap()).unwrap()
}

pub(crate) fn address(text: &str) -> Address {
    Address::parse(MAINNET, text).unwrap()
}

fn address_of(byte: u8) -> Address {
    public(byte).address(MAINNET).unwrap()
}

/// The sender of most tests, whose key is EIP-155's example.
pub(crate) fn hot() -> Address {
    static ADDRESS: LazyLock<Address> = LazyLock::new(|| address_of(0x46));
    ADDRESS.clone()
}

/// Another address of the same account.
pub(crate) fn hot_too() -> Address {
    static ADDRESS: LazyLock<Address> = LazyLock::new(|| address_of(0x47));
    ADDRESS.clone()
}

/// An address of another account with a key.
pub(crate) fn deposit() -> Address {
    static ADDRESS: LazyLock<Address> = LazyLock::new(|| address_of(0x48));
    ADDRESS.clone()
}

pub(crate) fn registry() -> &'static Registry {
    static REGISTRY: LazyLock<Registry> = LazyLock::new(new_registry);
    &REGISTRY
}

fn new_registry() -> Registry {
    let key = |name: &str, byte, account: &str, class| OwnKey {
        name: name.parse().unwrap(),
        public: public(byte),
        account: account.parse().unwrap(),
        class,
        chains: vec![MAINNET, Chain::Evm(31337)],
    };
    let cold = OwnAddress {
        address: address(COLD),
        own: Own {
            account: "vault".parse().unwrap(),
            class: AccountClass::Cold,
        },
    };
    let keys = [
        key("hot-1", 0x46, "hot", AccountClass::Hot),
        key("hot-2", 0x47, "hot", AccountClass::Hot),
        key("deposit-1", 0x48, "customers", AccountClass::Deposit),
    ];
    Registry::new(keys, [cold]).unwrap()
}

pub(crate) fn request(from: &str, payload: &str) -> Transaction {
    Transaction::Eip2718 {
        chain: MAINNET,
        from: from.into(),
        payload: payload.into(),
    }
}

pub(crate) fn decode_from_hot(payload: &str) -> Result<Decoded, Refusal> {
    decode_request(&request(&hot().to_string(), payload))
}

pub(crate) fn decode_request(request: &Transaction) -> Result<Decoded, Refusal> {
    decode(request, registry(), RULES).map_err(|refusal| match refusal {
        strongroom_tx::Refusal::Evm(refusal) => refusal,
        other => panic!("{other:?}"),
    })
}

pub(crate) fn eip155() -> Fees {
    Fees::Eip155 {
        gas_price: Amount::from(20_000_000_000_u64),
    }
}

pub(crate) fn eip2930() -> Fees {
    Fees::Eip2930 {
        gas_price: Amount::from(20_000_000_000_u64),
    }
}

pub(crate) fn eip1559() -> Fees {
    Fees::Eip1559 {
        max_fee_per_gas: Amount::from(30_000_000_000_u64),
        max_priority_fee_per_gas: Amount::from(1_000_000_000_u64),
    }
}

pub(crate) fn terms(fees: Fees) -> Terms {
    Terms {
        nonce: 9,
        gas_limit: 60_000,
        fees,
    }
}

pub(crate) fn native(to: Address, wei: u64) -> Action {
    Action::Native {
        to,
        value: Amount::from(wei),
    }
}

pub(crate) fn erc20(token: Address, to: Address, amount: u64) -> Action {
    Action::Erc20 {
        token,
        to,
        amount: Amount::from(amount),
    }
}

pub(crate) fn payload(fees: Fees, action: Action) -> String {
    Unsigned::new(MAINNET, terms(fees), action)
        .unwrap()
        .payload()
}

pub(crate) fn sign(key: &SigningKey, digest: &[u8; 32]) -> KeySignature {
    let (signature, id) = key.sign_prehash_recoverable(digest).unwrap();
    let (r, s) = signature.split_bytes();
    KeySignature::Ecdsa(EcdsaSignature {
        r: r.into(),
        s: s.into(),
        recovery_id: id.to_byte(),
    })
}
