//! Addresses: BIP-173 and BIP-350 vectors, what litecoind says, and the `bitcoin` crate's opinion.

use bitcoin::{PubkeyHash, ScriptBuf, ScriptHash, hashes::Hash};
use strongroom_tx::{Address, AddressError, Chain};

fn chain(text: &str) -> Chain {
    text.parse().unwrap()
}

fn script_hex(chain_text: &str, address: &str) -> String {
    hex::encode(
        Address::parse(chain(chain_text), address)
            .unwrap()
            .as_bytes(),
    )
}

fn refusal(chain_text: &str, address: &str) -> AddressError {
    Address::parse(chain(chain_text), address).unwrap_err()
}

#[test]
fn bip_350_valid_addresses_of_kinds_that_are_paid_to() {
    for (network, address, script) in [
        (
            "bitcoin:mainnet",
            "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
            "0014751e76e8199196d454941c45d1b3a323f1433bd6",
        ),
        (
            "bitcoin:testnet",
            "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
            "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
        ),
        (
            "bitcoin:testnet",
            "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c",
            "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
        ),
        (
            "bitcoin:mainnet",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        ),
    ] {
        assert_eq!(script_hex(network, address), script);
        let canonical = Address::parse(chain(network), address).unwrap().to_string();
        assert_eq!(canonical, address.to_ascii_lowercase());
    }
}

#[test]
fn bip_350_valid_addresses_of_kinds_that_are_not_paid_to() {
    for address in [
        "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
        "BC1SW50QGDZ25J",
        "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs",
        // Pay to anchor.
        "bc1pfeessrawgf",
        "ltcmweb1qqvg4ngzyku6qcfdsnzxjjnkqr5p6mhhncmlp7w",
    ] {
        let error = refusal("bitcoin:mainnet", address);
        assert!(matches!(error, AddressError::Kind { .. }), "{error}");
    }
}

#[test]
fn bip_350_invalid_addresses() {
    for address in [
        "tc1qw508d6qejxtdg4y5r3zarvary0c5xw7kg3g4ty",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
        "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
        "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
        "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",
        "bc1pw5dgrnzv",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",
        "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
        "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",
        "bc1gmk9yu",
        "",
        "1",
        "bc1",
        "hello",
        "0x00000000219ab540356cBB839Cbe05303d7705Fa",
        "bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a",
        "ＢＣ1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    ] {
        let error = refusal("bitcoin:mainnet", address);
        let expected = matches!(
            error,
            AddressError::Form { .. } | AddressError::Checksum { .. }
        );
        assert!(expected, "{error}");
    }
}

#[test]
fn addresses_that_litecoind_made() {
    for (network, address, script) in [
        (
            "litecoin:mainnet",
            "LfrXoDM3fZWYmCtzUSCWsjDczuA8w7sqdt",
            "76a914e24d7bc5bbe7d2fcf536c8c28f4bde0835bfcb5f88ac",
        ),
        (
            "litecoin:mainnet",
            "MQq9z9eyFgaARTM8KWY3hsovPsdpxyTehu",
            "a914b9b844da049b93107cb200b126d117792d47f87987",
        ),
        (
            "litecoin:mainnet",
            "ltc1qj6rg8kpyjl4yrckk2vgper2l7znlntvtn6puyg",
            "0014968683d82497ea41e2d653101c8d5ff0a7f9ad8b",
        ),
        (
            "litecoin:mainnet",
            "ltc1p242424242424242424242424242424242424242424242424242slpjjxz",
            "51205555555555555555555555555555555555555555555555555555555555555555",
        ),
        (
            "litecoin:testnet",
            "mmvVwebgyDuJa1RLd3MnQ6pxi3ogaJYpNE",
            "76a9144644bd8b077a46a052f797b00065d570fdf34e6a88ac",
        ),
        (
            "litecoin:testnet",
            "QWk2oVDWFmKDUFEdxMMiqsx8Wi7XXHJ7mX",
            "a9146f36d55d4a78783d52975d78f29050a5d737f13b87",
        ),
        (
            "litecoin:testnet",
            "tltc1quc5ljks4hyxkm94y6v4dheage3qmax0ya4p46y",
            "0014e629f95a15b90d6d96a4d32adbe7a8cc41be99e4",
        ),
        (
            "litecoin:regtest",
            "QWaMqHWxrmBEqymr4x52k4rkkE8y4f7PJx",
            "a9146d628f6403d5a03b9c40a348f37a0520b546462987",
        ),
        (
            "litecoin:regtest",
            "rltc1q0ekug7prw3r7wjje95j4e4ktk3gl4wc6dunegg",
            "00147e6dc478237447e74a592d255cd6cbb451fabb1a",
        ),
    ] {
        assert_eq!(script_hex(network, address), script);
        let again = Address::parse(chain(network), address).unwrap();
        assert_eq!(again.to_string(), address);
    }
}

#[test]
fn the_wrong_network_is_said_so() {
    for (network, address) in [
        (
            "bitcoin:testnet",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        ),
        (
            "bitcoin:mainnet",
            "ltc1qj6rg8kpyjl4yrckk2vgper2l7znlntvtn6puyg",
        ),
        (
            "litecoin:regtest",
            "tltc1quc5ljks4hyxkm94y6v4dheage3qmax0ya4p46y",
        ),
        ("litecoin:mainnet", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"),
        ("bitcoin:mainnet", "LfrXoDM3fZWYmCtzUSCWsjDczuA8w7sqdt"),
        ("bitcoin:mainnet", "MQq9z9eyFgaARTM8KWY3hsovPsdpxyTehu"),
        ("bitcoin:mainnet", "mmvVwebgyDuJa1RLd3MnQ6pxi3ogaJYpNE"),
    ] {
        let error = refusal(network, address);
        assert!(matches!(error, AddressError::Network { .. }), "{error}");
    }
}

#[test]
fn litecoins_first_p2sh_spelling_is_bitcoins() {
    // litecoind takes this one for M7uAERuQW2AotfyLDyewFGcLUDtAYu9v5V; on Bitcoin it is another's.
    let shared = "31h1vYVSYuKP6AhS86fbRdMw9XHieotbST";
    assert!(Address::parse(chain("bitcoin:mainnet"), shared).is_ok());
    let error = refusal("litecoin:mainnet", shared);
    assert!(matches!(error, AddressError::Network { .. }), "{error}");
}

#[test]
fn a_wrong_checksum_is_said_so() {
    for address in [
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3",
        // The wrong one of bech32 and bech32m.
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
    ] {
        let error = refusal("bitcoin:mainnet", address);
        assert!(matches!(error, AddressError::Checksum { .. }), "{error}");
    }
}

#[test]
fn mixed_case_is_refused_and_upper_case_is_the_same_address() {
    let network = chain("bitcoin:mainnet");
    let lower = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
    assert_eq!(
        Address::parse(network, lower),
        Address::parse(network, &lower.to_ascii_uppercase())
    );
    for mixed in [
        "bc1QW508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "BC1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "bC1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    ] {
        assert!(Address::parse(network, mixed).is_err(), "{mixed}");
    }
}

#[test]
fn every_template_reads_as_the_bitcoin_crate_reads_it() {
    let networks = [
        ("bitcoin:mainnet", bitcoin::Network::Bitcoin),
        ("bitcoin:testnet", bitcoin::Network::Testnet),
        ("bitcoin:regtest", bitcoin::Network::Regtest),
    ];
    for (ours, theirs) in networks {
        for byte in [0u8, 1, 0x51, 0xff] {
            for script in scripts(byte) {
                let oracle = bitcoin::Address::from_script(&script, theirs).unwrap();
                let address = Address::from_script(chain(ours), script.as_bytes()).unwrap();
                assert_eq!(address.to_string(), oracle.to_string());
                assert_eq!(
                    Address::parse(chain(ours), &oracle.to_string()),
                    Ok(address.clone())
                );
                assert_eq!(Address::parse_qualified(&address.qualified()), Ok(address));
            }
        }
    }
}

fn scripts(byte: u8) -> [ScriptBuf; 5] {
    let (short, long) = ([byte; 20], [byte; 32]);
    [
        ScriptBuf::new_p2pkh(&PubkeyHash::from_byte_array(short)),
        ScriptBuf::new_p2sh(&ScriptHash::from_byte_array(short)),
        [&[0x00, 0x14], short.as_slice()].concat().into(),
        [&[0x00, 0x20], long.as_slice()].concat().into(),
        [&[0x51, 0x20], long.as_slice()].concat().into(),
    ]
}

#[test]
fn scripts_without_an_address() {
    let network = chain("bitcoin:mainnet");
    for script in [
        "",
        "6a",
        "6a0568656c6c6f",
        // 19 and 21 bytes after the opcode for 20.
        "001400000000000000000000000000000000000000",
        "0014000000000000000000000000000000000000000000",
        // Witness version 2, and pay to anchor.
        "52200000000000000000000000000000000000000000000000000000000000000000",
        "51024e73",
        // Pay to public key.
        "210279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798ac",
        // P2PKH with OP_EQUAL, and with a byte behind it.
        "76a914000000000000000000000000000000000000000087ac",
        "76a914000000000000000000000000000000000000000088ac00",
    ] {
        let bytes = hex::decode(script).unwrap();
        assert_eq!(Address::from_script(network, &bytes), None, "{script}");
    }
}
