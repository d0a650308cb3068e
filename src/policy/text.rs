//! Text of bounded length: what a request can influence must not make an entry large.

/// `text`, cut at the end of a character so that it has `most` bytes at most.
pub fn shortened(mut text: String, most: usize) -> String {
    const CUT: &str = "…";
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub(CUT.len())));
        text.push_str(CUT);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_a_character() {
        assert_eq!(shortened("four".into(), 4), "four");
        assert_eq!(shortened("fivefive".into(), 5), "fi…");
        assert_eq!(shortened("ééé".into(), 5), "é…");
        assert_eq!(shortened("ééé".into(), 4), "…");
    }
}
