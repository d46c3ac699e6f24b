//! A command, and how its reply is written.

use std::borrow::Cow;

use crate::{Session, resp::Reply, store::Store};

pub const NO_INTEGER: &[u8] = b"value is not an integer or out of range";

/// A command of a client, and all that the command may use.
pub struct Call<'a> {
    pub store: &'a mut Store,
    pub session: &'a mut Session,
    pub args: &'a [Cow<'a, [u8]>],
    pub reply: Reply<'a>,
    pub clients: usize,
    pub then: Then,
}

/// The next step of the connection after a command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Next,
    Publish,
    Subscribe,
    Unsubscribe,
    Quit,
    Abort,
}

impl Call<'_> {
    pub fn is_word(&self, at: usize, word: &str) -> bool {
        self.args[at].eq_ignore_ascii_case(word.as_bytes())
    }

    pub fn error(&mut self, text: &[u8]) {
        self.reply.error(text)
    }

    pub fn wrong_number(&mut self, name: &str) {
        self.error(format!("wrong number of arguments for '{name}' command").as_bytes())
    }

    pub fn unknown_subcommand(&mut self, of: &str) {
        let word = &self.args[1][..self.args[1].len().min(128)];
        self.error(&[b"unknown subcommand '", word, b"'. Try ", of.as_bytes(), b" HELP."].concat());
    }

    pub fn value(&mut self, key: &[u8]) {
        match self.store.get(key) {
            Some(entry) => self.reply.value(&entry.value),
            None => self.reply.null(),
        }
    }
}
