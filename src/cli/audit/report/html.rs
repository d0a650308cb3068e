//! A statement to read and print: one file, no script, nothing from elsewhere.

use super::csv::standing;
use super::{Event, Refusal, Row, Statement, Total};

/// Nothing is loaded, and nothing carried out, whatever stands in the page.
const HEAD: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
<title>Statement of a signer's journal</title>\n<style>\n\
body{font:14px/1.5 sans-serif;margin:2em;color:#111}h1{font-size:1.6em}h2{margin-top:2em}\n\
table{border-collapse:collapse;width:100%}th,td{border:1px solid #999;padding:.3em .5em;\
text-align:left;vertical-align:top;overflow-wrap:anywhere}th{background:#eee}td.n{text-align:right}\n\
pre{border:1px solid #999;padding:1em;white-space:pre-wrap;overflow-wrap:anywhere}\n\
@media print{body{margin:0;font-size:10px}h2{break-after:avoid}tr{break-inside:avoid}}\n\
</style>\n</head>\n<body>\n";

/// The whole page.
pub fn page(statement: &Statement) -> String {
    let mut page = HEAD.to_owned();
    page.push_str(&opening(statement));
    page.push_str(&table(
        "Totals",
        "Attempts that exclude one another on chain are counted once, at the largest of them, in the \
         period of the first. What was never signed is not counted. Fees are the most that was \
         authorised, not what the chain took.",
        &["Period (UTC)", "Effect", "Asset", "Payments or sets", "Amount", "Base units"],
        statement.totals.iter().map(total),
    ));
    page.push_str(&table(
        "What was authorised",
        "One row for each effect, as it was charged before any key was used.",
        &[
            "Time (UTC)",
            "Entry",
            "Request",
            "Effect",
            "Amount",
            "Destination",
            "From",
            "Allowed by",
            "Approved by",
            "Standing",
            "Transaction",
        ],
        statement.rows.iter().map(row),
    ));
    page.push_str(&table(
        "What was refused",
        "",
        &[
            "Time (UTC)",
            "Entry",
            "Client",
            "Request",
            "How many",
            "Why",
        ],
        statement.refusals.iter().map(refusal),
    ));
    page.push_str(&table(
        "Policies, keys, freezes, starts and stops",
        "",
        &["Time (UTC)", "Entry", "What", "Signed by"],
        statement.events.iter().map(event),
    ));
    page.push_str(&closing(statement));
    page.push_str("</body>\n</html>\n");
    page
}

fn opening(statement: &Statement) -> String {
    let report = &statement.report;
    let time =
        |time: Option<tx::Time>, or: &str| time.map_or(or.to_owned(), |time| time.to_string());
    let asked = format!(
        "{} to {}",
        time(statement.span.from, "the beginning"),
        time(statement.span.to, "the end")
    );
    let covered = format!("{} to {}", time(report.from, "-"), time(report.to, "-"));
    format!(
        "<h1>Statement of a signer's journal</h1>\n<table>\n{}</table>\n",
        [
            ("Log", report.origin.clone()),
            ("Of the time", asked),
            ("The log has entries of", covered),
            ("Entries verified", report.size.to_string()),
            ("Root", report.root.clone()),
            (
                "Authorisations decided again, with the same outcome",
                report.decided_again.to_string()
            ),
            (
                "Signatures verified under the registered keys",
                report.signatures.to_string()
            ),
            (
                "Entries withheld by a freeze when they were exported",
                report.withheld.to_string()
            ),
        ]
        .map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>\n", escaped(&value)))
        .concat()
    )
}

fn closing(statement: &Statement) -> String {
    format!(
        "<h2>What vouches for it</h2>\n<p>All entries above are under the root of this checkpoint, which \
         the log's key signed. Whoever has the exported folder and the key can verify it without any \
         network, and make this statement again:</p>\n<pre>strongroom audit verify --log-key '{}' \
         FOLDER</pre>\n<p>The folder's checkpoint must be this one, or a later one of the same log:</p>\n\
         <pre>{}</pre>\n",
        escaped(&statement.log_key),
        escaped(&statement.checkpoint)
    )
}

fn table<const N: usize>(
    title: &str,
    note: &str,
    columns: &[&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let head: String = columns
        .iter()
        .map(|name| format!("<th>{name}</th>"))
        .collect();
    let body: String = rows
        .map(|cells| {
            let cells = cells.map(|cell| format!("<td>{}</td>", escaped(&cell)));
            format!("<tr>{}</tr>\n", cells.concat())
        })
        .collect();
    let body = if body.is_empty() {
        "<p>None.</p>\n".to_owned()
    } else {
        format!("<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n")
    };
    format!("<h2>{title}</h2>\n<p>{note}</p>\n{body}")
}

fn total(total: &Total) -> [String; 6] {
    [
        total.period.clone(),
        total.kind.clone(),
        total.asset.to_string(),
        total.sets.to_string(),
        total.amount.clone(),
        total
            .base_units
            .map_or("beyond 2^256".to_owned(), |sum| sum.to_string()),
    ]
}

fn row(row: &Row) -> [String; 11] {
    let amount = if row.unit.is_empty() {
        format!("{} {}", row.base_units, row.asset)
    } else {
        format!("{} {}", row.amount, row.unit)
    };
    let tag = if row.tag.is_empty() {
        String::new()
    } else {
        format!(" tag {}", row.tag)
    };
    [
        row.time.to_string(),
        row.entry.to_string(),
        format!("{} of {}", row.request, row.client),
        row.kind.clone(),
        amount,
        format!("{}{tag}", row.destination),
        format!("{} ({}) on {}", row.account, row.keys.join(", "), row.chain),
        row.allowed_by.join(", "),
        row.approved_by.join(", "),
        standing(row.standing).to_owned(),
        row.txid.clone(),
    ]
}

fn refusal(refusal: &Refusal) -> [String; 6] {
    let needs = refusal.needs.iter().map(|need| format!("waits for {need}"));
    let why: Vec<String> = refusal.reasons.iter().cloned().chain(needs).collect();
    [
        refusal.time.to_string(),
        refusal.entry.to_string(),
        refusal.client.clone(),
        refusal.request.clone(),
        refusal.count.to_string(),
        why.join("; "),
    ]
}

fn event(event: &Event) -> [String; 4] {
    [
        event.time.to_string(),
        event.entry.to_string(),
        event.what.clone(),
        event.people.join(", "),
    ]
}

/// Text that is nothing but text.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() && c != '\n' => safe.push_str(&c.escape_default().to_string()),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_nothing_but_text() {
        let bad = "<script>alert(\"1\")</script>&'\u{1b}[2J";
        let safe = escaped(bad);
        assert!(!safe.contains(['<', '>', '"', '\'', '\u{1b}']), "{safe}");
        assert_eq!(escaped("a\nb é"), "a\nb é");
        let row = table("T", "", &["A"], std::iter::once([bad.to_owned()]));
        assert!(!row.contains("<script"));
    }
}
