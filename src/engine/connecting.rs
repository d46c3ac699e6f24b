//! Connecting: the addresses in order, until one answers.

use std::{io, time::Instant};

use crate::{
    close::CloseReason,
    connection::Phase,
    socket::{readiness::Readiness, stream::Stream},
};

use super::{
    common::Common,
    entry::Entry,
    opening::{Connecting, Opening},
    timer_kind::TimerKind,
};

impl Entry<'_> {
    /// Goes on connecting. Returns true once the stream is connected; the connection is then open.
    pub(crate) fn connect(&mut self, now: Instant) -> bool {
        if self.connection.phase() > Phase::Flushing {
            return false;
        }
        let Some(connected) = self.take_result(now) else { return false };
        let is_new = !matches!(self.lifetime.opening(), Some(Opening::Attached));
        let input = self.lifetime.input_while_opening();
        self.end_opening();
        if is_new {
            let Common { options, .. } = &*self.common;
            self.connection.stream().configure(self.lifetime.limits(options).into());
        }
        // `set_ready` clears no flag, so an error that an event told of during the opening stays set.
        self.connection.set_ready(Readiness { writable: true, ..input });
        if let Err(error) = connected {
            self.connection.fail(error); // the bytes before the reset are delivered first
        }
        true
    }

    /// Returns the result of the connect; `None` while the connect is under way, and when it has failed. An error is the reset of
    /// a stream that was connected.
    fn take_result(&mut self, now: Instant) -> Option<io::Result<()>> {
        let mut last_error = io::Error::new(io::ErrorKind::InvalidInput, "there is no address");
        loop {
            let connecting = match self.lifetime.opening() {
                None | Some(Opening::Adopted | Opening::Attached) => return Some(Ok(())),
                Some(Opening::NoAddress(error)) => {
                    std::mem::swap(&mut last_error, error);
                    self.connection.end(CloseReason::ConnectFailed(last_error), Phase::Dropping);
                    return None;
                }
                Some(Opening::Connecting(connecting)) => connecting,
            };
            if std::mem::take(&mut connecting.under_way) {
                match self.connection.stream().connected() {
                    None if !connecting.timed_out => {
                        connecting.under_way = true;
                        self.connection.forget_readiness();
                        return None;
                    }
                    None => last_error = connecting.failed(timed_out()),
                    Some(Ok(())) => return Some(Ok(())),
                    Some(Err(error)) if is_reset(&error) => return Some(Err(error)),
                    Some(Err(error)) => last_error = connecting.failed(error),
                }
                // A close does not end the registration if a copy of the descriptor lives, epoll(7).
                let _ = self.connection.stream_mut().deregister(&self.common.registry);
                self.connection.replace_stream(Stream::Unconnected);
            }
            let Some((endpoint, give_up)) = connecting.next_address(now) else {
                let is_late = connecting.timed_out && last_error.kind() != io::ErrorKind::TimedOut;
                let error = if is_late { connecting.failed(timed_out()) } else { last_error };
                self.connection.end(CloseReason::ConnectFailed(error), Phase::Dropping);
                return None;
            };
            let local = connecting.local();
            let token = self.common.token(self.meta.slot());
            let begun = Stream::connect(endpoint, local)
                .and_then(|mut stream| {
                    stream.register(&self.common.registry, token)?;
                    Ok(stream)
                })
                .map_err(|error| connecting.failed(error));
            match begun {
                Ok(stream) => {
                    self.connection.replace_stream(stream);
                    self.await_address(give_up);
                    return None;
                }
                Err(error) => last_error = error,
            }
        }
    }

    /// The connect to an address is under way. It is given up at this time.
    fn await_address(&mut self, give_up: Option<Instant>) {
        let Some(Opening::Connecting(connecting)) = self.lifetime.opening() else { return };
        connecting.under_way = true;
        connecting.give_up = give_up;
        if let Some(earlier) = connecting.timer.take() {
            self.common.cancel_timer(earlier);
        }
        connecting.timer = give_up.map(|at| self.common.set_timer(at, TimerKind::Connect(self.meta.slot())));
    }

    /// The connection has come from another reactor. If a connect is under way, its time goes on.
    pub(super) fn go_on_connecting(&mut self) {
        if let Some(Opening::Connecting(Connecting { under_way: true, give_up, .. })) =
            self.lifetime.opening()
        {
            let give_up = *give_up;
            self.await_address(give_up);
        }
    }

    /// The time of an address is over, unless the address has answered in this turn.
    pub(crate) fn connect_is_due(&mut self) {
        if let Some(Opening::Connecting(connecting)) = self.lifetime.opening() {
            connecting.timer = None;
            connecting.timed_out = true;
            self.queue();
        }
    }

    /// The handler has closed a connection that is not open yet. If it has sent nothing, there is nothing to wait for.
    pub(crate) fn drop_if_closed_unopened(&mut self) {
        if self.connection.phase() == Phase::Flushing && self.connection.queued() == 0 {
            self.connection.end(CloseReason::Closed, Phase::Dropping);
        }
    }
}

/// True if the stream was connected before the error. The reset of a stream that is not connected yet has another error,
/// ECONNREFUSED. EPIPE is the error if the peer has sent an end of file before the reset.
fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer within the connect timeout")
}
