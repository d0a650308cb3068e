//! Passkeys' assertions as strangers send them. The first line is a passkey, the second a text, the third what
//! the browser said; behind it stand 37 bytes of the device, and the signature.
#![no_main]

use base64ct::{Base64UrlUnpadded, Encoding as _};
use libfuzzer_sys::fuzz_target;
use policy::passkey::{ApprovalPage, Assertion, Passkey};

const DEVICE: usize = 37;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(4, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (line, text, browser, rest) = (part(), part(), part(), part());
    let (Ok(line), Ok(text)) = (std::str::from_utf8(line), std::str::from_utf8(text)) else {
        return;
    };
    let (device, signature) = rest.split_at(rest.len().min(DEVICE));
    let encoded = Base64UrlUnpadded::encode_string;
    let assertion = Assertion {
        authenticator_data: encoded(device),
        client_data: encoded(browser),
        signature: encoded(signature),
    };
    let passkey = Passkey::parse(line);
    if let Ok(passkey) = &passkey {
        assert_eq!(Passkey::parse(passkey.as_str()).as_ref(), Ok(passkey));
    }
    let page: ApprovalPage = "https://approve.example.org".parse().unwrap();
    if let Ok(answered) = assertion.answers(text, &page) {
        let said = String::from_utf8_lossy(browser);
        // What was read is there, however it is spelt.
        assert_eq!(device.len(), DEVICE);
        assert_eq!(device[32] & 5, 5);
        assert!(said.contains("challenge") || said.contains('\\'));
        // The corpus has no signature by the key before it, and none can be made up.
        assert!(!passkey.is_ok_and(|passkey| answered.is_by(&passkey)));
    }
    // The parts as they come, too, whatever they are.
    let raw = Assertion {
        authenticator_data: line.to_owned(),
        client_data: text.to_owned(),
        signature: String::from_utf8_lossy(browser).into_owned(),
    };
    assert!(raw.answers(text, &page).is_err() || line.len() == 50);
});
