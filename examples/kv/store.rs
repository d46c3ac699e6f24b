//! The keys, their values, and the times at which keys expire.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

/// A bound for what a key costs beside its own bytes and the bytes of its value.
const OVERHEAD: usize = 128;

#[derive(Default)]
pub struct Store {
    entries: HashMap<Box<[u8]>, Entry>,
    /// The keys that expire, the key that expires first in front.
    expiring: BTreeSet<(i64, Box<[u8]>)>,
    /// The time of the present callback, in milliseconds since 1970.
    pub now: i64,
    /// The memory that all entries need.
    pub used: usize,
}

pub struct Entry {
    pub value: Arc<[u8]>,
    /// Milliseconds since 1970.
    pub expires: Option<i64>,
}

impl Store {
    /// Removes the keys whose time has come.
    pub fn begin(&mut self, now: i64) {
        self.now = now;
        while self.expiring.first().is_some_and(|(at, _)| *at < now) {
            if let Some((_, key)) = self.expiring.pop_first()
                && let Some(entry) = self.entries.remove(&key)
            {
                self.used -= key.len() + entry.value.len() + OVERHEAD;
            }
        }
    }

    pub fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Sets the value, and leaves the time of expiry as the time is. Returns the time of expiry.
    pub fn put(&mut self, key: &[u8], value: Arc<[u8]>) -> Option<i64> {
        self.used += value.len();
        match self.entries.get_mut(key) {
            Some(entry) => {
                self.used -= entry.value.len();
                entry.value = value;
                entry.expires
            }
            None => {
                self.used += key.len() + OVERHEAD;
                self.entries.insert(key.into(), Entry { value, expires: None });
                None
            }
        }
    }

    /// Sets the value and the time of expiry.
    pub fn replace(&mut self, key: &[u8], value: Arc<[u8]>, expires: Option<i64>) {
        if self.put(key, value) != expires {
            self.set_expiry(key, expires);
        }
    }

    pub fn set_expiry(&mut self, key: &[u8], expires: Option<i64>) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if entry.expires == expires {
            return;
        }
        if let Some(before) = std::mem::replace(&mut entry.expires, expires) {
            self.expiring.remove(&(before, key.into()));
        }
        if let Some(at) = expires {
            self.expiring.insert((at, key.into()));
        }
    }

    pub fn remove(&mut self, key: &[u8]) -> bool {
        self.set_expiry(key, None);
        let removed = self.entries.remove(key);
        if let Some(entry) = &removed {
            self.used -= key.len() + entry.value.len() + OVERHEAD;
        }
        removed.is_some()
    }

    pub fn clear(&mut self) {
        *self = Store { now: self.now, ..Store::default() };
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn expiring(&self) -> usize {
        self.expiring.len()
    }

    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.entries.keys().map(|key| &**key)
    }
}

/// Compares a text with a pattern of `*`, `?`, `[a-z]`, `[^a]` and `\`. The time is at most the product of the two lengths.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star = None; // behind the last star, and the start of the text that comes behind the star
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
            continue;
        }
        if t == text.len() && p == pattern.len() {
            return true;
        }
        if t < text.len()
            && let Some(len) = matches_one(&pattern[p..], text[t])
        {
            (p, t) = (p + len, t + 1);
            continue;
        }
        match star {
            Some((behind, from)) if from < text.len() => {
                (p, t) = (behind, from + 1); // the star takes one more byte
                star = Some((behind, t));
            }
            _ => return false,
        }
    }
}

/// Compares a byte with the first element of a pattern. Returns the length of the element if the byte matches.
fn matches_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (escaped == byte).then_some(2),
        [b'[', ref class @ ..] => {
            let inverted = class.first() == Some(&b'^');
            let (mut at, mut found) = (usize::from(inverted), false);
            loop {
                match class[at..] {
                    [] => break,
                    [b']', ..] => {
                        at += 1;
                        break;
                    }
                    [b'\\', escaped, ..] => {
                        found |= escaped == byte;
                        at += 2;
                    }
                    [from, b'-', to, ..] => {
                        found |= (from.min(to)..=from.max(to)).contains(&byte);
                        at += 3;
                    }
                    [one, ..] => {
                        found |= one == byte;
                        at += 1;
                    }
                }
            }
            (found != inverted).then_some(1 + at)
        }
        [one, ..] => (one == byte).then_some(1),
    }
}
