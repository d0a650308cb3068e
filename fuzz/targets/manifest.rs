//! A bundle's manifest: what is read is written the same, byte for byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::bundle::Manifest;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        assert_eq!(manifest.to_string().as_bytes(), bytes);
    }
});
