//! One figure, as it is printed.

use serde::Serialize;
use serde_json::Value;

/// A measured figure beside its baseline.
#[derive(Debug, Serialize)]
pub struct Figure {
    /// Its name.
    pub figure: &'static str,
    /// Its value.
    pub value: f64,
    /// The value's unit; `ratio` where both sides have the same.
    pub unit: &'static str,
    /// What it is held against, measured in the same run, in `baseline_unit` of the detail or the
    /// same unit.
    pub baseline: f64,
    /// Whatever helps to judge it.
    pub detail: Value,
}

/// How figures are printed.
#[derive(Clone, Copy, Debug)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// One line for people.
    Text,
}

impl Figure {
    /// Prints it.
    pub fn print(&self, format: Format) {
        match format {
            Format::Json => println!(
                "{}",
                serde_json::to_string(self).expect("a figure has a JSON form")
            ),
            Format::Text => println!(
                "{:<22} {:>10.2} {:<6} baseline {:>10.2}  {}",
                self.figure, self.value, self.unit, self.baseline, self.detail
            ),
        }
    }
}

/// Rounds for print: more digits would claim more than was measured.
pub fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
