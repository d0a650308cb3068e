//! A table for spreadsheets (RFC 4180).

use super::{Row, Standing};

/// The columns.
const COLUMNS: &str = "time,entry,client,request,intent,effect,chain,account,keys,asset,amount,unit,\
    base_units,destination,tag,allowed_by,approved_by,policy,conflict_set,standing,txid";

/// A row for each effect.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!("{COLUMNS}\r\n");
    for row in rows {
        let cells: Vec<String> = cells(row).iter().map(|cell| quoted(cell)).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    text
}

fn cells(row: &Row) -> [String; 21] {
    [
        row.time.to_string(),
        row.entry.to_string(),
        row.client.clone(),
        row.request.clone(),
        row.intent.clone(),
        row.kind.clone(),
        row.chain.clone(),
        row.account.clone(),
        row.keys.join(" "),
        row.asset.to_string(),
        row.amount.clone(),
        row.unit.clone(),
        row.base_units.to_string(),
        row.destination.clone(),
        row.tag.clone(),
        row.allowed_by.join(" "),
        row.approved_by.join(" "),
        row.policy.clone(),
        row.conflict_set.to_string(),
        standing(row.standing).to_owned(),
        row.txid.clone(),
    ]
}

/// The word for how far an authorisation came.
pub fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Authorised => "authorised",
        Standing::Signed => "signed",
        Standing::NotSigned => "not-signed",
    }
}

/// A cell. What a spreadsheet would carry out is text: clients choose ids and tags.
fn quoted(cell: &str) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if is_formula { "'" } else { "" };
    let text = format!("{guard}{cell}");
    if text.contains(['"', ',', '\n', '\r', '\'']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_ends_where_it_ends_and_is_never_a_formula() {
        assert_eq!(quoted("pay-1"), "pay-1");
        assert_eq!(quoted("a,\"b\"\nc"), "\"a,\"\"b\"\"\nc\"");
        for bad in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"] {
            assert_eq!(quoted(bad), format!("\"'{bad}\""));
        }
    }
}
