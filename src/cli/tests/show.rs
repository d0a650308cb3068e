//! `tx show`: every form in which a transaction comes.

use serde_json::{Value, json};

use crate::program::Place;

const UNSIGNED: &str =
    "0xec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080";
const SIGNED: &str = "0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";
const SENDER: &str = "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F";

fn show(text: &str) -> Value {
    let place = Place::new();
    std::fs::write(place.path("tx"), text).unwrap();
    place.answer("tx show tx")
}

#[test]
fn an_unsigned_payload() {
    let view = show(UNSIGNED);
    assert_eq!(view["chain"], "eip155:1");
    assert_eq!(view["nonce"], 9);
    assert_eq!(
        view["fees"],
        json!({ "type": "eip155", "gas_price": "20000000000" })
    );
    assert_eq!(view["action"]["value"], "1000000000000000000");
    assert_eq!(view["fee_max"], "420000000000000");
    assert_eq!((view.get("from"), view.get("txid")), (None, None));
}

#[test]
fn a_signed_payload_names_its_sender() {
    let view = show(SIGNED);
    assert_eq!(view["from"], SENDER);
    assert_eq!(
        view["txid"],
        "0x33469b22e9f636356c4160a87eb19df52b7412e8eac32a4a55ffe88ea8350788"
    );
    assert_eq!(view["action"], show(UNSIGNED)["action"]);
}

#[test]
fn the_forms_of_build_and_sign() {
    let request =
        json!({ "format": "eip2718", "chain": "eip155:1", "from": SENDER, "payload": UNSIGNED });
    let view = show(&request.to_string());
    assert_eq!(view["from"], SENDER);
    assert_eq!(
        show(&json!({ "transaction": request, "nonce": 9 }).to_string()),
        view
    );
    let answer = json!({ "raw": &SIGNED[2..], "txid": "0x00" });
    assert_eq!(show(&answer.to_string()), show(SIGNED));
    assert_eq!(
        show(&json!({ "request_id": "r", "transaction": answer }).to_string()),
        show(SIGNED)
    );
}

#[test]
fn what_the_signer_refuses_is_shown_as_refused() {
    let place = Place::new();
    // The same transfer with another chain in the request.
    let request =
        json!({ "format": "eip2718", "chain": "eip155:5", "from": SENDER, "payload": UNSIGNED });
    std::fs::write(place.path("tx"), request.to_string()).unwrap();
    let error = place.fails("tx show tx", 1, "tx-not-understood");
    assert!(error["message"].as_str().unwrap().contains("evm-chain-id"));
}

#[test]
fn other_input_is_an_error() {
    let place = Place::new();
    for text in [
        "",
        "hello",
        "0x",
        "{}",
        "{",
        "[1]",
        "0xabc",
        "cHNidP8BAA==zzz",
    ] {
        std::fs::write(place.path("tx"), text).unwrap();
        let (code, error) = place.failure("tx show tx --chain bitcoin:regtest");
        assert!(code == 1 || code == 2, "{text}: {error}");
    }
    std::fs::write(place.path("tx"), "cHNidP8BAA==").unwrap();
    place.fails("tx show tx", 2, "tx-chain");
    std::fs::write(place.path("tx"), [0xff, 0xfe]).unwrap();
    place.fails("tx show tx", 2, "tx-unreadable");
    place.fails("tx show missing", 2, "file");
}
