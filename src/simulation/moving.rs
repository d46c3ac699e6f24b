//! Connections and listeners that move: detached and attached again, adopted, released.

use std::{sync::mpsc::TrySendError, time::Duration};

use crate::{Conn, ConnId, Detached, Net, Refused, connection::Phase, socket::simulated::SimulatedStream};

use super::{
    actor::{Actor, network, note, require},
    oracle::phase_of,
    reactor_model::KnownListener,
    session::{Session, Sessions},
};

impl Actor {
    pub(super) fn detach(&mut self, net: &mut Net<Sessions>, id: ConnId) {
        if self.shown_input == Some(id) {
            return; // `on_data` has input of this connection in its hand
        }
        let has_ended = net.conn(id).and_then(|mut conn| phase_of(&mut conn)) > Some(Phase::Open);
        if let Some(detached) = net.detach(id) {
            self.take_away(id, detached, has_ended);
        }
    }

    /// Detaches the connection in the midst of its `on_data`. A part of the input goes along.
    pub(super) fn detach_in_on_data(&mut self, conn: &mut Conn<'_, Sessions>, input: &[u8]) {
        let (id, consumed) = (conn.id(), self.random.below(input.len() + 1));
        let has_ended = phase_of(conn) > Some(Phase::Open);
        let mut detached = conn.detach();
        detached.put_back(&input[consumed..]);
        detached.session_mut().consumed += consumed as u64;
        self.take_away(id, detached, has_ended);
    }

    fn take_away(&mut self, id: ConnId, mut detached: Detached<Sessions>, has_ended: bool) {
        note!("    {id} is detached");
        self.cover("detached");
        let model = self.model();
        model.sessions -= 1;
        model.detached += 1;
        detached.session_mut().had_ended |= has_ended;
        detached.session_mut().leave();
        self.unowned.connections.push(detached);
    }

    /// Attaches a connection to this reactor, or drops it.
    pub(super) fn attach(&mut self, net: &mut Net<Sessions>) {
        let count = self.unowned.connections.len();
        if count == 0 {
            return;
        }
        let index = self.random.below(count);
        let mut detached = self.unowned.connections.swap_remove(index);
        if !self.finishes && self.random.chance(100) {
            note!("    a detached connection is dropped");
            return drop(detached);
        }
        let options = net.options().clone();
        let has_bytes = !detached.received().is_empty() || detached.unsent_len() > 0;
        detached.session_mut().join(&options);
        let (key, end) = (detached.session().key, detached.session().end);
        match net.attach(detached) {
            Ok(id) => {
                note!("    {id} is attached, with the key {key}");
                let model = self.model();
                model.sessions += 1;
                model.remember(id);
                if has_bytes {
                    model.exempt.push(id);
                }
                let token = model.first_token + id.slot() as usize;
                network(|network| {
                    network.name(token, key);
                    network.begin_budgets_of(end); // also if the connection comes back in the same turn
                });
            }
            Err(Refused { mut back, .. }) => {
                back.session_mut().leave();
                self.unowned.connections.push(back);
            }
        }
    }

    /// Adopts a stream that the host has connected by itself.
    pub(super) fn adopt(&mut self, net: &mut Net<Sessions>) {
        let (end, key) = network(|network| (network.raw_pair(), network.new_key()));
        let session = Session::new(key, net.options().clone(), true);
        match net.adopt_simulated(SimulatedStream::of(end), Box::new(session)) {
            Ok(id) => {
                note!("    {id} is adopted, with the key {key}");
                let model = self.model();
                model.sessions += 1;
                model.remember(id);
                let token = model.first_token + id.slot() as usize;
                network(|network| network.name(token, key));
            }
            Err(error) => note!("    a stream is not adopted: {error}"),
        }
    }

    /// Takes a listener away, or gives one back.
    pub(super) fn move_listener(&mut self, net: &mut Net<Sessions>) {
        let count = self.model().listeners.len();
        if let Some(listener) = self.unowned.listeners.pop() {
            match net.adopt_simulated_listener(listener) {
                Ok(id) => {
                    note!("    listener {id} is adopted");
                    self.model().listeners.push(KnownListener::new(id));
                }
                Err(error) => note!("    a listener is not adopted: {error}"),
            }
        } else if count > 0 {
            let index = self.random.below(count);
            let listener = &mut self.model().listeners[index];
            if let Some(released) = net.release_simulated_listener(listener.id) {
                note!("    listener {} is released", listener.id);
                listener.closed = true;
                self.unowned.listeners.push(released);
            }
        }
    }

    /// Calls of other threads: they reach the loop in its next turn.
    pub(super) fn call_from_elsewhere(&mut self, which: usize) {
        let choice = self.random.below(20);
        let channel = &mut self.channels[which];
        match choice {
            0 => {
                channel.remote.stop();
                channel.stop_asked = true;
            }
            1 if self.random.chance(200) => {
                channel.remote.drain(Duration::from_millis(self.random.size(3000) as u64));
                self.models[which].drains += 1;
            }
            1..10 => {
                channel.remote.wake();
                channel.wakes_owed = true;
            }
            _ => {
                let message = channel.sent;
                match channel.sender.try_send(message) {
                    Ok(()) => {
                        channel.sent += 1;
                        channel.wakes_owed = true;
                    }
                    Err(TrySendError::Full(back)) => {
                        let waiting = channel.sent - channel.received;
                        require!(back == message, "a full channel gave {back} back and not {message}");
                        require!(waiting == channel.capacity, "a channel is full with {waiting} messages");
                    }
                    Err(TrySendError::Disconnected(_)) => {}
                }
            }
        }
        note!("    a call from another thread reaches reactor {which}");
    }

    /// Receives messages, and now and then not all of them.
    pub(super) fn receive_messages(&mut self) {
        let takes_all = self.finishes || self.random.chance(700);
        let channel = &mut self.channels[self.current];
        channel.wakes_owed = false;
        for message in channel.receiver.try_iter() {
            require!(
                message == channel.received,
                "the message {message} came instead of {}",
                channel.received
            );
            channel.received += 1;
            if !takes_all {
                // An iterator that is dropped before its end wakes the loop again.
                channel.wakes_owed = true;
                break;
            }
        }
    }
}
