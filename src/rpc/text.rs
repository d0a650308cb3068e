//! Text from outside, made fit to be shown.

/// The longest text of a node that is repeated.
const TEXT_MAX_CHARS: usize = 400;

/// The beginning of a text, with everything escaped that could steer a terminal or a reader's eye.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::new();
    for char in text.chars().take(TEXT_MAX_CHARS) {
        match char {
            '\'' | '"' | '\\' => printable.push(char),
            _ => printable.extend(char.escape_debug()),
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_is_escaped_and_the_rest_stays() {
        assert_eq!(printable("can't \"be\" \\ so: é"), "can't \"be\" \\ so: é");
        assert_eq!(printable("a\u{1b}[2J\n\0"), "a\\u{1b}[2J\\n\\0");
        // Right-to-left override, zero width space, next line.
        assert_eq!(
            printable("\u{202e}\u{200b}\u{85}"),
            "\\u{202e}\\u{200b}\\u{85}"
        );
        assert_eq!(printable(&"x".repeat(10_000)).len(), TEXT_MAX_CHARS);
    }
}
