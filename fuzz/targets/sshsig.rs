//! Keys and SSHSIG signatures as strangers send them: the first line is a key, the others are signatures.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::statement::{PublicKeyLine, Signatures};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (key, signatures) = text.split_once('\n').unwrap_or((text, ""));
    let _ = PublicKeyLine::parse(key);
    if let Ok(signatures) = Signatures::parse(signatures) {
        assert!(signatures.len() <= Signatures::COUNT_MAX);
        // Nobody signed this: the corpus has signatures over another text.
        assert!(!signatures.has("nobody signed this", "strongroom-fuzz-v1", key));
    }
});
