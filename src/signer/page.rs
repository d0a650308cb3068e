//! The approval page: files that are part of the executable, on the officers' listener alone.
//!
//! A browser runs what is here and nothing else: no script or style of another place, none in the page itself,
//! no frame around it. What it shows it asks of the API of the same listener.

use api::server::Answer;

/// The folder in which they are.
pub const FOLDER: &str = "/approve/";

/// A file of the page.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    name: &'static str,
    media_type: &'static str,
    content: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const FILES: [File; 5] = [
    File::new("", HTML, include_str!("page/index.html")),
    File::new("page.css", CSS, include_str!("page/page.css")),
    File::new("page.mjs", SCRIPT, include_str!("page/page.mjs")),
    File::new("passkey.mjs", SCRIPT, include_str!("page/passkey.mjs")),
    File::new("text.mjs", SCRIPT, include_str!("page/text.mjs")),
];

/// What a browser does with them, and what it does not.
const HEADERS: [(&str, &str); 8] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), geolocation=(), \
         microphone=(), payment=(), usb=()",
    ),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

impl File {
    const fn new(name: &'static str, media_type: &'static str, content: &'static str) -> Self {
        Self {
            name,
            media_type,
            content,
        }
    }

    /// The file at a path.
    pub fn at(path: &str) -> Option<&'static Self> {
        let name = path.strip_prefix(FOLDER)?;
        FILES.iter().find(|file| file.name == name)
    }

    /// The answer with it.
    pub fn answer(&self) -> Answer {
        Answer::file(self.media_type, self.content.as_bytes(), &HEADERS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_the_page_names_is_one_of_it() {
        let name = |text: &str| text.split('"').nth(1).map(str::to_owned);
        let scripts = FILES.iter().flat_map(|file| file.content.lines());
        let imports = scripts.filter(|line| line.starts_with("import "));
        let imported: Vec<String> = imports.filter_map(name).collect();
        assert_eq!(imported, ["./passkey.mjs", "./text.mjs"]);
        for name in imported {
            let path = format!("{FOLDER}{}", name.trim_start_matches("./"));
            assert!(File::at(&path).is_some(), "{path}");
        }
        for name in ["page.css", "page.mjs"] {
            assert!(FILES[0].content.contains(&format!("=\"{name}\"")), "{name}");
        }
    }

    #[test]
    fn nothing_stands_in_the_page_that_its_own_rules_forbid() {
        let page = FILES[0].content;
        for word in [
            "<style",
            "style=",
            "onclick",
            "onload",
            "http:",
            "https:",
            "javascript:",
        ] {
            assert!(!page.contains(word), "{word}");
        }
        // The one script is a file.
        assert_eq!(page.matches("<script").count(), 1);
        assert!(page.contains("<script type=\"module\" src=\"page.mjs\"></script>"));
        for file in &FILES {
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "Function(",
            ] {
                assert!(!file.content.contains(word), "{}: {word}", file.name);
            }
        }
    }

    #[test]
    fn other_paths_have_no_file() {
        for path in [
            "/approve",
            "/",
            "/approve/index.html",
            "/approve/../page.css",
            "/approve/page.css/",
        ] {
            assert_eq!(File::at(path), None, "{path}");
        }
    }
}
