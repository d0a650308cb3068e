//! Text from outside, and errors, as people are shown them.

use std::error::Error;

/// The most characters of a text from outside that are shown.
const SHOWN_MAX: usize = 400;

/// A text from outside, escaped and cut: it goes to terminals, logs and the database.
pub fn shown(text: &str) -> String {
    if text.len() <= SHOWN_MAX && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    let mut shown = String::new();
    for letter in text.chars() {
        if u8::try_from(letter).is_ok_and(is_plain) {
            shown.push(letter);
        } else {
            shown.extend(letter.escape_default());
        }
        if shown.len() >= SHOWN_MAX {
            break;
        }
    }
    shown
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e)
}

/// An error with all its causes, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    shown(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_printable_and_bounded() {
        assert_eq!(shown("a \"b\" \\ c"), "a \"b\" \\ c");
        assert_eq!(shown("a\nb\u{1b}[31mä"), "a\\nb\\u{1b}[31m\\u{e4}");
        assert!(shown(&"\u{0}".repeat(5000)).len() <= SHOWN_MAX.saturating_add(8));
        assert!(shown(&"x".repeat(5000)).len() <= SHOWN_MAX);
    }
}
