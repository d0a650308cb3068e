//! Officers' and attesters' statements: what is read is written the same, byte for byte, so that a signature is over
//! one reading alone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::statement::{
    Attestation, BookUpdate, BookVeto, Freeze, Header, Heartbeat, NewEpoch, Prune, Unfreeze,
    Unseal, Veto,
};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok((header, below)) = Header::parse(text) {
        assert!(text.ends_with(below));
        assert!(text.starts_with(&header.to_string()));
    }
    let written = [
        Unseal::parse(text).map(|read| read.to_string()),
        NewEpoch::parse(text).map(|read| read.to_string()),
        Prune::parse(text).map(|read| read.to_string()),
        Veto::parse(text).map(|read| read.to_string()),
        BookUpdate::parse(text).map(|read| read.to_string()),
        BookVeto::parse(text).map(|read| read.to_string()),
        Freeze::parse(text).map(|read| read.to_string()),
        Heartbeat::parse(text).map(|read| read.to_string()),
        Unfreeze::parse(text).map(|read| read.to_string()),
        Attestation::parse(text).map(|read| read.to_string()),
    ];
    let written: Vec<String> = written.into_iter().flatten().collect();
    assert!(written.len() <= 1, "a text of two kinds");
    for written in written {
        assert_eq!(written, text);
    }
});
