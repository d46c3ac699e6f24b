//! The random sends.

use std::{
    cell::RefCell,
    fs::File,
    io::{ErrorKind, Write as _},
    ops::Range,
    sync::Arc,
};

use crate::{
    Conn, ConnId, Flow, Net,
    connection::Phase,
    socket::simulated::{PERIOD, shared_table},
};

use super::{
    actor::{Actor, network, require, violate},
    session::Sessions,
    workload::Action,
};

/// The length of the file of which parts are sent.
const FILE: usize = 40 * PERIOD;

thread_local! {
    /// Blocks that several connections share.
    static BLOCKS: [Arc<[u8]>; 2] = [shared_table(), shared_table()];
    static CONTENT: RefCell<Option<File>> = const { RefCell::new(None) };
}

impl Actor {
    pub(super) fn send(&mut self, action: Action, net: &mut Net<Sessions>, id: ConnId) {
        let len = self.random.size(self.workload.largest);
        let Some(session) = net.session(id) else {
            let flow = net.send_all(id, &[0; 9][..len.min(9)]);
            return require!(flow == Flow::Gone, "a send to {id}, which is gone, returned {flow:?}");
        };
        let key = session.key;
        let position = network(|network| network.handed(key));
        let bytes = || network(|network| network.content(key).bytes(position, len));
        let flow = match action {
            Action::TrySend => return self.try_send(net, id, key, &bytes()),
            Action::Forward => return self.forward(net, id),
            Action::SendFile => return self.send_file(net, id, key, position),
            Action::SendShared => match self.shared_part(key, position, len) {
                Some((block, range)) => net.send_shared_range(id, &block, range),
                None => net.send_shared(id, &Arc::from(bytes())),
            },
            Action::SendOwned => {
                let mut bytes = bytes();
                bytes.reserve(self.random.size(len));
                net.send_owned(id, bytes)
            }
            Action::Write => match Self::write(net, id, &bytes()) {
                Some(n) => {
                    require!(n == len, "a write has taken {n} of {len} bytes");
                    if let Some(session) = net.session(id) {
                        (session.awaits_writable, session.may_be_full) = (true, true);
                    }
                    Flow::Open
                }
                None => Flow::Gone,
            },
            _ => net.send_all(id, &bytes()),
        };
        self.sent(net, id, flow, len, action == Action::Write);
    }

    /// A part of a block that other connections are sent too.
    fn shared_part(&mut self, key: u32, position: u64, len: usize) -> Option<(Arc<[u8]>, Range<usize>)> {
        let (start, rest) = network(|network| network.content(key).place(position));
        let block = self.random.below(2);
        let block = BLOCKS.with(|blocks| blocks[block].clone());
        (len <= rest).then_some((block, start..start + len))
    }

    /// Compares the result of a send with the model.
    fn sent(&mut self, net: &mut Net<Sessions>, id: ConnId, flow: Flow, len: usize, silent: bool) {
        let queued = net.queued(id);
        let Some(session) = net.session(id) else {
            return violate!("{id} is gone in the midst of a callback");
        };
        let is_over = session.closed || session.shut_down;
        match flow {
            Flow::Gone => session.refused |= !is_over && len > 0,
            Flow::Open | Flow::Full => {
                require!(!is_over, "{id} takes a send after its end");
                network(|network| network.hand(session.key, len as u64));
            }
        }
        match flow {
            Flow::Open if !silent => {
                let most = session.limits.high_water;
                require!(queued < most, "a send to {id} returned Open with {queued} unsent bytes");
            }
            Flow::Full => {
                (session.full, session.awaits_writable) = (true, true);
                session.owes_writable = true;
            }
            _ => {}
        }
    }

    fn try_send(&mut self, net: &mut Net<Sessions>, id: ConnId, key: u32, bytes: &[u8]) {
        let Some(mut conn) = net.conn(id) else { return };
        let result = conn.try_send(bytes);
        let has_failed = super::oracle::phase_of(&mut conn) != Some(Phase::Open);
        let session = conn.session();
        let is_over = session.closed || session.shut_down;
        match result {
            Ok(n) => {
                require!(!is_over || bytes.is_empty(), "{id} takes a send after its end");
                network(|network| network.hand(key, n as u64));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                require!(!is_over, "try_send to {id} would block after its end");
                (session.awaits_writable, session.must_be_ready) = (true, true);
                session.owes_writable |= !has_failed;
            }
            Err(error) => require!(error.kind() == ErrorKind::BrokenPipe, "try_send to {id}: {error}"),
        }
    }

    fn send_file(&mut self, net: &mut Net<Sessions>, id: ConnId, key: u32, position: u64) {
        let (start, rest) = network(|network| network.content(key).place(position));
        let is_short = self.random.chance(30);
        let most = rest.min(self.workload.largest);
        let end = if is_short { FILE + 10 } else { start + self.random.size(most) };
        let start = if is_short { start + 39 * PERIOD } else { start };
        if start >= FILE {
            return;
        }
        let Some(session) = net.session(id) else { return };
        session.sent_short_file |= is_short;
        let flow = net.send_file(id, file(), start as u64..end as u64);
        self.sent(net, id, flow, end - start, false);
    }

    /// Sends the unconsumed input of a connection to another one, or back.
    fn forward(&mut self, net: &mut Net<Sessions>, from: ConnId) {
        let known = &self.models[self.current].connections;
        let to = if self.random.chance(400) || known.is_empty() { from } else { self.random.pick(known) };
        let Some(len) = net.conn(from).map(|conn| conn.unconsumed().len()) else { return };
        let Some(session) = net.session(from) else { return };
        let (end, consumed) = (session.end, session.consumed);
        let peer = end.and_then(|end| network(|network| network.view(end).peer_key));
        let Some(target) = net.session(to) else {
            let flow = net.forward(from, to);
            return require!(flow == Flow::Gone, "input was sent on to {to}, which is gone: {flow:?}");
        };
        if let Some(peer) = peer.filter(|_| len > 0 && !target.closed && !target.shut_down && !target.refused)
        {
            let key = target.key;
            network(|network| network.forward(key, peer, consumed, len as u64));
        }
        let target = net.engine().connection(to.slot());
        let takes_sends = target.is_some_and(|connection| connection.takes_sends());
        let flow = net.forward(from, to);
        let left = net.conn(from).map_or(0, |conn| conn.unconsumed().len());
        require!(left == 0 || (flow == Flow::Gone && left == len), "{left} of {len} bytes were sent on");
        if let Some(session) = net.session(from) {
            session.consumed += (len - left) as u64;
            session.owes_data &= left > 0;
            // The input is taken, and the need with it, also if the send then fails.
            if takes_sends {
                session.need = 0;
            }
        }
        self.sent(net, to, flow, len, false);
    }

    /// Answers the frames of the input, as a server does. Returns how many bytes are consumed.
    pub(super) fn answer(
        &mut self,
        conn: &mut Conn<'_, Sessions>,
        input: &[u8],
        (frame, answer): (usize, usize),
    ) -> usize {
        let (id, key) = (conn.id(), conn.session().key);
        let frame = frame.min(conn.session().limits.inbox_limit());
        let mut consumed = 0;
        while input.len() - consumed >= frame {
            consumed += frame;
            let bytes = network(|network| network.content(key).bytes(network.handed(key), answer));
            let flow = conn.send_all(&bytes);
            self.sent(conn.net(), id, flow, answer, false);
            if flow != Flow::Open {
                break;
            }
        }
        let needs_whole_frames = self.random.chance(500);
        let session = conn.session();
        session.consumed += consumed as u64;
        session.owes_data = consumed > 0 && consumed < input.len();
        if needs_whole_frames {
            session.need = frame;
            conn.need(frame);
        }
        consumed
    }

    /// Sends all input on to another connection, as a proxy does. Returns true if the input is consumed.
    pub(super) fn forwards(&mut self, conn: &mut Conn<'_, Sessions>, input: &[u8]) -> bool {
        if self.finishes || !self.random.chance(self.workload.forwards) {
            return false;
        }
        let (end, consumed) = (conn.session().end, conn.session().consumed);
        let peer = end.and_then(|end| network(|network| network.view(end).peer_key));
        let known = &self.models[self.current].connections;
        let to = if known.is_empty() { conn.id() } else { self.random.pick(known) };
        let net = conn.net();
        let (Some(peer), Some(target)) = (peer, net.session(to)) else { return false };
        // The system may have taken bytes of a send that was refused: the content there must not change.
        if target.closed || target.shut_down || target.refused {
            return false;
        }
        let key = target.key;
        network(|network| network.forward(key, peer, consumed, input.len() as u64));
        let flow = net.send_all(to, input);
        self.sent(net, to, flow, input.len(), false);
        if flow != Flow::Gone {
            conn.session().consumed += input.len() as u64;
            conn.session().owes_data = false;
        }
        flow != Flow::Gone
    }
}

/// The file: the content of [`shared_table`] in a row.
fn file() -> File {
    CONTENT.with_borrow_mut(|file| {
        let file = file.get_or_insert_with(|| {
            let name =
                format!("tidegate-simulation-{}-{:?}", std::process::id(), std::thread::current().id());
            let path = std::env::temp_dir().join(name);
            let mut file = File::options()
                .create(true)
                .truncate(true)
                .read(true)
                .write(true)
                .open(&path)
                .expect("the folder for temporary files takes a file");
            let period = &shared_table()[..PERIOD];
            for _ in 0..FILE / PERIOD {
                file.write_all(period).expect("the disk has room");
            }
            let _ = std::fs::remove_file(path);
            file
        });
        file.try_clone().expect("a descriptor is left")
    })
}
