//! What a command prints: one value, as text or as one JSON object.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
}

/// A command's answer in both forms.
#[derive(Debug)]
#[must_use]
pub struct Answer {
    text: String,
    json: Value,
    exit: Exit,
}

impl Answer {
    /// An answer that ends with exit code 0.
    ///
    /// # Errors
    /// When the value has no JSON form, which is a defect of the command.
    pub fn done<T: Serialize + Display>(value: &T) -> Result<Self, Failure> {
        Self::of(value, Exit::Done)
    }

    /// An answer that is a no: it ends with exit code 1.
    ///
    /// # Errors
    /// As [`Answer::done`].
    pub fn refused<T: Serialize + Display>(value: &T) -> Result<Self, Failure> {
        Self::of(value, Exit::Refused)
    }

    fn of<T: Serialize + Display>(value: &T, exit: Exit) -> Result<Self, Failure> {
        let json = serde_json::to_value(value).map_err(|error| Failure {
            kind: "unprintable-answer",
            exit: Exit::Usage,
            what: "the answer has no JSON form".to_owned(),
            why: vec![error.to_string()],
            next: "The command itself has run. Report this as a defect.".to_owned(),
            details: None,
        })?;
        Ok(Self {
            text: value.to_string(),
            json,
            exit,
        })
    }
}

/// Prints what came out and returns the process's exit code.
pub fn finish(format: Format, outcome: Result<Answer, Failure>) -> ExitCode {
    match outcome {
        Ok(answer) => {
            let printed = match format {
                Format::Text => answer.text.trim_end().to_owned(),
                Format::Json => answer.json.to_string(),
            };
            write_line(&mut std::io::stdout(), &printed);
            code(answer.exit)
        }
        Err(failure) => {
            write_line(&mut std::io::stderr(), &failure_text(format, &failure));
            code(failure.exit)
        }
    }
}

/// Ends a run whose command line could not be understood, or that only asked for help.
pub fn finish_usage(error: &clap::Error) -> ExitCode {
    // The flags were not parsed, so whether JSON was asked for has to be read from the raw ones.
    let json = std::env::args_os().any(|argument| argument == "--json");
    if !error.use_stderr() || !json {
        // A closed pipe is the only way this fails, and then nobody reads it.
        let _ = error.print();
        return code(if error.use_stderr() {
            Exit::Usage
        } else {
            Exit::Done
        });
    }
    let failure = Failure {
        kind: "usage",
        exit: Exit::Usage,
        what: error.render().to_string().trim_end().to_owned(),
        why: Vec::new(),
        next: "Run the command with --help.".to_owned(),
        details: None,
    };
    write_line(
        &mut std::io::stderr(),
        &failure_text(Format::Json, &failure),
    );
    code(Exit::Usage)
}

fn failure_text(format: Format, failure: &Failure) -> String {
    match format {
        Format::Json => json!({ "error": failure }).to_string(),
        Format::Text => {
            let mut text = format!("error[{}]: {}", failure.kind, failure.what);
            for cause in &failure.why {
                text.push_str("\n  because: ");
                text.push_str(cause);
            }
            text.push_str("\n  next: ");
            text.push_str(&failure.next);
            text
        }
    }
}

fn write_line(to: &mut dyn Write, line: &str) {
    // `println!` panics on a closed pipe. The command has run by now: its exit code must stand.
    let _ = writeln!(to, "{line}").and_then(|()| to.flush());
}

fn code(exit: Exit) -> ExitCode {
    ExitCode::from(exit as u8)
}
