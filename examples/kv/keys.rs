//! The commands for keys and values.

use std::sync::Arc;

use crate::{
    call::{Call, NO_INTEGER},
    resp::{MAX_BULK, integer},
    store::{Store, matches},
};

const SYNTAX: &[u8] = b"syntax error";

pub fn get(call: &mut Call<'_>) {
    call.value(&call.args[1])
}

pub fn set(call: &mut Call<'_>) {
    let (key, mut expiry) = (&call.args[1], None);
    let (mut if_new, mut if_old, mut keep, mut old) = (false, false, false, false);
    let mut at = 3;
    while at < call.args.len() {
        // An option may come twice, and the last time counts.
        let has_time =
            |unit: i64| at + 1 < call.args.len() && expiry.is_none_or(|(_, before)| before == unit) && !keep;
        match call.args[at].to_ascii_lowercase().as_slice() {
            b"nx" if !if_old => if_new = true,
            b"xx" if !if_new => if_old = true,
            b"get" => old = true,
            b"keepttl" if expiry.is_none() => keep = true,
            b"ex" if has_time(1000) => expiry = Some((at + 1, 1000)),
            b"px" if has_time(1) => expiry = Some((at + 1, 1)),
            _ => return call.error(SYNTAX),
        }
        at += 1 + usize::from(expiry.is_some_and(|(time, _)| time == at + 1));
    }
    let mut expires = None;
    if let Some((time, unit)) = expiry {
        let Some(time) = integer(&call.args[time]) else { return call.error(NO_INTEGER) };
        let at = time.checked_mul(unit).and_then(|time| time.checked_add(call.store.now));
        if time <= 0 || at.is_none() {
            return call.error(b"invalid expire time in 'set' command");
        }
        expires = at;
    }
    let exists = (if_new || if_old || old) && call.store.get(key).is_some();
    if old {
        call.value(key);
    }
    if (if_new && exists) || (if_old && !exists) {
        if !old {
            call.reply.null();
        }
        return;
    }
    let value = Arc::from(&*call.args[2]);
    match keep {
        true => _ = call.store.put(key, value),
        false => call.store.replace(key, value, expires),
    }
    if !old {
        call.reply.simple("OK");
    }
}

pub fn mget(call: &mut Call<'_>) {
    call.reply.array(call.args.len() - 1);
    for key in &call.args[1..] {
        call.value(key);
        call.reply.flush_batch(); // the reactor counts the bytes that it has, and `max_outbox` bounds them
    }
}

pub fn mset(call: &mut Call<'_>) {
    if call.args.len().is_multiple_of(2) {
        return call.wrong_number("mset");
    }
    for pair in call.args[1..].chunks(2) {
        call.store.replace(&pair[0], Arc::from(&*pair[1]), None);
    }
    call.reply.simple("OK")
}

pub fn count(call: &mut Call<'_>, counts: fn(&mut Store, &[u8]) -> bool) {
    let mut number = 0;
    for key in &call.args[1..] {
        number += i64::from(counts(call.store, key));
    }
    call.reply.integer(number)
}

pub fn add_argument(call: &mut Call<'_>) {
    let Some(number) = integer(&call.args[2]) else { return call.error(NO_INTEGER) };
    if call.is_word(0, "incrby") {
        return add(call, number);
    }
    match number.checked_neg() {
        Some(number) => add(call, number),
        None => call.error(b"decrement would overflow"),
    }
}

pub fn add(call: &mut Call<'_>, number: i64) {
    let key = &call.args[1];
    let before = call.store.get(key).map_or(Some(0), |entry| integer(&entry.value));
    let Some(before) = before else { return call.error(NO_INTEGER) };
    let Some(sum) = before.checked_add(number) else {
        return call.error(b"increment or decrement would overflow");
    };
    call.store.put(key, sum.to_string().into_bytes().into());
    call.reply.integer(sum)
}

/// The whole value is copied, because clients may still be sent the value as it was.
pub fn append(call: &mut Call<'_>) {
    let before = call.store.get(&call.args[1]).map_or(&[][..], |entry| &entry.value);
    let len = before.len() + call.args[2].len();
    if len > MAX_BULK as usize {
        return call.error(b"string exceeds maximum allowed size (proto-max-bulk-len)");
    }
    let value = [before, &call.args[2]].concat().into();
    call.store.put(&call.args[1], value);
    call.reply.integer(len as i64)
}

pub fn strlen(call: &mut Call<'_>) {
    let len = call.store.get(&call.args[1]).map_or(0, |entry| entry.value.len());
    call.reply.integer(len as i64)
}

pub fn expire(call: &mut Call<'_>, unit: i64) {
    let (mut if_none, mut if_some, mut if_later, mut if_sooner) = (false, false, false, false);
    for word in &call.args[3..] {
        match word.to_ascii_lowercase().as_slice() {
            b"nx" => if_none = true,
            b"xx" => if_some = true,
            b"gt" => if_later = true,
            b"lt" => if_sooner = true,
            _ => return call.error(&[b"Unsupported option ", &**word].concat()),
        }
    }
    if if_none && (if_some || if_later || if_sooner) {
        return call.error(b"NX and XX, GT or LT options at the same time are not compatible");
    }
    if if_later && if_sooner {
        return call.error(b"GT and LT options at the same time are not compatible");
    }
    let Some(time) = integer(&call.args[2]) else { return call.error(NO_INTEGER) };
    let Some(at) = time.checked_mul(unit).and_then(|time| time.checked_add(call.store.now)) else {
        let name = if unit == 1 { "pexpire" } else { "expire" };
        return call.error(format!("invalid expire time in '{name}' command").as_bytes());
    };
    let key = &call.args[1];
    // A key that does not expire counts as a key that expires at the end of time.
    let applies = call.store.get(key).is_some_and(|entry| {
        let is_met = |asked: bool, condition: bool| !asked || condition;
        is_met(if_none, entry.expires.is_none())
            && is_met(if_some, entry.expires.is_some())
            && is_met(if_later, entry.expires.is_some_and(|before| at > before))
            && is_met(if_sooner, entry.expires.is_none_or(|before| at < before))
    });
    if applies && at <= call.store.now {
        call.store.remove(key);
    } else if applies {
        call.store.set_expiry(key, Some(at));
    }
    call.reply.integer(applies.into())
}

pub fn time_to_live(call: &mut Call<'_>, unit: i64) {
    let left = match call.store.get(&call.args[1]).map(|entry| entry.expires) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => ((at - call.store.now).max(0) + unit / 2) / unit,
    };
    call.reply.integer(left)
}

pub fn persist(call: &mut Call<'_>) {
    let expires = call.store.get(&call.args[1]).is_some_and(|entry| entry.expires.is_some());
    call.store.set_expiry(&call.args[1], None);
    call.reply.integer(expires.into())
}

pub fn keys(call: &mut Call<'_>) {
    let found: Vec<&[u8]> = call.store.keys().filter(|key| matches(&call.args[1], key)).collect();
    call.reply.array(found.len());
    for key in found {
        call.reply.bulk(key);
        call.reply.flush_batch();
    }
}

pub fn flush_all(call: &mut Call<'_>) {
    if call.args.len() > 2 || (call.args.len() == 2 && !call.is_word(1, "async") && !call.is_word(1, "sync"))
    {
        return call.error(SYNTAX);
    }
    call.store.clear();
    call.reply.simple("OK")
}
