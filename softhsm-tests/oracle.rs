//! Logs by another implementation: Go's `sumdb`, in a program of our own (`oracle/tlog`).

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

use crate::program::{repository, run};

/// Where Debian's `golang-golang-x-mod-dev` is.
const GOPATH: &str = "/usr/share/gocode";

/// A running oracle, with a log of its own in memory; it ends with this.
#[derive(Debug)]
pub struct Oracle {
    child: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    /// Builds the program in `folder` and starts it. What Go compiled is kept in `cache`.
    ///
    /// # Panics
    /// When it cannot be built.
    pub fn start(folder: &Path, cache: &Path) -> Self {
        let program = folder.join("oracle");
        run(Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(repository("softhsm-tests/oracle/tlog/main.go"))
            .env("GO111MODULE", "off")
            .env("GOPATH", GOPATH)
            .env("GOFLAGS", "")
            .env("GOCACHE", cache.join("go")));
        let mut child = Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the oracle starts");
        Self {
            questions: child.stdin.take(),
            answers: BufReader::new(child.stdout.take().expect("its answers")),
            child,
        }
    }

    /// Asks a question; an answer may be an error.
    ///
    /// # Errors
    /// What the oracle says is wrong.
    ///
    /// # Panics
    /// When it is gone.
    pub fn ask(&mut self, question: &Value) -> Result<Value, String> {
        let questions = self.questions.as_mut().expect("it runs");
        writeln!(questions, "{question}").expect("the oracle listens");
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .expect("the oracle answers");
        let answer: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{question}: {line:?}: {error}"));
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer),
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // Without questions it ends.
        self.questions = None;
        let _ = self.child.wait();
    }
}
