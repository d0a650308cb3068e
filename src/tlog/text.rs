//! The encodings that C2SP's text formats share: decimal numbers, base64, and what a line may hold.

use base64ct::{Base64, Encoding};

use crate::compact::MAX_SIZE;
use crate::hash::{HASH_BYTES, Hash};

/// A [`struct@Hash`] in base64 (RFC 4648 §4, padded).
const HASH_BASE64_BYTES: usize = 44;

/// Reads a size: ASCII digits without a leading zero, at most [`MAX_SIZE`].
pub(crate) fn size(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.starts_with('0') && text != "0") {
        return None;
    }
    text.parse().ok().filter(|size| *size <= MAX_SIZE)
}

/// Reads padded, canonical base64 of exactly 32 bytes.
pub(crate) fn hash(text: &str) -> Option<Hash> {
    let mut bytes = [0; HASH_BYTES];
    // Before decoding, so that nobody has a long line decoded.
    if text.len() != HASH_BASE64_BYTES {
        return None;
    }
    let decoded = Base64::decode(text, &mut bytes).ok()?;
    (decoded.len() == HASH_BYTES).then_some(Hash::new(bytes))
}

/// Reads padded, canonical base64.
pub(crate) fn bytes(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok()
}

/// Writes padded base64.
pub(crate) fn base64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// Whether a text is one line of a note: not empty, no ASCII control character (below U+0020;
/// C2SP signed-note, Format).
pub(crate) fn is_line(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|char| char >= ' ')
}

#[cfg(test)]
mod tests {
    use super::{base64, bytes, hash, is_line, size};
    use crate::hash::empty_root;

    #[test]
    fn a_size_has_one_spelling() {
        assert_eq!(size("0"), Some(0));
        assert_eq!(size("9223372036854775807"), Some(u64::MAX >> 1));
        for wrong in [
            "", "00", "01", "+1", "-1", " 1", "1 ", "1\n", "0x1", "1e3", "٣",
        ] {
            assert_eq!(size(wrong), None, "{wrong:?}");
        }
        assert_eq!(size("9223372036854775808"), None);
        assert_eq!(size("18446744073709551616"), None);
    }

    #[test]
    fn a_hash_has_one_spelling() {
        let root = base64(empty_root().as_ref());
        assert_eq!(root, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
        assert_eq!(hash(&root), Some(empty_root()));
        for wrong in [
            // Without padding, with bits after the last byte, in the URL's alphabet, short, long.
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",
            "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuA==",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFUA",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF\n=",
            "",
        ] {
            assert_eq!(hash(wrong), None, "{wrong:?}");
        }
        assert_eq!(bytes("AQI="), Some(vec![1, 2]));
        assert_eq!(bytes("AQJ="), None);
    }

    #[test]
    fn a_line_has_no_control_character() {
        assert!(is_line("è subito sera"));
        for wrong in ["", "\n", "a\nb", "a\tb", "a\r", "\u{0}"] {
            assert!(!is_line(wrong), "{wrong:?}");
        }
    }
}
