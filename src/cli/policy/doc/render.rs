//! A page as Markdown and as HTML.

use super::{Block, Page};

/// Nothing is loaded, and nothing carried out, whatever stands in the page.
const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n";
const STYLE: &str = "<style>\n\
body{font:15px/1.55 sans-serif;margin:2em auto;max-width:60em;color:#111}h1{font-size:1.6em}h2{margin-top:2em}\n\
code{background:#eee;padding:0 .2em;overflow-wrap:anywhere}li{margin:.35em 0}\n\
@media print{body{margin:0;font-size:11px}h2{break-after:avoid}li{break-inside:avoid}}\n\
</style>\n</head>\n<body>\n";

/// As Markdown.
pub fn markdown(page: &Page) -> String {
    let mut text = format!("# {}\n", page.title);
    for section in &page.sections {
        text.push_str(&format!("\n## {}\n", section.title));
        for block in &section.blocks {
            text.push('\n');
            match block {
                Block::Text(words) => text.push_str(&format!("{words}\n")),
                Block::List(lines) => {
                    for line in lines {
                        text.push_str(&format!("- {line}\n"));
                    }
                }
            }
        }
    }
    text
}

/// As HTML.
pub fn html(page: &Page) -> String {
    let title = escaped(&page.title);
    let mut text = format!("{HEAD}<title>{title}</title>\n{STYLE}<h1>{title}</h1>\n");
    for section in &page.sections {
        text.push_str(&format!("<h2>{}</h2>\n", escaped(section.title)));
        for block in &section.blocks {
            match block {
                Block::Text(words) => text.push_str(&format!("<p>{}</p>\n", inline(words))),
                Block::List(lines) => {
                    text.push_str("<ul>\n");
                    for line in lines {
                        text.push_str(&format!("<li>{}</li>\n", inline(line)));
                    }
                    text.push_str("</ul>\n");
                }
            }
        }
    }
    text.push_str("</body>\n</html>\n");
    text
}

/// Every second part is quoted.
fn inline(text: &str) -> String {
    let parts = text.split('`').map(escaped).enumerate();
    let parts = parts.map(|(number, part)| match number % 2 {
        0 => part,
        _ => format!("<code>{part}</code>"),
    });
    parts.collect()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
